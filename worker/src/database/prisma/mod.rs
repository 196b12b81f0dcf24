//! The adapter for a database that is reached through a Prisma client only: each statement is one HTTP request to the bridge,
//! and its own transaction. One thread, on which calls wait side by side for their answers.
//!
//! Nothing can be held open between two requests. So a change is one statement, which fails if any of it may not be; what
//! takes several (a transaction, a name under which a write is done once) is refused, and `getCapabilities` says so.

mod endpoint;
mod exchange;
mod protocol;
mod values;
mod trouble;
mod pool;
mod tables;
pub mod open;
mod session;
mod call;
mod observer;
#[cfg(fuzzing)]
pub mod fuzzed;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use dbal_shared::message::Capabilities;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet, LocalSet};

use super::{NoThread, Work, spawn};
pub use open::{Connections, OpenError, open};
use pool::Pool;

/// Starts the thread.
pub(super) fn start(
    connections: Connections,
    work: Work,
) -> Result<(Capabilities, Vec<JoinHandle<()>>), NoThread> {
    let capabilities = connections.capabilities.clone();
    // Here, where its failure can be told.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| NoThread {
            name: "prisma".to_owned(),
            source,
        })?;
    let thread = spawn("prisma".to_owned(), move || {
        LocalSet::new().block_on(&runtime, serve(connections, work));
    })?;
    Ok((capabilities, vec![thread]))
}

/// Serves until the queue is closed and empty and every call is answered.
async fn serve(connections: Connections, work: Work) {
    let Connections {
        endpoint,
        tables,
        pool_size,
        capabilities: _,
        effects: _,
    } = connections;
    let Work {
        reads,
        // INVARIANT: `Database::start` gives this adapter one queue for both.
        writes: _,
        active,
        samples,
        // It keeps no answers.
        keeping: _,
        // A bridge can't be listened through.
        effects: _,
        cache: _,
        // The observer ends with the thread.
        stop: _,
    } = work;
    let size = usize::try_from(pool_size).unwrap_or(1);
    let pool = Rc::new(Pool::new(endpoint, active));
    let tables = Rc::new(tables);
    let observer = tokio::task::spawn_local(observer::serve(Rc::clone(&pool), samples));
    let places = Arc::new(Semaphore::new(size));
    let mut calls = JoinSet::new();
    // A place first, then a call: the others wait in the queue, where they take turns. Nobody closes the semaphore.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(jobs) = reads.taken(1).await else {
            break;
        };
        let (pool, tables) = (Rc::clone(&pool), Rc::clone(&tables));
        calls.spawn_local(async move {
            for job in jobs {
                call::run(&pool, &tables, job).await;
            }
            drop(place);
        });
        while let Some(ended) = calls.try_join_next() {
            told(ended);
        }
    }
    while let Some(ended) = calls.join_next().await {
        told(ended);
    }
    observer.abort();
}

fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a call ended badly");
    }
}

#[cfg(test)]
mod tests;
