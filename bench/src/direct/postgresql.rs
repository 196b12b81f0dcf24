//! One client of PostgreSQL, over the Unix socket that the daemon uses, too.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_tests::worker_alone::uuid;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{NoTls, Statement};

use super::{Client, new_id};
use crate::measure::{Call, MANY};
use crate::through_dbal::{doomed_rows, ids};
use crate::world::{World, ranks};

const CELLS: &str = r#"id, "ownerId", title, body, rank, "createdAt""#;

/// A connection, its prepared statements, and the rows that it is about.
pub(super) struct Direct {
    runtime: Runtime,
    client: tokio_postgres::Client,
    statements: HashMap<&'static str, Statement>,
    owner: Key,
    keys: Vec<Key>,
}

impl Direct {
    pub(super) fn new(
        world: &World,
        server: &Postgres,
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
        let socket = server.folder().join(format!(".s.PGSQL.{}", server.port()));
        let (client, statements) = runtime.block_on(async {
            let stream = UnixStream::connect(socket).await.expect("a connection");
            let mut config = tokio_postgres::Config::new();
            config.user(database).dbname(database).password(PASSWORD);
            let (client, driver) = config.connect_raw(stream, NoTls).await.expect("a session");
            tokio::spawn(driver);
            let mut statements = HashMap::new();
            for (name, sql) in sql() {
                let prepared = client.prepare(&sql).await;
                statements.insert(name, prepared.unwrap_or_else(|error| panic!("{sql}: {error:?}")));
            }
            (client, statements)
        });
        let mut direct = Self {
            runtime,
            client,
            statements,
            owner: Key(uuid(&world.owner)),
            keys: ids(world, number).map(|id| Key(uuid(id))).collect(),
        };
        if call == Call::Delete {
            direct.keys = (0..doomed_rows(clients, span)).map(|_| Key::new()).collect();
            direct.command("BEGIN");
            for key in direct.keys.clone() {
                direct.create(key, 1_000_000 + number);
            }
            direct.command("COMMIT");
        }
        direct
    }

    fn command(&self, sql: &'static str) {
        self.runtime
            .block_on(self.client.batch_execute(sql))
            .expect("a command");
    }

    /// Runs a prepared statement and looks at every value of every row.
    fn rows(&self, name: &'static str, values: &[&(dyn ToSql + Sync)]) -> usize {
        let rows = self.client.query(&self.statements[name], values);
        let rows = self.runtime.block_on(rows).expect("rows");
        for row in &rows {
            for nth in 0..row.len() {
                std::hint::black_box(row.get::<_, Raw<'_>>(nth).0);
            }
        }
        rows.len()
    }

    fn create(&self, key: Key, rank: usize) {
        let (title, body) = ("Item number 7", "Some forty bytes of text, as notes have.");
        assert_eq!(
            self.rows("create", &[&key, &self.owner, &title, &body, &integer(rank)]),
            1
        );
    }
}

fn sql() -> Vec<(&'static str, String)> {
    let one = "($1, $2, $3, $4, $5, now())";
    let many: Vec<String> = (0..MANY)
        .map(|nth| format!("(${}, $1, $2, $3, $4, now())", nth + 5))
        .collect();
    let insert = format!("INSERT INTO direct ({CELLS}) VALUES");
    vec![
        (
            "read",
            format!(r#"SELECT {CELLS} FROM direct WHERE id = $1 AND "ownerId" = $2"#),
        ),
        ("create", format!("{insert} {one} RETURNING {CELLS}")),
        (
            "update",
            format!(r#"UPDATE direct SET body = $3 WHERE id = $1 AND "ownerId" = $2 RETURNING {CELLS}"#),
        ),
        (
            "delete",
            r#"DELETE FROM direct WHERE id = $1 AND "ownerId" = $2 RETURNING 1"#.to_owned(),
        ),
        (
            "list",
            format!(
                r#"SELECT {CELLS} FROM direct WHERE rank = $1 AND "ownerId" = $2 ORDER BY title, id LIMIT 20"#
            ),
        ),
        (
            "count",
            r#"SELECT count(*) FROM direct WHERE rank = $1 AND "ownerId" = $2"#.to_owned(),
        ),
        ("many", format!("{insert} {} RETURNING 1", many.join(", "))),
    ]
}

impl Client for Direct {
    fn one(&mut self, call: Call, turn: usize) -> bool {
        if call == Call::Delete && turn >= self.keys.len() {
            return false;
        }
        let key = self.keys[turn % self.keys.len()];
        let rank = integer(turn % ranks());
        match call {
            Call::Read => assert_eq!(self.rows("read", &[&key, &self.owner]), 1),
            Call::Update => {
                let body = format!("changed {turn}");
                assert_eq!(self.rows("update", &[&key, &self.owner, &body]), 1);
            }
            Call::Create => self.create(Key::new(), turn % ranks()),
            Call::Delete => assert_eq!(self.rows("delete", &[&key, &self.owner]), 1),
            Call::List => {
                self.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                self.rows("list", &[&rank, &self.owner]);
                self.rows("count", &[&rank, &self.owner]);
                self.command("COMMIT");
            }
            // One statement, which is the stronger side to be compared with.
            Call::CreateMany => {
                let keys: Vec<Key> = (0..MANY).map(|_| Key::new()).collect();
                let (title, body) = ("Item number 7", "Some forty bytes of text, as notes have.");
                let mut values: Vec<&(dyn ToSql + Sync)> = vec![&self.owner, &title, &body, &rank];
                values.extend(keys.iter().map(|key| key as &(dyn ToSql + Sync)));
                assert_eq!(self.rows("many", &values), MANY);
            }
        }
        true
    }
}

fn integer(number: usize) -> i32 {
    i32::try_from(number).expect("a small number")
}

/// A uuid, as the server wants it.
#[derive(Clone, Copy, Debug)]
struct Key([u8; 16]);

impl Key {
    fn new() -> Self {
        Self(uuid(&new_id()))
    }
}

impl ToSql for Key {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

/// A value as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
