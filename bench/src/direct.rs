//! The same statements from this process: prepared, one connection for each client, which waits for each answer; the same
//! settings, a copy of the same rows.

mod mariadb;
mod postgresql;
mod sqlite;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::measure::{Call, Measured};
use crate::usage::Used;
use crate::world::{Beside, World};

/// One client of the database itself.
trait Client: Send {
    /// The row of this turn, or a new one. False when there is none left to delete.
    fn one(&mut self, call: Call, turn: usize) -> bool;
}

/// Runs one cell.
pub fn run(world: &World, call: Call, clients: usize, span: Duration) -> Measured {
    let start = Arc::new(Barrier::new(clients + 1));
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let mut client = client(world, call, number, clients, span);
            let start = Arc::clone(&start);
            std::thread::spawn(move || {
                start.wait();
                let began = Instant::now();
                let mut latencies = Vec::new();
                for turn in 0.. {
                    let sent = Instant::now();
                    if sent - began >= span || !client.one(call, turn) {
                        break;
                    }
                    latencies.push(sent.elapsed());
                }
                // The client comes along: to end it is no part of what is measured.
                (latencies, began.elapsed(), client)
            })
        })
        .collect();
    start.wait();
    let before = Used::by_now(world);
    let mut latencies = Vec::new();
    let mut longest = Duration::ZERO;
    let mut ended = Vec::new();
    for thread in threads {
        let (of_one, took, client) = thread.join().expect("a client");
        latencies.extend(of_one);
        longest = longest.max(took);
        ended.push(client);
    }
    let used = Used::by_now(world).since(before);
    Measured::of(latencies, longest, used)
}

fn client(world: &World, call: Call, number: usize, clients: usize, span: Duration) -> Box<dyn Client> {
    match &world.beside {
        Beside::Sqlite { copy } => Box::new(sqlite::Direct::new(world, copy, call, number, clients, span)),
        Beside::Postgresql { server, database } => Box::new(postgresql::Direct::new(
            world, server, database, call, number, clients, span,
        )),
        Beside::Mariadb { server, database } => Box::new(mariadb::Direct::new(
            world, server, database, call, number, clients, span,
        )),
    }
}

/// A key that nobody has.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // In order, as uuid v7 are: both sides append to the index.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("0199ffff-ffff-7000-8000-{number:012x}")
}
