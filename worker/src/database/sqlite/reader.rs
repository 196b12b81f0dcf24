//! A thread that runs queries, one after the other, on its own connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use dbal_sql::Dialect;
use rusqlite::Connection;

use super::session;
use super::watch::watched;
use crate::database::queue::Queue;
use crate::database::timed;
use crate::job::Job;

/// Serves until the queue is closed and empty.
pub fn serve(mut connection: Connection, dialect: &'static Dialect, queue: &Queue<Job>, active: &AtomicU32) {
    // One at a time: a second query taken along would wait for the first although another thread is free.
    while let Some(jobs) = queue.take(1) {
        for job in jobs {
            active.fetch_add(1, Ordering::Relaxed);
            let (control, began) = (job.ticket.control(), Instant::now());
            let outcome = match control.over() {
                Some(refusal) => Err(refusal),
                None => timed(control, || {
                    watched(&mut connection, control, |connection| {
                        session::read_task(connection, dialect, &job.task, control)
                    })
                }),
            };
            active.fetch_sub(1, Ordering::Relaxed);
            queue.done(job.ticket.lane(), began.elapsed());
            job.answer(outcome);
        }
    }
}
