//! One client of SQLite.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{Client, new_id};
use crate::measure::{Call, MANY};
use crate::through_dbal::{doomed_rows, ids};
use crate::world::{World, ranks};

const READ: &str =
    "SELECT id, ownerId, title, body, rank, createdAt FROM Item WHERE id = ?1 AND ownerId = ?2";
const CREATE: &str =
    "INSERT INTO Item (id, ownerId, title, body, rank, createdAt) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    RETURNING id, ownerId, title, body, rank, createdAt";
const UPDATE: &str = "UPDATE Item SET body = ?3 WHERE id = ?1 AND ownerId = ?2 RETURNING id, ownerId, title, body, rank, createdAt";
const DELETE: &str = "DELETE FROM Item WHERE id = ?1 AND ownerId = ?2";
const LIST: &str = "SELECT id, ownerId, title, body, rank, createdAt FROM Item WHERE rank = ?1 AND ownerId = ?2 ORDER BY title LIMIT 20";
const COUNT: &str = "SELECT count(*) FROM Item WHERE rank = ?1 AND ownerId = ?2";

/// A connection, and the rows that it is about.
pub(super) struct Direct {
    connection: Connection,
    stored: Stored,
    keys: Vec<Key>,
}

impl Direct {
    pub(super) fn new(
        world: &World,
        copy: &Path,
        call: Call,
        number: usize,
        clients: usize,
        span: Duration,
    ) -> Self {
        let connection = open(copy);
        let stored = Stored::of(world, &connection);
        let keys = if call == Call::Delete {
            doomed(&connection, &stored, number, doomed_rows(clients, span))
        } else {
            ids(world, number).map(|id| stored.key(id)).collect()
        };
        Self {
            connection,
            stored,
            keys,
        }
    }
}

impl Client for Direct {
    fn one(&mut self, call: Call, turn: usize) -> bool {
        if call == Call::Delete && turn >= self.keys.len() {
            return false;
        }
        one(
            &self.connection,
            &self.stored,
            call,
            &self.keys[turn % self.keys.len()],
            turn,
        );
        true
    }
}

fn one(connection: &Connection, stored: &Stored, call: Call, key: &Key, turn: usize) {
    match call {
        Call::Read => assert_eq!(rows(connection, READ, params![key, stored.owner]), 1),
        Call::Update => {
            // Never the same value twice: SQLite writes nothing, and syncs nothing, when nothing changes.
            let body = format!("changed {turn}");
            let _turn = writing();
            assert_eq!(rows(connection, UPDATE, params![key, stored.owner, body]), 1);
        }
        Call::Create => {
            let _turn = writing();
            create(connection, stored, turn);
        }
        Call::Delete => {
            let _turn = writing();
            let mut statement = connection.prepare_cached(DELETE).expect("a statement");
            assert_eq!(
                statement.execute(params![key, stored.owner]).expect("a delete"),
                1
            );
        }
        Call::List => {
            let rank = integer(turn % ranks());
            let transaction = connection.unchecked_transaction().expect("a transaction");
            rows(&transaction, LIST, params![rank, stored.owner]);
            rows(&transaction, COUNT, params![rank, stored.owner]);
            transaction.commit().expect("a commit");
        }
        Call::CreateMany => {
            let _turn = writing();
            connection
                .execute_batch("BEGIN IMMEDIATE")
                .expect("a transaction");
            for _ in 0..MANY {
                create(connection, stored, turn);
            }
            connection.execute_batch("COMMIT").expect("a commit");
        }
    }
}

/// SQLite has one writer. Left to its busy handler, 64 connections sleep most of the time (some 100 writes a second, the last
/// after seconds); a program that knows lets its threads take turns. That is the stronger side to be compared with.
fn writing() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().expect("no writer panics")
}

fn create(connection: &Connection, stored: &Stored, turn: usize) {
    let key = stored.new_key();
    let created = rows(
        connection,
        CREATE,
        params![
            key,
            stored.owner,
            "Item number 7",
            "Some forty bytes of text, as notes have.",
            integer(turn % ranks()),
            stored.created
        ],
    );
    assert_eq!(created, 1);
}

/// Runs a prepared statement and reads every value of every row, as a program that wants them would.
fn rows(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> usize {
    let mut statement = connection.prepare_cached(sql).expect("a statement");
    let columns = statement.column_count();
    let mut found = statement.query(values).expect("rows");
    let mut count = 0;
    while let Some(row) = found.next().expect("a row") {
        for column in 0..columns {
            std::hint::black_box(row.get_ref(column).expect("a value"));
        }
        count += 1;
    }
    count
}

fn open(copy: &Path) -> Connection {
    let connection = Connection::open(copy).expect("the copy");
    connection
        .busy_timeout(Duration::from_secs(30))
        .expect("a timeout");
    // As the worker's own connections.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
        .expect("settings");
    connection
}

fn doomed(connection: &Connection, stored: &Stored, number: usize, count: usize) -> Vec<Key> {
    let keys: Vec<Key> = (0..count).map(|_| stored.new_key()).collect();
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .expect("a transaction");
    for key in &keys {
        let values = params![
            key,
            stored.owner,
            "doomed",
            "",
            integer(1_000_000 + number),
            stored.created
        ];
        rows(connection, CREATE, values);
    }
    connection.execute_batch("COMMIT").expect("a commit");
    keys
}

fn integer(number: usize) -> i64 {
    i64::try_from(number).expect("a small number")
}

type Key = rusqlite::types::Value;

/// How the daemon stores what these statements bind: keys as text or bytes, times as it likes.
#[derive(Clone)]
struct Stored {
    owner: Key,
    created: Key,
}

impl Stored {
    fn of(world: &World, connection: &Connection) -> Self {
        let (owner, created) = connection
            .query_row("SELECT ownerId, createdAt FROM Item LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("a row");
        assert!(!world.owner.is_empty());
        Self { owner, created }
    }

    fn key(&self, id: &str) -> Key {
        match self.owner {
            Key::Blob(_) => Key::Blob(dbal_tests::worker_alone::uuid(id).to_vec()),
            _ => Key::Text(id.to_owned()),
        }
    }

    fn new_key(&self) -> Key {
        self.key(&new_id())
    }
}
