//! Every action and every error on a real MariaDB, and what is its own.

use dbal_config::{Host, Mysql, SslMode, Target};
use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_shared::fault::Code;
use dbal_shared::message::Reply;
use dbal_sql::ValidPlan;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::runtime::Runtime;

use super::open::open;
use crate::database::Connections;
use crate::database::agreement::{Folding, agreement};
use crate::database::cases::{Bench, cases, referred};
use crate::database::running::Running;
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, BOB, Fixture};

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

/// A new database, and the adapter on it.
struct Private {
    running: Running,
    runtime: Runtime,
    /// Another way in: a program for each script would take longer than what it tells the server.
    root: std::cell::RefCell<Conn>,
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
        let config = Mysql {
            pool_size: 2,
            ..config(server, &database)
        };
        let connections = open(&config, fixture.policy.schema()).unwrap();
        let runtime = runtime();
        let root = OptsBuilder::default()
            .socket(Some(server.socket().display().to_string()))
            .user(Some("root"))
            .db_name(Some(database));
        let bench = Self {
            root: std::cell::RefCell::new(runtime.block_on(Conn::new(root)).unwrap()),
            runtime,
            running: Running::on(Connections::Mysql(connections)),
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
        self.running.run(plan)
    }

    fn execute(&self, sql: &str) {
        let mut root = self.root.borrow_mut();
        self.runtime
            .block_on(root.query_drop(sql.replace('"', "`")))
            .unwrap();
    }
}

mod alone;
mod beside;
mod compared;
mod expired;
mod failover;
mod faults;
mod foreign;
mod pages;
mod real_mysql;
mod scarce;
mod settings;
mod together;
mod turns;
mod uuids;

cases!(Private);
agreement!(Private);

/// InnoDB looks at each row as it goes, whatever the reference says.
#[test]
fn in_mariadb_rows_that_refer_to_one_another_or_to_themselves_are_kept() {
    let [itself, together, left] = referred::removed::<Private>();
    assert_eq!(itself.unwrap_err().0, Code::Invalid);
    assert_eq!(together.unwrap_err().0, Code::Invalid);
    assert_eq!(left, Ok(5.into()));
}
