//! One client of MariaDB, over the Unix socket that the daemon uses, too. Rows go in and out as the worker's do: a `uuid` is a text.

use std::collections::HashMap;
use std::time::Duration;

use dbal_servers::mariadb::{MariaDb, PASSWORD};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Params, Row, Statement, Value};
use tokio::runtime::Runtime;

use super::{Client, new_id};
use crate::measure::{Call, MANY};
use crate::through_dbal::{doomed_rows, ids};
use crate::world::{World, ranks};

const CELLS: &str = "id, ownerId, title, body, `rank`, createdAt";
/// As the worker's sessions, which are the tests' as well.
const SESSION: [&str; 2] = [
    "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// A connection, its prepared statements, and the rows that it is about.
pub(super) struct Direct {
    runtime: Runtime,
    connection: Conn,
    statements: HashMap<&'static str, Statement>,
    owner: String,
    keys: Vec<String>,
}

impl Direct {
    pub(super) fn new(
        world: &World,
        server: &MariaDb,
        database: &str,
        call: Call,
        number: usize,
        clients: usize,
        span: Duration,
    ) -> Self {
        // As the blocking driver does it: everything on the thread that waits.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let options = OptsBuilder::default()
            .user(Some(database))
            .pass(Some(PASSWORD))
            .db_name(Some(database))
            .prefer_socket(false)
            .client_found_rows(true)
            .socket(Some(server.socket().to_string_lossy()));
        let (connection, statements) = runtime.block_on(async {
            let mut connection = Conn::new(options).await.expect("a connection");
            for command in SESSION {
                connection.query_drop(command).await.expect("a command");
            }
            let mut statements = HashMap::new();
            for (name, sql) in sql() {
                let prepared = connection.prep(&sql).await;
                statements.insert(name, prepared.unwrap_or_else(|error| panic!("{sql}: {error:?}")));
            }
            (connection, statements)
        });
        let mut direct = Self {
            runtime,
            connection,
            statements,
            owner: world.owner.clone(),
            keys: ids(world, number).cloned().collect(),
        };
        if call == Call::Delete {
            direct.keys = (0..doomed_rows(clients, span)).map(|_| new_id()).collect();
            direct.command("START TRANSACTION");
            for key in direct.keys.clone() {
                direct.create(&key, 1_000_000 + number);
            }
            direct.command("COMMIT");
        }
        direct
    }

    fn command(&mut self, sql: &'static str) {
        let done = self.connection.query_drop(sql);
        self.runtime.block_on(done).expect("a command");
    }

    /// Runs a prepared statement and looks at every value of every row.
    fn rows(&mut self, name: &'static str, values: Vec<Value>) -> usize {
        let statement = self.statements[name].clone();
        let rows = self
            .connection
            .exec::<Row, _, _>(statement, Params::Positional(values));
        let rows = self.runtime.block_on(rows).expect("rows");
        for row in &rows {
            for nth in 0..row.len() {
                std::hint::black_box(row.as_ref(nth));
            }
        }
        rows.len()
    }

    /// Runs a prepared statement that has no rows; how many it found.
    fn change(&mut self, name: &'static str, values: Vec<Value>) -> u64 {
        let statement = self.statements[name].clone();
        let done = self.connection.exec_drop(statement, Params::Positional(values));
        self.runtime.block_on(done).expect("a change");
        self.connection.affected_rows()
    }

    fn create(&mut self, key: &str, rank: usize) {
        let mut values = vec![key.into(), self.owner.as_str().into()];
        values.extend(rest(rank));
        assert_eq!(self.rows("create", values), 1);
    }
}

fn rest(rank: usize) -> [Value; 3] {
    let (title, body) = ("Item number 7", "Some forty bytes of text, as notes have.");
    [title.into(), body.into(), rank.into()]
}

fn sql() -> Vec<(&'static str, String)> {
    let one = "(?, ?, ?, ?, ?, NOW(3))";
    let insert = format!("INSERT INTO direct ({CELLS}) VALUES");
    vec![
        (
            "read",
            format!("SELECT {CELLS} FROM direct WHERE id = ? AND ownerId = ?"),
        ),
        ("create", format!("{insert} {one} RETURNING {CELLS}")),
        // It has no RETURNING.
        (
            "update",
            "UPDATE direct SET body = ? WHERE id = ? AND ownerId = ?".to_owned(),
        ),
        (
            "delete",
            "DELETE FROM direct WHERE id = ? AND ownerId = ?".to_owned(),
        ),
        (
            "list",
            format!(
                "SELECT {CELLS} FROM direct WHERE `rank` = ? AND ownerId = ? ORDER BY title, id LIMIT 20"
            ),
        ),
        (
            "count",
            "SELECT count(*) FROM direct WHERE `rank` = ? AND ownerId = ?".to_owned(),
        ),
        ("many", format!("{insert} {}", vec![one; MANY].join(", "))),
    ]
}

impl Client for Direct {
    fn one(&mut self, call: Call, turn: usize) -> bool {
        if call == Call::Delete && turn >= self.keys.len() {
            return false;
        }
        let key: Value = self.keys[turn % self.keys.len()].as_str().into();
        let owner: Value = self.owner.as_str().into();
        let rank = turn % ranks();
        match call {
            Call::Read => assert_eq!(self.rows("read", vec![key, owner]), 1),
            Call::Update => {
                let body = format!("changed {turn}").into();
                self.command("START TRANSACTION");
                assert_eq!(self.change("update", vec![body, key.clone(), owner.clone()]), 1);
                assert_eq!(self.rows("read", vec![key, owner]), 1);
                self.command("COMMIT");
            }
            Call::Create => self.create(&new_id(), rank),
            Call::Delete => assert_eq!(self.change("delete", vec![key, owner]), 1),
            Call::List => {
                self.command("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
                self.command("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
                self.rows("list", vec![rank.into(), owner.clone()]);
                self.rows("count", vec![rank.into(), owner]);
                self.command("COMMIT");
            }
            // One statement, which is the stronger side to be compared with.
            Call::CreateMany => {
                let mut values = Vec::with_capacity(5 * MANY);
                for _ in 0..MANY {
                    values.extend([new_id().into(), owner.clone()]);
                    values.extend(rest(rank));
                }
                assert_eq!(self.change("many", values), MANY as u64);
            }
        }
        true
    }
}
