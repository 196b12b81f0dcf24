//! The same statements from this process: prepared, one connection for each client, the same settings, a copy of the same file.

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::measure::{Call, MANY, Measured};
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

/// Runs one cell.
pub fn run(world: &World, call: Call, clients: usize, span: Duration) -> Measured {
    let start = Arc::new(Barrier::new(clients));
    let stored = Stored::of(world);
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let connection = open(world);
            let mut keys: Vec<Key> = ids(world, number).map(|id| stored.key(id)).collect();
            if call == Call::Delete {
                keys = doomed(&connection, &stored, number, doomed_rows(clients, span));
            }
            let (start, stored) = (Arc::clone(&start), stored.clone());
            std::thread::spawn(move || {
                start.wait();
                let began = Instant::now();
                let mut latencies = Vec::new();
                let limit = if call == Call::Delete {
                    keys.len()
                } else {
                    usize::MAX
                };
                for turn in 0..limit {
                    let sent = Instant::now();
                    if sent - began >= span {
                        break;
                    }
                    one(&connection, &stored, call, &keys[turn % keys.len()], turn);
                    latencies.push(sent.elapsed());
                }
                (latencies, began.elapsed())
            })
        })
        .collect();
    let mut latencies = Vec::new();
    let mut longest = Duration::ZERO;
    for thread in threads {
        let (of_one, took) = thread.join().expect("a client");
        latencies.extend(of_one);
        longest = longest.max(took);
    }
    Measured::of(latencies, longest)
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

fn open(world: &World) -> Connection {
    let connection = Connection::open(&world.copy).expect("the copy");
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
    fn of(world: &World) -> Self {
        let (owner, created) = open(world)
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
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // In order, as uuid v7 are: both sides append to the index.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.key(&format!("0199ffff-ffff-7000-8000-{number:012x}"))
    }
}
