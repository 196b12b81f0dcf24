//! Runs a task on a session, whatever the database: one plan, or the steps of a transaction one after the other.

use dbal_shared::limits::ANSWER_BYTES;
use dbal_shared::message::Reply;

use super::session::Session;
use super::trouble::Trouble;
use super::{answers, read, write};
use crate::job::{Control, Task, What};
use crate::together::Transaction;

/// Runs a task that changes something inside the transaction that a writer holds open. Whoever calls rolls back on an
/// error, all of the task; it may then be run again.
pub(super) async fn run_writing<S: Session>(
    session: &mut S,
    task: &Task,
    control: &Control,
) -> Result<Reply, Trouble> {
    let Task { what, once } = task;
    let Some(once) = once else {
        return write(session, what, control).await;
    };
    if let Some(reply) = answers::find(session, once).await? {
        return Ok(reply);
    }
    let reply = write(session, what, control).await?;
    answers::keep(session, once, &reply).await?;
    Ok(reply)
}

async fn write<S: Session>(session: &mut S, what: &What, control: &Control) -> Result<Reply, Trouble> {
    match what {
        What::One(plan) => write::run(session, plan).await,
        What::Together(transaction) => together(session, transaction, control).await,
    }
}

/// Runs a task that changes nothing.
pub(super) async fn run_reading<S: Session>(
    session: &mut S,
    task: &Task,
    control: &Control,
) -> Result<Reply, Trouble> {
    // A read is the same however often it is asked for, so its name is nothing to keep.
    match &task.what {
        What::One(plan) => read::run(session, plan).await,
        What::Together(transaction) => {
            session.begin_snapshot(transaction.isolation()).await?;
            let reply = Box::pin(together(session, transaction, control)).await;
            session.end_snapshot().await?;
            reply
        }
    }
}

async fn together<S: Session>(
    session: &mut S,
    transaction: &Transaction,
    control: &Control,
) -> Result<Reply, Trouble> {
    let mut answered = transaction.begin();
    let mut json = String::from("[");
    let mut rows: u64 = 0;
    for at in 0..transaction.len() {
        if let Some(over) = control.over() {
            return Err(Trouble::Refused(Box::new(over)));
        }
        let refused = |refusal: crate::job::Refusal| Trouble::Refused(Box::new(refusal.at(at)));
        let step = transaction.step(at, &answered).map_err(refused)?;
        let plan = step.plan();
        let reply = if plan.action().is_write() {
            write::run(session, plan).await
        } else {
            read::run_within(session, plan).await
        };
        let reply = reply.map_err(|trouble| trouble.at(at))?;
        if at > 0 {
            json.push(',');
        }
        json.push_str(&reply.json);
        if json.len() > ANSWER_BYTES {
            return Err(Trouble::AnswerTooLarge.at(at));
        }
        rows = rows.saturating_add(reply.rows);
        transaction
            .note(at, step, &reply.json, reply.rows, &mut answered)
            .map_err(refused)?;
    }
    json.push(']');
    Ok(read::reply(json, rows))
}
