//! Every action and every error on a real PostgreSQL over TLS, by way of the thread and its pool; and what is PostgreSQL's own.

mod beside;
mod cached;
mod compared;
mod expired;
mod faults;
mod network;
mod pages;
mod scarce;
pub(in crate::database) mod foreign;
mod start;
mod together;
mod turns;

use std::rc::Rc;
use std::time::{Duration, Instant};

use dbal_config::{ChannelBinding, Host, Postgresql, SslMode, Target};
use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Failure, Reply};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::live::Live;
use super::open::open;
use super::servers::Servers;
use super::session::{Committing, Connected, Watch};
use super::tables::Tables;
use crate::database::agreement::agreement;
use crate::database::cases::{Bench, cases, referred};
use crate::database::running::{Call, LONG, Running, told};
use crate::database::sweep::Keeping;
use crate::database::trouble::Trouble;
use crate::database::{Connections, read, write};
use crate::fixture::{ALICE, BOB, Fixture, text, uuid};
use crate::job::Control;

const ADMIN: (&str, &str) = (ALICE, "admin");

/// How to reach a database of a server.
pub(in crate::database) fn config(server: &Postgres, database: &str) -> Postgresql {
    Postgresql {
        host: vec![Host::Tcp {
            name: "localhost".to_owned(),
            port: None,
        }],
        port: server.port(),
        database: database.to_owned(),
        user: database.to_owned(),
        password: Some(PASSWORD.into()),
        schema: "public".to_owned(),
        ssl_mode: SslMode::VerifyFull,
        channel_binding: ChannelBinding::Prefer,
        ca_file: Some(server.ca_file()),
        pool_size: 4,
        target: Target::ReadWrite,
        create_tables: true,
    }
}

/// A new database, and the adapter on it.
struct Private<'a> {
    server: &'a Postgres,
    name: String,
    running: Running,
}

impl<'a> Private<'a> {
    fn on(server: &'a Postgres, fixture: &Fixture, adapt: impl FnOnce(&mut Postgresql)) -> Self {
        Self::keeping(server, fixture, adapt, Keeping::default())
    }

    fn keeping(
        server: &'a Postgres,
        fixture: &Fixture,
        adapt: impl FnOnce(&mut Postgresql),
        keeping: Keeping,
    ) -> Self {
        let name = server.database();
        let mut config = config(server, &name);
        adapt(&mut config);
        let connections = open(&config, fixture.policy.schema()).unwrap_or_else(|error| panic!("{error:?}"));
        server.sql(
            &name,
            &format!("INSERT INTO \"User\" (id, username) VALUES ('{ALICE}', 'alice'), ('{BOB}', 'bob')"),
        );
        Self {
            server,
            name,
            running: Running::keeping(Connections::Postgres(connections), keeping),
        }
    }

    /// Hands a plan over; the answer comes when it comes.
    fn submit(&self, plan: ValidPlan, budget: Duration) -> Call {
        self.running.submit(plan, budget)
    }

    fn call(&self, plan: ValidPlan) -> Result<Reply, Failure> {
        self.running.call(plan)
    }

    fn sql(&self, script: &str) -> String {
        self.server.sql(&self.name, script)
    }

    /// Statements of the worker's that run or hold a transaction.
    fn at_work(&self) -> String {
        self.sql(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'dbal-worker' \
             AND state <> 'idle'",
            self.name
        ))
    }

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

    fn read(fixture: &Fixture, user: &str) -> ValidPlan {
        let action = Action::Read {
            target: fixture.target("User", "id", uuid(user)),
            projection: fixture.projection("User", &["username"]),
            includes: Vec::new(),
        };
        fixture.plan(ADMIN, "User", action)
    }
}

impl Bench for Private<'static> {
    fn new(fixture: &Fixture) -> Self {
        Self::on(Postgres::shared(), fixture, |_| {})
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.running.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.sql(sql);
    }
}

cases!(Private<'static>);
agreement!(Private<'static>);

#[test]
fn rows_that_refer_to_one_another_go_together() {
    referred::they_go_together::<Private<'static>>();
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
fn what_is_stored_against_its_declared_type_is_an_internal_error_and_no_guess() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    bench.sql("INSERT INTO \"Sample\" (id, time) VALUES (1, 'infinity')");
    let action = Action::Read {
        target: fixture.target("Sample", "id", Value::Int(1)),
        projection: fixture.projection("Sample", &["time"]),
        includes: Vec::new(),
    };
    let outcome = bench.call(fixture.plan(ADMIN, "Sample", action));
    assert_eq!(told(&outcome), Some((Code::Internal, Advice::Final)));
}

#[test]
fn a_call_that_fails_leaves_those_before_it_to_be_looked_at_but_not_to_be_committed() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let comment = Action::Create {
        values: fixture.values("Comment", &[("noteId", uuid(BOB)), ("text", text("t"))]),
        projection: fixture.projection("Comment", &["id"]),
    };
    let comment = fixture.plan(ADMIN, "Comment", comment);
    let work = async {
        let servers = Rc::new(Servers::resolve(&config(bench.server, &bench.name)).unwrap());
        let (connected, driver) = servers.connect(0).await.unwrap();
        let live = Rc::new(Live::new(connected, servers, driver).0);
        let (tables, control, watch) = (Tables::default(), Control::within(LONG), Watch::default());
        let mut session = Connected::new(&live, &tables, &control, &watch);
        session.begin("BEGIN").await.unwrap();
        session.keep_others();
        for slug in ["a", "b"] {
            let note = Private::create(&fixture, slug);
            write::run(&mut session, &note).await.unwrap();
        }
        let failed = write::run(&mut session, &comment).await.unwrap_err();
        assert!(matches!(failed, Trouble::Fields { .. }), "{failed:?}");
        let count = read::run_within(&mut session, &Private::count(&fixture)).await;
        assert_eq!(count.unwrap().json, "2");
        assert!(matches!(
            session.commit(None).await,
            Err(Committing::RolledBack(_))
        ));
        session.roll_back().await;
    };
    tokio::task::LocalSet::new().block_on(&runtime, work);
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
}
