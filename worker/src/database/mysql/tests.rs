//! Every action and every error on a real MariaDB, and what is its own.

use std::sync::Arc;
use std::time::Duration;

use dbal_config::{Host, Mysql, SslMode, Target};
use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_shared::message::Reply;
use dbal_sql::ValidPlan;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::runtime::Runtime;

use super::line::Line;
use super::open::{Connections, open};
use crate::database::agreement::{Folding, agreement};
use crate::database::cases::{Bench, cases};
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, BOB, Fixture};
use crate::job::{Control, Task, What};

/// How to reach a database of the shared server.
fn config(server: &MariaDb, database: &str) -> Mysql {
    Mysql {
        host: vec![host("localhost", None)],
        port: server.port(),
        socket: None,
        database: database.to_owned(),
        user: database.to_owned(),
        password: Some(PASSWORD.into()),
        ssl_mode: SslMode::VerifyFull,
        ca_file: Some(server.ca_file()),
        pool_size: 4,
        target: Target::ReadWrite,
        create_tables: true,
    }
}

fn host(name: &str, port: Option<u16>) -> Host {
    Host::Tcp {
        name: name.to_owned(),
        port,
    }
}

/// A line to a new database.
struct Private {
    runtime: Runtime,
    line: std::cell::RefCell<Line>,
    /// Another way in: a program for each script would take longer than what it tells the server.
    root: std::cell::RefCell<Conn>,
}

/// A plan alone.
fn task(plan: &ValidPlan) -> Task {
    Task {
        what: What::One(Box::new(plan.clone())),
        once: None,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

impl Private {
    fn on(server: &'static MariaDb, fixture: &Fixture) -> Self {
        Self::of(server, server.database(), fixture, str::to_owned)
    }

    /// To a database that may have tables already; `spelt` makes a script suit them.
    fn of(server: &'static MariaDb, database: String, fixture: &Fixture, spelt: fn(&str) -> String) -> Self {
        let Connections { server: found, .. } =
            open(&config(server, &database), fixture.policy.schema()).unwrap();
        let runtime = runtime();
        let root = OptsBuilder::default()
            .socket(Some(server.socket().display().to_string()))
            .user(Some("root"))
            .db_name(Some(database));
        let (kills, _) = tokio::sync::mpsc::unbounded_channel();
        let bench = Self {
            root: std::cell::RefCell::new(runtime.block_on(Conn::new(root)).unwrap()),
            runtime,
            line: std::cell::RefCell::new(Line::new(Arc::new(found), kills)),
        };
        let users = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice'), ('{BOB}', 'bob')");
        bench.execute(&spelt(&users));
        bench
    }
}

impl Bench for Private {
    const FOLDING: Folding = Folding::Simple;

    fn new(fixture: &Fixture) -> Self {
        Self::on(MariaDb::shared(), fixture)
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        let control = Control::within(Duration::from_mins(1));
        self.line.borrow_mut().run(&self.runtime, &task(plan), &control)
    }

    fn execute(&self, sql: &str) {
        let mut root = self.root.borrow_mut();
        self.runtime
            .block_on(root.query_drop(sql.replace('"', "`")))
            .unwrap();
    }
}

mod beside;
mod compared;
mod expired;
mod failover;
mod faults;
mod foreign;
mod pages;
mod real_mysql;
mod scarce;
mod uuids;

cases!(Private);
agreement!(Private);
