//! The adapter for MariaDB and MySQL: calls wait side by side for their connections, on the thread that takes them off the channel
//! and sends their answers.
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
mod pool;
mod call;
mod keys;
mod observer;
mod sweep;
#[cfg(fuzzing)]
pub mod fuzzed;

use std::rc::Rc;
use std::sync::Arc;

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Capabilities};
use tokio::task::JoinSet;

use super::Work;
use super::gather;
use super::leasing::{self, Kind};
use super::queue::Queue;
use super::trouble::Trouble;
use crate::job::Job;
use keys::Keys;
pub use open::{Connections, OpenError, open};
use pool::Pool;

/// What it can do, and what does it.
pub(super) fn start(connections: Connections, work: Work) -> (Capabilities, impl Future<Output = ()>) {
    let capabilities = connections.capabilities.clone();
    (capabilities, serve(connections, work))
}

/// Serves until the queues are closed and empty and every call is answered.
async fn serve(connections: Connections, work: Work) {
    let Connections {
        server,
        pool_size,
        capabilities: _,
        effects: _,
    } = connections;
    let Work {
        keys,
        reads,
        writes,
        active,
        samples,
        keeping,
        // As for SQLite.
        effects: _,
        cache: _,
        // What serves nobody ends with the others.
        stop: _,
    } = work;
    let server = Rc::new(server);
    let (kills, orders) = tokio::sync::mpsc::unbounded_channel();
    let pool = Rc::new(Pool::new(Rc::clone(&server), kills, active));
    // Ended when dropped.
    let mut beside = JoinSet::new();
    let size = usize::try_from(pool_size).unwrap_or(2);
    for _ in 0..pool_size {
        beside.spawn_local(Rc::clone(&pool).keep());
    }
    beside.spawn_local(sweep::serve(Rc::clone(&server), keeping));
    beside.spawn_local(observer::serve(server, samples, orders));
    let serve_keys = async {
        if let Some(keys) = keys {
            gather::serve(&Rc::new(Keys::on(&pool, size)), &keys).await;
        }
    };
    futures_util::join!(
        serve_keys,
        serve_alone(&pool, &reads, Kind::LongRead),
        serve_alone(&pool, &writes, Kind::Change)
    );
    drop(beside);
    pool.close();
}

/// Serves calls that need a connection each.
async fn serve_alone(pool: &Rc<Pool>, queue: &Arc<Queue<Job>>, kind: Kind) {
    let run = {
        let pool = Rc::clone(pool);
        async move |job, lease, service| call::run(&pool, job, lease, service).await
    };
    leasing::serve(queue, async |control| pool.lease(kind, control).await, run).await;
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
