//! The PostgreSQL adapter: all calls wait side by side for their connections, on the thread that takes them off the channel and
//! sends their answers. To hand a call to another thread and back would cost more than all that is done for a short read.

mod numeric;
mod values;
mod arrays;
pub(super) mod tls;
pub(super) mod servers;
pub(super) mod json_row;
pub(super) mod catalog;
pub(in crate::database) mod types;
mod defaults;
mod repair;
pub(super) mod trouble;
pub mod open;
mod live;
pub(super) mod pool;
mod session;
mod keys;
pub(super) mod tables;
mod begin;
pub(super) mod call;
mod observer;
mod listen;
mod sweep;
#[cfg(fuzzing)]
pub mod fuzzed;

use dbal_shared::message::Capabilities;
use std::rc::Rc;
use std::sync::Arc;

use super::Work;
use super::gather::{self, PATIENCE};
use super::leasing;
use super::queue::{Queue, Service};
use super::singles::Singles;
use crate::job::Job;
use keys::{Gathering, Keys, Shared};
pub use open::{Connections, OpenError, open};
pub(super) use pool::alone_at_once;
use pool::{Need, Pool};

/// What it can do, and what does it.
pub(super) fn start(connections: Connections, work: Work) -> (Capabilities, impl Future<Output = ()>) {
    let capabilities = connections.capabilities.clone();
    (capabilities, serve(connections, work))
}

/// Serves until the queues are closed and empty and every call is answered.
async fn serve(connections: Connections, work: Work) {
    let Connections {
        servers,
        tables,
        pool_size,
        capabilities: _,
        effects: _,
        is_primary,
    } = connections;
    let Work {
        keys,
        reads,
        writes,
        active,
        samples,
        keeping,
        effects,
        cache,
        // The observer ends with the thread.
        stop: _,
    } = work;
    let (servers, tables) = (Rc::new(servers), Rc::new(tables));
    let size = usize::try_from(pool_size).unwrap_or(2);
    let pool = Rc::new(Pool::new(Rc::clone(&servers), size, active));
    for nth in 0..size {
        tokio::task::spawn_local(Rc::clone(&pool).keep(nth));
    }
    tokio::task::spawn_local(sweep::serve(Rc::clone(&servers), keeping));
    match cache {
        Some(cache) if is_primary => {
            tokio::task::spawn_local(listen::serve(Rc::clone(&servers), cache));
        }
        Some(_) => tracing::warn!(
            "no answers are kept with `target: any`: a replica does not tell of what is written, and may show less than the primary"
        ),
        None => {}
    }
    tokio::task::spawn_local(observer::serve(servers, samples));
    let gathering = Rc::new(Gathering::new(Shared {
        singles: Singles::new(pool.left_to_others(), PATIENCE),
        pool,
        tables,
        effects,
    }));
    let serve_keys = async {
        if let Some(keys) = keys {
            gather::serve(&Rc::new(Keys::of(Rc::clone(&gathering))), &keys).await;
        }
    };
    futures_util::join!(
        serve_keys,
        serve_alone(&gathering, &reads, Need::Reading),
        serve_alone(&gathering, &writes, Need::Writing)
    );
}

/// Serves calls that need a connection each.
async fn serve_alone(gathering: &Rc<Gathering>, queue: &Arc<Queue<Job>>, need: Need) {
    let run = {
        let gathering = Rc::clone(gathering);
        async move |job, lease, mut service: Service<Job>| {
            service.took(call::run(&gathering, job, Some(lease)).await);
        }
    };
    let pool = &gathering.database.pool;
    leasing::serve(queue, async |control| pool.lease(need, control).await, run).await;
}

#[cfg(test)]
pub(super) mod tests;
