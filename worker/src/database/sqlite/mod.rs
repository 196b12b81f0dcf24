//! The SQLite adapter: bundled library, one file, write-ahead log.

pub mod catalog;
pub mod repair;
pub mod open;
mod sums;
pub(super) mod functions;
mod values;
mod instants;
mod trouble;
pub(super) mod session;
mod watch;
mod order;
pub mod observer;
mod sweep;
pub mod reader;
pub mod writer;
#[cfg(fuzzing)]
pub mod fuzzed;

use std::sync::Arc;
use std::thread::JoinHandle;

use dbal_shared::message::Capabilities;

use super::{NoThread, Work, spawn};
pub use open::{Connections, OpenError, open};

/// Starts one thread that writes, those that read, and the observer.
pub(super) fn start(
    connections: Connections,
    work: Work,
) -> Result<(Capabilities, Vec<JoinHandle<()>>), NoThread> {
    let Connections {
        writer,
        readers,
        observer,
        dialect,
        capabilities,
        effects: _,
    } = connections;
    let Work {
        // A connection of one's own is a function call away.
        keys: _,
        reads,
        writes,
        active,
        samples,
        keeping,
        // Nobody is told: who else writes is seen when an answer's time is over.
        effects: _,
        cache: _,
        stop,
    } = work;
    let mut threads = Vec::new();
    {
        let active = Arc::clone(&active);
        threads.push(spawn("writer".to_owned(), move || {
            writer::serve(writer, dialect, &writes, &active, keeping);
        })?);
    }
    for (nth, reader) in readers.into_iter().enumerate() {
        let (reads, active) = (Arc::clone(&reads), Arc::clone(&active));
        threads.push(spawn(format!("reader-{nth}"), move || {
            reader::serve(reader, dialect, &reads, &active);
        })?);
    }
    threads.push(spawn("observer".to_owned(), move || {
        observer::serve(&observer, &samples, &stop);
    })?);
    Ok((capabilities, threads))
}

#[cfg(test)]
mod tests;
