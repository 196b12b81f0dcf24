//! The adapter for MariaDB and MySQL: some connections, each with a thread that takes calls in turn, reads and writes alike.
//!
//! The driver is the asynchronous half of the `mysql` crate's family, since only that half can be locked in: the blocking
//! one resolves names and opens the authority's file at each connect, and trusts the public authorities beside it.

pub mod open;
mod server;
mod catalog;
mod types;
mod defaults;
mod quoted;
mod order;
mod repair;
mod values;
mod trouble;
mod session;
mod line;
mod observer;
mod sweep;
#[cfg(fuzzing)]
pub mod fuzzed;

use std::sync::Arc;
use std::thread::JoinHandle;

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Capabilities};

use super::trouble::Trouble;
use super::{NoThread, Work, spawn};
pub use open::{Connections, OpenError, open};

/// Starts the threads. Each connects by itself, in a runtime of its own.
pub(super) fn start(
    connections: Connections,
    work: Work,
) -> Result<(Capabilities, Vec<JoinHandle<()>>), NoThread> {
    let Connections {
        server,
        pool_size,
        capabilities,
        effects: _,
    } = connections;
    let Work {
        reads,
        // INVARIANT: `Database::start` gives this adapter one queue for both.
        writes: _,
        active,
        samples,
        keeping,
        // As for SQLite.
        effects: _,
        cache: _,
        // The observer ends with the last line.
        stop,
    } = work;
    let server = Arc::new(server);
    let mut threads = Vec::new();
    let (kills, orders) = tokio::sync::mpsc::unbounded_channel();
    for nth in 0..pool_size {
        let (reads, active) = (Arc::clone(&reads), Arc::clone(&active));
        let (server, kills) = (Arc::clone(&server), kills.clone());
        threads.push(spawn(format!("mysql-{nth}"), move || {
            line::serve(server, kills, &reads, &active);
        })?);
    }
    drop(kills);
    let sweeping = Arc::clone(&server);
    threads.push(spawn("sweeper".to_owned(), move || {
        sweep::serve(&sweeping, keeping, &stop);
    })?);
    threads.push(spawn("observer".to_owned(), move || {
        observer::serve(&server, &samples, orders);
    })?);
    Ok((capabilities, threads))
}

/// Try again.
fn unavailable(detail: impl Into<String>) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::Retry,
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests;
