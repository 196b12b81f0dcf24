//! Every action and every error through a real bridge over TLS, on a real Prisma client and a real PostgreSQL; and what is a
//! bridge's own.

mod faults;
mod foreign;
mod hostile;

use std::time::{Duration, Instant};

use dbal_config::{Bridge as Url, BridgedDialect, Prisma, Scheme};
use dbal_schema::Schema;
use dbal_servers::bridge::{Bridge, TOKEN};
use dbal_servers::postgres::Postgres;
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Failure, Isolation, Reply};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::{POSTGRES, ValidPlan};

use super::open::open;
use crate::database::agreement::agreement;
use crate::database::cases::{Bench, cases};
use crate::database::running::{LONG, Running, told};
use crate::database::trouble::Trouble;
use crate::database::{Connections, expired, postgres};
use crate::fixture::{ALICE, BOB, Fixture, json, memo, text, uuid};
use crate::job::{Task, What};
use crate::once::{Once, Request};

const ADMIN: (&str, &str) = (ALICE, "admin");

/// How to reach a bridge.
fn config(scheme: Scheme, port: u16) -> Prisma {
    Prisma {
        url: Url::Tcp {
            scheme,
            host: "localhost".to_owned(),
            port,
            path: String::new(),
        },
        token: TOKEN.into(),
        dialect: BridgedDialect::Postgresql,
        ca_file: None,
        allow_plain_http: false,
        pool_size: 4,
    }
}

/// Makes the entities' tables, as their owner would.
fn make_tables(server: &Postgres, database: &str, schema: &Schema) {
    let statements = dbal_sql::ddl::create_tables(schema, &POSTGRES).unwrap();
    let mut script = format!("SET ROLE {database};");
    for statement in &statements {
        script.push_str(statement.sql());
        script.push(';');
    }
    server.sql(database, &script);
}

/// A new database, a bridge to it, and the adapter on that.
struct Bridged {
    server: &'static Postgres,
    name: String,
    // Before the bridge: who asks ends first.
    running: Running,
    bridge: Bridge,
}

impl Bridged {
    fn open(
        fixture: &Fixture,
        make: impl FnOnce(&Postgres, &str) -> Bridge,
        adapt: impl FnOnce(&mut Prisma),
    ) -> Self {
        let server = Postgres::shared();
        let name = server.database();
        make_tables(server, &name, fixture.policy.schema());
        server.sql(
            &name,
            &format!("INSERT INTO \"User\" (id, username) VALUES ('{ALICE}', 'alice'), ('{BOB}', 'bob')"),
        );
        let bridge = make(server, &name);
        let mut config = config(Scheme::Https, bridge.port());
        config.ca_file = Some(bridge.ca_file());
        adapt(&mut config);
        let connections = open(&config, fixture.policy.schema()).unwrap_or_else(|error| panic!("{error:?}"));
        Self {
            server,
            name,
            running: Running::on(Connections::Prisma(connections)),
            bridge,
        }
    }

    fn sql(&self, script: &str) -> String {
        self.server.sql(&self.name, script)
    }

    fn call(&self, plan: ValidPlan) -> Result<Reply, Failure> {
        self.running.call(plan)
    }
}

impl Bench for Bridged {
    fn new(fixture: &Fixture) -> Self {
        Self::open(fixture, Bridge::tls, |_| {})
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.running.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.sql(sql);
    }
}

cases!(Bridged);
agreement!(Bridged);

fn create(fixture: &Fixture, slug: &str) -> ValidPlan {
    let action = Action::Create {
        values: fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(slug))]),
        projection: fixture.projection("Note", &["slug"]),
    };
    fixture.plan(ADMIN, "Note", action)
}

fn count(fixture: &Fixture) -> ValidPlan {
    let filter = Predicate::True;
    fixture.plan(ADMIN, "Note", Action::Count { filter })
}

/// Waits for something that happens soon.
fn soon(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

#[test]
fn as_many_rows_as_one_call_may_make_are_made_by_one_statement_or_none_is() {
    let fixture = Fixture::new();
    let bench = Bridged::new(&fixture);
    let rows = |last: &str| {
        let all: Vec<_> = (0..1_000)
            .map(|nth| {
                let slug = if nth == 999 {
                    last.to_owned()
                } else {
                    format!("s{nth}")
                };
                fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(&slug))])
            })
            .collect();
        fixture.plan(ADMIN, "Note", Action::CreateMany { rows: all })
    };
    let taken = bench.call(rows("s7")).unwrap_err();
    assert_eq!(taken.code, Code::Conflict);
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
    let began = Instant::now();
    assert_eq!(bench.call(rows("s999")).unwrap().json, "1000");
    println!("1000 rows in {:?}", began.elapsed());
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "1000");
}

#[test]
fn a_row_that_refers_to_nothing_is_named_though_all_rows_are_one_statement() {
    let fixture = Fixture::new();
    let bench = Bridged::new(&fixture);
    let row =
        |owner: &str, slug: &str| fixture.values("Note", &[("ownerId", uuid(owner)), ("slug", text(slug))]);
    let nobody = "0199a000-0000-7000-8000-0000000000ff";
    let rows = vec![row(ALICE, "a"), row(nobody, "b"), row(BOB, "c")];
    let failure = bench
        .call(fixture.plan(ADMIN, "Note", Action::CreateMany { rows }))
        .unwrap_err();
    assert_eq!(failure.code, Code::Invalid);
    assert_eq!(failure.fields.len(), 1, "{failure:?}");
    assert_eq!(failure.fields[0].0, fixture.column("Note", "ownerId"));
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
}

#[test]
fn what_takes_more_than_one_statement_is_not_supported_and_said_to_be_so() {
    let fixture = Fixture::new();
    let bench = Bridged::new(&fixture);
    let capabilities = bench.running.database().capabilities();
    assert_eq!(capabilities.adapter, "prisma");
    assert!(!capabilities.transactions);
    assert!(capabilities.joins && capabilities.relations && capabilities.aggregations);
    let once = |plan: ValidPlan| {
        let principal = Principal {
            id: Some(ALICE.to_owned()),
            ..Principal::default()
        };
        let once = Once::new("k", &principal, Request::new(Isolation::default()), 1).unwrap();
        let memo = memo(plan.action());
        let task = Task {
            what: What::One(Box::new(plan)),
            once: Some(Box::new(once)),
        };
        bench.running.submit_task(task, memo, LONG).answer()
    };
    assert_eq!(
        told(&once(create(&fixture, "a"))),
        Some((Code::Unsupported, Advice::Final))
    );
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
    // A read is the same however often it is asked for.
    assert_eq!(once(count(&fixture)).unwrap().json, "0");
}

#[test]
fn a_change_by_a_column_that_nothing_makes_unique_is_not_supported() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    let dropped = "DO $$ DECLARE c text; BEGIN FOR c IN SELECT conname FROM pg_constraint WHERE contype = 'u' \
        AND conrelid = '\"User\"'::regclass LOOP EXECUTE format('ALTER TABLE \"User\" DROP CONSTRAINT %I', c); END LOOP; END $$; \
        DROP INDEX IF EXISTS \"User_username_unique\"";
    server.sql(&name, dropped);
    server.sql(
        &name,
        &format!("INSERT INTO \"User\" (id, username) VALUES ('{ALICE}', 'twin'), ('{BOB}', 'twin')"),
    );
    let bridge = Bridge::plain(server, &name);
    let Ok(connections) = open(&config(Scheme::Http, bridge.port()), fixture.policy.schema()) else {
        // Refused at start is as good.
        return;
    };
    let running = Running::on(Connections::Prisma(connections));
    let action = Action::Update {
        target: fixture.target("User", "username", text("twin")),
        values: fixture.values("User", &[("username", text("other"))]),
        projection: fixture.projection("User", &["id"]),
    };
    let outcome = running.call(fixture.plan(ADMIN, "User", action));
    assert_eq!(told(&outcome), Some((Code::Unsupported, Advice::Final)));
    assert_eq!(
        server.sql(&name, "SELECT count(*) FROM \"User\" WHERE username = 'twin'"),
        "2"
    );
}

#[test]
fn a_list_and_its_total_are_of_one_moment() {
    let fixture = Fixture::new();
    let bench = Bridged::new(&fixture);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Two rows come and go together, all the time.
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                bench.sql(&format!(
                    "INSERT INTO \"Note\" (id, \"ownerId\", slug, state, \"createdAt\", \"updatedAt\") \
                     SELECT gen_random_uuid(), '{ALICE}', n::text, 'draft', now(), now() FROM generate_series(1, 2) n"
                ));
                bench.sql("DELETE FROM \"Note\"");
            }
        });
        let list = fixture.list("Note", Predicate::True, &["slug"]);
        let mut seen = [0, 0];
        for _ in 0..100 {
            let reply = bench.call(fixture.plan(ADMIN, "Note", list.clone())).unwrap();
            let list = json(&reply);
            let rows = list["data"].as_array().unwrap().len();
            assert_eq!(list["total"], rows);
            assert!(rows == 0 || rows == 2, "{list}");
            seen[rows / 2] += 1;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("seen without and with rows: {seen:?}");
    });
}

#[test]
fn settings_that_would_have_values_read_wrong_are_refused_at_start_with_the_cure() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    for (option, expected) in [
        ("TimeZone%3DEurope/Berlin", "TimeZone = Europe/Berlin"),
        ("extra_float_digits%3D0", "extra_float_digits = 0"),
        ("bytea_output%3Descape", "bytea_output = escape"),
    ] {
        let bridge = Bridge::with(
            server,
            &name,
            &format!("?options=-c%20TimeZone%3DUTC%20-c%20{option}"),
        );
        let error = open(&config(Scheme::Http, bridge.port()), fixture.policy.schema())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains(expected) && error.contains("it must be"),
            "{error}"
        );
    }
}

#[test]
fn tables_that_do_not_fit_are_refused_at_start_naming_entity_field_and_column() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    server.sql(&name, "ALTER TABLE \"Note\" DROP COLUMN remark");
    let bridge = Bridge::plain(server, &name);
    let error = open(&config(Scheme::Http, bridge.port()), fixture.policy.schema())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("Note") && error.contains("remark"), "{error}");
}

#[test]
fn the_catalogue_is_the_same_through_a_bridge_as_without_one() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    server.sql(
        &name,
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE odd (id serial PRIMARY KEY, moods mood[], price numeric(5,2) DEFAULT 1.5, \
         note varchar(7) DEFAULT 'it''s', at timestamp(0), CHECK (price > 0)); CREATE VIEW seen AS SELECT id FROM odd",
    );
    let bridge = Bridge::plain(server, &name);
    let through = super::open::Inspection::open(&config(Scheme::Http, bridge.port())).unwrap();
    let direct = postgres::tests::config(server, &name);
    let direct = postgres::open::Inspection::open(&direct).unwrap();
    let (through, direct) = (through.catalog().unwrap(), direct.catalog().unwrap());
    let shown = |tables| format!("{tables:?}").replace(&name, "NAME");
    assert_eq!(shown(&through.tables), shown(&direct.tables));
    assert!(through.tables.len() >= 7);
}

#[test]
fn a_bridge_that_does_not_know_the_token_is_told_as_such_at_start() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    let bridge = Bridge::plain(server, &name);
    let mut wrong = config(Scheme::Http, bridge.port());
    wrong.token = "another-token-that-is-long-enough".into();
    let error = open(&wrong, fixture.policy.schema()).err().unwrap();
    let error = dbal_daemon::causes(&error);
    assert!(error.contains("does not take `token`"), "{error}");
    assert!(!error.contains("another-token"), "{error}");
}

#[test]
fn a_number_beyond_53_bits_and_a_text_like_any_other_word_come_back_whole() {
    let fixture = Fixture::new();
    let bench = Bridged::new(&fixture);
    for (id, whole, words) in [
        (1, i64::MAX, "'; DROP TABLE \"Sample\"; --"),
        (2, i64::MIN, "$1 $2 {\"$bytes\":\"AP8=\"}"),
        (3, 9_007_199_254_740_993, "\u{1}\u{7f}\u{2028}😀"),
        (4, 0, "1"),
        (5, 1, "null"),
        (6, 2, "2024-01-15T10:30:00.000Z"),
    ] {
        let action = Action::Create {
            values: fixture.values(
                "Sample",
                &[
                    ("id", Value::Int(id)),
                    ("whole", Value::Int(whole)),
                    ("text", text(words)),
                ],
            ),
            projection: fixture.projection("Sample", &["whole", "text"]),
        };
        let made = json(&bench.call(fixture.plan(ADMIN, "Sample", action)).unwrap());
        let shown = made["whole"]
            .as_str()
            .map_or_else(|| made["whole"].to_string(), str::to_owned);
        assert_eq!((shown, made["text"].as_str()), (whole.to_string(), Some(words)));
    }
    assert_eq!(bench.sql("SELECT count(*) FROM \"Sample\""), "6");
}

#[test]
fn rows_behind_a_bridge_go_when_their_time_is_over_and_others_stay() {
    let fixture = expired::fixture();
    let bench = Bridged::new(&fixture);
    expired::rows_go_when_their_time_is_over_and_others_stay(&bench.running, &fixture);
    expired::a_number_that_is_no_time_in_milliseconds_expires_nothing(&bench.running, &fixture);
}
