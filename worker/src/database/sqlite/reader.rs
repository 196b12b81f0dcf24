//! A thread that runs queries, one after the other, on its own connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use dbal_shared::message::Reply;
use rusqlite::Connection;

use super::read;
use super::trouble::Trouble;
use super::watch::watched;
use crate::database::queue::Queue;
use crate::job::{Job, Refusal};

/// Serves until the queue is closed and empty.
pub fn serve(mut connection: Connection, queue: &Queue<Job>, active: &AtomicU32) {
    // One at a time: a second query taken along would wait for the first although another thread is free.
    while let Some(jobs) = queue.take(1) {
        for Job { plan, ticket } in jobs {
            active.fetch_add(1, Ordering::Relaxed);
            let outcome = match ticket.control().over() {
                Some(refusal) => Err(refusal),
                None => timed(|| {
                    watched(&mut connection, ticket.control(), |connection| {
                        read::run(connection, &plan)
                    })
                }),
            };
            active.fetch_sub(1, Ordering::Relaxed);
            ticket.answer(outcome);
        }
    }
}

/// Runs `work`, puts its time into the reply, and logs what is our own fault.
pub(super) fn timed(work: impl FnOnce() -> Result<Reply, Trouble>) -> Result<Reply, Refusal> {
    let start = Instant::now();
    let outcome = work();
    let database_us = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
    match outcome {
        Ok(reply) => Ok(Reply { database_us, ..reply }),
        Err(trouble) => Err(trouble.into_refusal()),
    }
}
