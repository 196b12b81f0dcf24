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
use tokio::task::LocalSet;

use super::leasing::{self, Kind};
use super::queue::Queue;
use super::{NoThread, Work, spawn};
use crate::job::Job;
pub use open::{Connections, OpenError, open};
use pool::Pool;
use tables::Tables;

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

/// Serves until the queues are closed and empty and every call is answered.
async fn serve(connections: Connections, work: Work) {
    let Connections {
        endpoint,
        tables,
        pool_size,
        capabilities: _,
        effects: _,
    } = connections;
    let Work {
        // Each statement is a request of its own.
        keys: _,
        reads,
        writes,
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
    let pool = Rc::new(Pool::new(endpoint, pool_size, active));
    let tables = Rc::new(tables);
    let observer = tokio::task::spawn_local(observer::serve(Rc::clone(&pool), samples));
    futures_util::future::join(
        serve_calls(&pool, &tables, &reads, Kind::Read),
        serve_calls(&pool, &tables, &writes, Kind::Change),
    )
    .await;
    observer.abort();
}

async fn serve_calls(pool: &Rc<Pool>, tables: &Rc<Tables>, queue: &Arc<Queue<Job>>, kind: Kind) {
    let run = {
        let (pool, tables) = (Rc::clone(pool), Rc::clone(tables));
        async move |job, lease, service| call::run(&pool, &tables, job, lease, service).await
    };
    leasing::serve(queue, async |control| pool.lease(kind, control).await, run).await;
}

#[cfg(test)]
mod tests;
