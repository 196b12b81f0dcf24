//! Every action and every error on a real SQLite file, and what is SQLite's own.

mod as_read;
mod beside;
mod expired;
mod foreign;
mod killed;
mod statements;

use std::time::Instant;

use dbal_servers::watch::assert_soon;
use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::message::{Advice, Reply};
use dbal_shared::plan::Action;
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::value::Value;
use dbal_sql::{SQLITE, ValidPlan};
use rusqlite::Connection;

use super::open::Connections;
use super::session;
use crate::database::agreement::agreement;
use crate::database::cases::{Bench, cases, races, referred};
use crate::database::running::{LONG, Running, told};
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, Fixture};

/// The writer of a new file.
struct File(Connection);

impl Bench for File {
    fn new(fixture: &Fixture) -> Self {
        let Connections { writer, .. } = fixture.open();
        Self(writer)
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        if !plan.action().is_write() {
            return session::read(&self.0, &SQLITE, plan);
        }
        self.0.execute_batch("SAVEPOINT test").unwrap();
        let outcome = session::write(&self.0, &SQLITE, plan);
        let settle = if outcome.is_ok() {
            "RELEASE test"
        } else {
            "ROLLBACK TO test; RELEASE test"
        };
        self.0.execute_batch(settle).unwrap();
        outcome
    }

    fn execute(&self, sql: &str) {
        self.0.execute_batch(sql).unwrap();
    }
}

cases!(File);
agreement!(File);

#[test]
fn rows_that_refer_to_one_another_go_together() {
    referred::they_go_together::<File>();
}

#[test]
fn upserts_of_the_same_new_row_at_once_make_it_once() {
    let fixture = Fixture::new();
    let running = Running::on(crate::database::Connections::Sqlite(fixture.open()));
    races::upserts_of_the_same_new_row_at_once_make_it_once(&running, &fixture);
}

#[test]
fn a_name_stands_for_one_request_however_many_come_at_once() {
    let fixture = Fixture::new();
    let running = Running::on(crate::database::Connections::Sqlite(fixture.open()));
    races::a_name_stands_for_one_request_however_many_come_at_once(&running, &fixture);
}

#[test]
fn what_is_stored_against_its_declared_type_is_an_internal_error_and_no_guess() {
    let fixture = Fixture::new();
    let bench = File::new(&fixture);
    bench.execute("INSERT INTO \"Sample\" (id, time) VALUES (1, 'yesterday')");
    let action = Action::Read {
        target: fixture.target("Sample", "id", Value::Int(1)),
        projection: fixture.projection("Sample", &["time"]),
        includes: Vec::new(),
    };
    let trouble = bench
        .run(&fixture.plan((ALICE, "admin"), "Sample", action))
        .unwrap_err();
    assert_eq!(trouble.into_refusal().failure.code, Code::Internal);
}

/// A call is answered when its statement has stopped: there is one thread for both.
#[test]
fn a_statement_stops_soon_after_its_deadline_or_when_its_caller_leaves() {
    let fixture = Fixture::new();
    let connections = fixture.open();
    connections
        .writer
        .execute_batch(
            "INSERT INTO \"Sample\" (id, text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) \
             SELECT i, hex(randomblob(16)) FROM n",
        )
        .unwrap();
    let running = Running::on(crate::database::Connections::Sqlite(connections));
    let sought = Predicate::Matches {
        column: fixture.column("Sample", "text"),
        position: TextPosition::Contains,
        text: "nowhere".to_owned(),
        case: Case::Insensitive,
    };
    let admin = (ALICE, "admin");
    let read = |filter| fixture.plan(admin, "Sample", Action::Count { filter });
    let began = Instant::now();
    running.call(read(sought.clone())).unwrap();
    let whole = began.elapsed();
    let budget = whole.div_f64(4.0);
    let (mut late, mut left) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = Instant::now();
        let answer = running.submit(read(sought.clone()), budget).answer();
        late.push(began.elapsed().saturating_sub(budget));
        let call = running.submit(read(sought.clone()), LONG);
        std::thread::sleep(budget);
        let began = Instant::now();
        call.control.cancel();
        let stopped = call.answer();
        left.push(began.elapsed());
        for outcome in [answer, stopped] {
            assert_eq!(
                told(&outcome),
                Some((Code::Timeout, Advice::Retry)),
                "all of it takes {whole:?}"
            );
        }
    }
    assert_soon("stopped after the deadline", late);
    assert_soon("stopped after the caller left", left);
}

#[test]
fn readers_can_not_write_whatever_they_are_told() {
    let fixture = Fixture::new();
    let connections = fixture.open();
    for reader in connections.readers.iter().chain([&connections.observer]) {
        assert!(reader.execute("DELETE FROM \"User\"", []).is_err());
    }
    for connection in [&connections.writer, &connections.readers[0]] {
        assert!(connection.execute("ATTACH ':memory:' AS other", []).is_err());
        assert!(connection.execute("SELECT \"no such column\"", []).is_err());
    }
    let foreign_keys: i64 = connections
        .writer
        .query_row("PRAGMA foreign_keys", [], |row| row.get(0))
        .unwrap();
    assert_eq!(foreign_keys, 1);
}

#[test]
fn the_widest_filter_that_the_limits_allow_is_no_deeper_than_sqlite_takes() {
    let fixture = Fixture::new();
    let bench = File::new(&fixture);
    let leaf = |nth: usize| Predicate::Compare {
        column: ColumnId(1),
        op: Comparison::Ne,
        value: Value::Int(i64::try_from(nth).unwrap()),
    };
    for join in [Predicate::And, Predicate::Or] {
        let filter = join((1..dbal_shared::limits::PREDICATE_NODES).map(leaf).collect());
        let action = Action::Count { filter };
        assert!(
            bench
                .run(&fixture.plan((ALICE, "admin"), "Sample", action))
                .is_ok()
        );
    }
}
