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
pub(super) mod call;
mod observer;
mod listen;
mod sweep;
#[cfg(fuzzing)]
pub mod fuzzed;

use dbal_shared::message::Capabilities;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::task::JoinSet;

use super::Work;
use super::leasing::told;
use super::queue::Queue;
use crate::job::Job;
use keys::{Gathering, Shared};
pub use open::{Connections, OpenError, open};
use pool::{DEPTH, Need, Pool};

/// Reads that wait here for a connection of their own, so that those that share one can pass.
const HELD: usize = 16;

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
        pool,
        tables,
        effects,
    }));
    futures_util::future::join(serve_reads(&gathering, &reads), serve_writes(&gathering, &writes)).await;
}

async fn serve_writes(gathering: &Rc<Gathering>, queue: &Queue<Job>) {
    let pool = &gathering.database.pool;
    let mut calls = JoinSet::new();
    // One at a time, each when there is a connection for it: the others wait in the queue, where they take turns.
    while let Some(jobs) = queue.taken(1).await {
        for job in jobs {
            match pool.lease(Need::Writing, job.ticket.control()).await {
                Ok(lease) => {
                    calls.spawn_local(call::run(Rc::clone(gathering), job, Some(lease)));
                }
                Err(refusal) => job.answer(Err(refusal)),
            }
        }
        while let Some(ended) = calls.try_join_next() {
            told(ended);
        }
    }
    while let Some(ended) = calls.join_next().await {
        told(ended);
    }
}

async fn serve_reads(gathering: &Rc<Gathering>, queue: &Queue<Job>) {
    let pool = &gathering.database.pool;
    let most = pool.shared().saturating_mul(DEPTH).saturating_add(pool.size());
    let mut calls = JoinSet::new();
    let mut held: VecDeque<Job> = VecDeque::new();
    let mut is_open = true;
    while is_open || !held.is_empty() || !calls.is_empty() {
        while let Some(lease) = (!held.is_empty())
            .then(|| pool.try_lease(Need::Reading))
            .flatten()
        {
            if let Some(job) = held.pop_front() {
                calls.spawn_local(call::run(Rc::clone(gathering), job, Some(lease)));
            }
        }
        give_up(pool, &mut held);
        // So many that all of them find a place, of whichever kind they are.
        let room = most
            .saturating_sub(calls.len())
            .min(HELD.saturating_sub(held.len()));
        tokio::select! {
            biased;
            Some(ended) = calls.join_next(), if !calls.is_empty() => told(ended),
            () = pool.changed(), if !held.is_empty() => {}
            jobs = queue.taken(room), if is_open && room > 0 => match jobs {
                None => is_open = false,
                Some(jobs) => for job in jobs {
                    match call::need(&job.task) {
                        Need::Reading => held.push_back(job),
                        Need::Place | Need::Writing => {
                            calls.spawn_local(call::run(Rc::clone(gathering), job, None));
                        }
                    }
                },
            },
        }
    }
}

/// Answers those that need not wait any longer.
fn give_up(pool: &Pool, held: &mut VecDeque<Job>) {
    let is_down = pool.is_down();
    let mut waiting = VecDeque::with_capacity(held.len());
    for job in held.drain(..) {
        match job.ticket.control().over().or_else(|| is_down.clone()) {
            Some(refusal) => job.answer(Err(refusal)),
            None => waiting.push_back(job),
        }
    }
    *held = waiting;
}

#[cfg(test)]
pub(super) mod tests;
