//! One call from connection to answer: attempts, where another one is provably safe, and the end of the caller's patience.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation, Reply};
use dbal_shared::plan::Action;
use tokio::time::{sleep, timeout};

use super::live::Live;
use super::pool::{Lease, Need, Pool};
use super::session::{Committing, Connected, Watch};
use super::trouble::Mishap;
use super::unique::Unique;
use crate::database::settled;
use crate::database::task::{run_reading, run_writing};
use crate::database::trouble::Trouble;
use crate::job::{Control, Job, Refusal, Task, What};

/// Attempts at one call. With each, whoever made the last one fail is further away.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; twice as long before each next one.
const PAUSE: Duration = Duration::from_millis(5);
/// How often a statement whose time is over is asked to stop.
const CANCEL_EVERY: Duration = Duration::from_millis(50);
/// A statement that does not stop for so long loses its connection.
const STOPS_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer waits for a commit that was under way when the caller's time ended.
const COMMITS_WITHIN: Duration = Duration::from_millis(500);
/// How long a commit may take at all; then nobody knows.
const COMMIT: Duration = Duration::from_secs(30);

/// How far a change has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of it is in the database, nor will be once the call is over.
    Undone,
    /// The commit is under way.
    Committing,
}

/// Runs a call that has its connection, and answers it.
pub(super) async fn run(pool: Rc<Pool>, unique: Rc<Unique>, job: Job, lease: Option<Lease>) {
    let Job { task, ticket } = job;
    let control = Arc::clone(ticket.control());
    let answer = |outcome| Job::told(&task, ticket, outcome);
    let phase = Cell::new(Phase::Undone);
    let mut work = pin!(attempts(&pool, &unique, &task, &control, lease, &phase));
    tokio::select! {
        biased;
        outcome = &mut work => return answer(outcome),
        () = control.ended() => {}
    }
    // Nobody is kept waiting by a statement that takes its time to stop.
    match phase.get() {
        Phase::Undone => {
            // INVARIANT: `change` looks at the control before it commits.
            answer(Err(over(&control)));
        }
        Phase::Committing => match timeout(COMMITS_WITHIN, &mut work).await {
            Ok(outcome) => return answer(outcome),
            Err(_) => answer(Err(Refusal::new(
                Code::Timeout,
                Advice::OutcomeUnknown,
                "the commit took longer than the caller's patience",
            ))),
        },
    }
    // The connection is given back when it is clean.
    let _ = work.await;
}

/// What a task wants of its connection.
pub(super) fn need(task: &Task) -> Need {
    match &task.what {
        What::One(plan) => match plan.action() {
            // What it brings along must be of the same moment, so it needs a snapshot of its own.
            Action::Read { includes, .. } if includes.is_empty() => Need::Place,
            Action::Read { .. }
            | Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. } => Need::Reading,
            Action::Create { .. }
            | Action::CreateMany { .. }
            | Action::Update { .. }
            | Action::UpdateMany { .. }
            | Action::Delete { .. }
            | Action::DeleteMany { .. }
            | Action::Upsert { .. } => Need::Writing,
        },
        What::Together(transaction) if transaction.is_write() => Need::Writing,
        What::Together(_) => Need::Reading,
    }
}

async fn attempts(
    pool: &Rc<Pool>,
    unique: &Unique,
    task: &Task,
    control: &Arc<Control>,
    lease: Option<Lease>,
    phase: &Cell<Phase>,
) -> Result<Reply, Refusal> {
    let start = Instant::now();
    let mut lease = lease;
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let lease = match lease.take() {
            Some(lease) => lease,
            None => pool.lease(need(task), control).await?,
        };
        let live = &lease.live;
        let watch = Watch::default();
        let outcome = if task.is_write() {
            change(live, unique, task, control, &watch, phase).await
        } else {
            let mut session = Connected::new(live, unique, control, &watch);
            watched(live, control, &watch, run_reading(&mut session, task, control)).await
        };
        let trouble = match outcome {
            Ok(reply) => return settled(start, Ok(reply)),
            Err(trouble) => trouble,
        };
        if is_unknown(&trouble) {
            return settled(start, Err(trouble));
        }
        if let Some(refusal) = control.over() {
            return Err(refusal);
        }
        let mishap = watch.mishap.get().unwrap_or(Mishap::None);
        match mishap {
            Mishap::Lost | Mishap::Outdated => live.retire(),
            Mishap::Transient | Mishap::None => {}
        }
        let is_worth_it = match mishap {
            Mishap::Lost | Mishap::Outdated | Mishap::Transient => true,
            Mishap::None => {
                matches!(trouble, Trouble::Serialization { .. })
                    || (attempt == 1 && is_lost_race(task, &trouble))
            }
        };
        if !is_worth_it || attempt >= ATTEMPTS {
            return settled(start, Err(trouble));
        }
        attempt = attempt.saturating_add(1);
        drop(lease);
        sleep(super::pool::jittered(pause)).await;
        pause = pause.saturating_mul(2);
    }
}

fn is_unknown(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Database { advice, .. } if *advice == Advice::OutcomeUnknown)
}

/// Whether somebody may have made or changed the row between two statements of the change, which therefore did not go
/// together: another attempt sees what is there now.
fn is_lost_race(task: &Task, trouble: &Trouble) -> bool {
    let What::One(plan) = &task.what else {
        // The statements of a transaction see the same moment (`isolation`).
        return false;
    };
    match plan.action() {
        // Not found, and then in reach.
        Action::Update { .. } => matches!(trouble, Trouble::NotPermitted),
        // That, or not found and then taken.
        Action::Upsert { .. } => {
            matches!(trouble, Trouble::NotPermitted)
                || matches!(trouble, Trouble::Fields { code, .. } if *code == Code::Conflict)
        }
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => false,
    }
}

/// One attempt at a change, in a transaction of its own.
async fn change(
    live: &Rc<Live>,
    unique: &Unique,
    task: &Task,
    control: &Arc<Control>,
    watch: &Watch,
    phase: &Cell<Phase>,
) -> Result<Reply, Trouble> {
    let mut session = Connected::new(live, unique, control, watch);
    let changed = {
        let session = &mut session;
        watched(live, control, watch, async move {
            session.begin(isolation(task)).await?;
            if matches!(task.what, What::Together(_)) {
                session.keep_others();
            }
            run_writing(session, task, control).await
        })
        .await
    };
    let reply = match changed {
        Ok(reply) if control.over().is_none() => reply,
        Ok(_) => {
            session.roll_back().await;
            return Err(unavailable("the time for the call was over before the commit"));
        }
        Err(trouble) => {
            session.roll_back().await;
            return Err(trouble);
        }
    };
    phase.set(Phase::Committing);
    let committed = timeout(COMMIT, session.commit()).await;
    match committed {
        Ok(Ok(())) => Ok(reply),
        Ok(Err(Committing::RolledBack(trouble))) => {
            phase.set(Phase::Undone);
            Err(trouble)
        }
        Ok(Err(Committing::Unknown(trouble))) => {
            live.retire();
            watch.mishap.set(None);
            Err(unknown(&trouble.to_string()))
        }
        Err(_) => {
            live.kill();
            watch.mishap.set(None);
            Err(unknown("the commit was not answered"))
        }
    }
}

/// How the transaction of a task sees others. A change of many rows looks first and changes then: both must see the same rows.
/// So must calls that are done together, which get that much even where they ask for less.
fn isolation(task: &Task) -> &'static str {
    const COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
    const REPEATABLE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    match &task.what {
        What::One(plan) => match plan.action() {
            Action::UpdateMany { .. } | Action::DeleteMany { .. } => REPEATABLE,
            Action::Read { .. }
            | Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. }
            | Action::Create { .. }
            | Action::CreateMany { .. }
            | Action::Update { .. }
            | Action::Delete { .. }
            | Action::Upsert { .. } => COMMITTED,
        },
        What::Together(transaction) => match transaction.isolation() {
            Isolation::ReadCommitted | Isolation::RepeatableRead => REPEATABLE,
            Isolation::Serializable => SERIALIZABLE,
        },
    }
}

/// Does `work`. Once the caller's time is over, stops in the database whatever of it runs there, until it has ended.
async fn watched<T>(live: &Live, control: &Control, watch: &Watch, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = control.ended() => {}
    }
    let mut asked: Option<Instant> = None;
    loop {
        // Behind other statements it has not begun, and a request would stop those.
        if watch.turn.get().is_some_and(|turn| live.is_first(turn)) {
            if asked.get_or_insert_with(Instant::now).elapsed() > STOPS_WITHIN {
                tracing::warn!("a statement did not stop when it was asked to; its connection is closed");
                live.kill();
            } else {
                live.cancel().await;
            }
        }
        if let Ok(done) = timeout(CANCEL_EVERY, &mut work).await {
            return done;
        }
    }
}

fn over(control: &Control) -> Refusal {
    let ended = || Refusal::new(Code::Timeout, Advice::Retry, "the call is over");
    control.over().unwrap_or_else(ended)
}

fn unavailable(detail: &str) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::Retry,
        detail: detail.to_owned(),
    }
}

fn unknown(detail: &str) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::OutcomeUnknown,
        detail: format!("commit: {detail}"),
    }
}
