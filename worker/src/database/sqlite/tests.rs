//! Every action and every error on a real SQLite file, and what is SQLite's own.

mod beside;
mod expired;
mod foreign;
mod statements;

use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Reply;
use dbal_shared::plan::Action;
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;
use dbal_sql::{SQLITE, ValidPlan};
use rusqlite::Connection;

use super::open::Connections;
use super::session;
use crate::database::agreement::agreement;
use crate::database::cases::{Bench, cases, races};
use crate::database::running::Running;
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
fn upserts_of_the_same_new_row_at_once_make_it_once() {
    let fixture = Fixture::new();
    let running = Running::on(crate::database::Connections::Sqlite(fixture.open()));
    races::upserts_of_the_same_new_row_at_once_make_it_once(&running, &fixture);
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
