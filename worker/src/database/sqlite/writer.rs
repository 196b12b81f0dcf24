//! The thread that writes. Changes that wait together are committed together, each in a savepoint of its own, and nobody
//! hears of a success before the commit.

use std::sync::atomic::{AtomicU32, Ordering};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use rusqlite::{Connection, ErrorCode};

use super::reader::timed;
use super::trouble::of_sqlite;
use super::watch::watched;
use super::write;
use crate::database::queue::Queue;
use crate::job::{Job, Refusal};

/// Most changes of one commit. One sync of the disk is shared by so many; more would only make the first wait longer.
const GROUP: usize = 64;

/// Serves until the queue is closed and empty, then moves the write-ahead log into the database file.
pub fn serve(mut connection: Connection, queue: &Queue<Job>, active: &AtomicU32) {
    while let Some(jobs) = queue.take(GROUP) {
        active.fetch_add(1, Ordering::Relaxed);
        for job in group(&mut connection, jobs) {
            group(&mut connection, vec![job]);
        }
        active.fetch_sub(1, Ordering::Relaxed);
    }
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log stays beside the database file; nothing is lost");
    }
}

/// Runs changes in one transaction and answers them. Returns those that must be run again, each alone, because another
/// one took the whole transaction with it.
fn group(connection: &mut Connection, jobs: Vec<Job>) -> Vec<Job> {
    let mut jobs: Vec<Job> = jobs.into_iter().filter_map(still_wanted).collect();
    if jobs.is_empty() {
        return Vec::new();
    }
    // IMMEDIATE: a lock that another process holds is met here, before anything is done.
    if let Err(error) = command(connection, "BEGIN IMMEDIATE") {
        let (code, advice) = of_sqlite(&error);
        for Job { plan: _, ticket } in jobs {
            ticket.answer(Err(Refusal::new(
                code,
                advice,
                format!("no transaction: {error}"),
            )));
        }
        return Vec::new();
    }
    let mut done: Vec<(Job, Result<Reply, Refusal>)> = Vec::with_capacity(jobs.len());
    let mut rest = jobs.drain(..);
    while let Some(job) = rest.next() {
        let outcome = in_savepoint(connection, &job);
        // An interrupted or starved statement may end the whole transaction (sqlite.org/lang_transaction.html, "Response
        // to errors within a transaction"). What the others did in it is gone: they run again without this one.
        if connection.is_autocommit() {
            job.ticket.answer(outcome.and_then(|_| Err(lost())));
            return done.into_iter().map(|(job, _)| job).chain(rest).collect();
        }
        done.push((job, outcome));
    }
    let committed = commit(connection);
    for (Job { plan: _, ticket }, outcome) in done {
        ticket.answer(match (&committed, outcome) {
            (Ok(()), outcome) => outcome,
            // It failed by itself, but perhaps because of a row that now isn't there either.
            (Err(_), Err(_)) => Err(lost()),
            (Err(failed), Ok(_)) => Err(failed.clone()),
        });
    }
    Vec::new()
}

fn still_wanted(job: Job) -> Option<Job> {
    match job.ticket.control().over() {
        None => Some(job),
        Some(refusal) => {
            job.ticket.answer(Err(refusal));
            None
        }
    }
}

fn in_savepoint(connection: &mut Connection, job: &Job) -> Result<Reply, Refusal> {
    let Job { plan, ticket } = job;
    command(connection, "SAVEPOINT one").map_err(|error| internal(&error))?;
    let outcome = timed(|| {
        watched(connection, ticket.control(), |connection| {
            write::run(connection, plan)
        })
    });
    if connection.is_autocommit() {
        return outcome;
    }
    let settled = match &outcome {
        Ok(_) => command(connection, "RELEASE one"),
        Err(_) => command(connection, "ROLLBACK TO one").and_then(|()| command(connection, "RELEASE one")),
    };
    match settled {
        Ok(()) => outcome,
        // Half of this change may be in the transaction, so nothing of it may be committed.
        Err(error) => {
            let _ = command(connection, "ROLLBACK");
            Err(internal(&error))
        }
    }
}

fn commit(connection: &Connection) -> Result<(), Refusal> {
    let Err(error) = command(connection, "COMMIT") else {
        return Ok(());
    };
    if !connection.is_autocommit() {
        let _ = command(connection, "ROLLBACK");
    }
    tracing::error!(%error, "a commit failed");
    let (code, advice) = match error.sqlite_error_code() {
        // SQLite did not write the commit record.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Code::Unavailable, Advice::Retry),
        Some(ErrorCode::DiskFull) => (Code::Quota, Advice::Retry),
        // The record may have reached the log although its sync failed.
        Some(_) | None => (Code::Unavailable, Advice::OutcomeUnknown),
    };
    Err(Refusal::new(code, advice, format!("commit: {error}")))
}

fn lost() -> Refusal {
    Refusal::new(
        Code::Unavailable,
        Advice::Retry,
        "the transaction was rolled back",
    )
}

fn internal(error: &rusqlite::Error) -> Refusal {
    let (code, advice) = of_sqlite(error);
    Refusal::new(code, advice, format!("savepoint: {error}"))
}

fn command(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
