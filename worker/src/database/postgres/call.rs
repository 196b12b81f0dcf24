//! One call from connection to answer: attempts, where another one is provably safe, and the end of the caller's patience.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use dbal_shared::plan::Action;
use dbal_sql::ValidPlan;
use tokio::time::{sleep, timeout};

use super::begin;
use super::keys::Gathering;
use super::live::Live;
use super::pool::{Lease, Need};
use super::session::{Committing, Connected, Phase, Watch};
use super::tables::Tables;
use super::trouble::Mishap;
use crate::database::is_of_a_key;
use crate::database::queue::Lane;
use crate::database::race::{is_lost_race, may_be_done_by_now};
use crate::database::settled;
use crate::database::singles::Single;
use crate::database::task::{run_reading, run_writing};
use crate::database::trouble::Trouble;
use crate::database::write;
use crate::job::{Control, Job, Refusal, Task, What};

/// Attempts at one call, not counting those that others stood in the way of: those end with the caller's patience.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; twice as long before each next one. With each, whoever made the last one fail is further away.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How often a statement whose time is over is asked to stop.
const CANCEL_EVERY: Duration = Duration::from_millis(50);
/// A statement that does not stop for so long loses its connection.
const STOPS_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer waits for a commit that was under way when the caller's time ended.
const COMMITS_WITHIN: Duration = Duration::from_millis(500);
/// How long a commit may take at all; then nobody knows.
const COMMIT: Duration = Duration::from_secs(30);

/// Runs a call that has its connection, or finds it a place, and answers it. Tells what of the connections' time was its part.
pub(super) async fn run(gathering: &Rc<Gathering>, job: Job, lease: Option<Lease>) -> Duration {
    let Job { task, ticket } = job;
    let control = Arc::clone(ticket.control());
    let (phase, busy) = (Cell::new(Phase::Undone), Cell::new(Duration::ZERO));
    let lane = ticket.lane();
    let answer = |outcome| Job::told(&task, ticket, outcome);
    let mut work = pin!(attempts(
        gathering,
        (&task, lane),
        &control,
        lease,
        (&phase, &busy)
    ));
    tokio::select! {
        biased;
        outcome = &mut work => {
            answer(outcome);
            return busy.get();
        }
        () = control.ended() => {}
    }
    // Nobody is kept waiting by a statement that takes its time to stop.
    match phase.get() {
        Phase::Undone => {
            // INVARIANT: the control is looked at before a change is committed, or sent as its own transaction.
            answer(Err(over(&control)));
        }
        Phase::Committing => match timeout(COMMITS_WITHIN, &mut work).await {
            Ok(outcome) => {
                answer(outcome);
                return busy.get();
            }
            Err(_) => answer(Err(Refusal::new(
                Code::Timeout,
                Advice::OutcomeUnknown,
                "the commit took longer than the caller's patience",
            ))),
        },
    }
    // The connection is given back when it is clean.
    let _ = work.await;
    busy.get()
}

/// What a task wants of its connection.
fn need(task: &Task) -> Need {
    match &task.what {
        What::One(plan) => match plan.action() {
            Action::Read { .. } if is_of_a_key(task) => Need::Place,
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
    gathering: &Rc<Gathering>,
    (task, lane): (&Task, Lane),
    control: &Arc<Control>,
    mut lease: Option<Lease>,
    (phase, busy): (&Cell<Phase>, &Cell<Duration>),
) -> Result<Reply, Refusal> {
    let start = control.begin();
    let mut need = need(task);
    let single = match need {
        Need::Place => gathering.database.singles.enter(lane, start, control).await,
        Need::FirstPlaces | Need::Reading | Need::Writing => None,
    };
    if single.as_ref().is_some_and(Single::is_beyond) {
        need = Need::FirstPlaces;
    }
    let pool = &gathering.database.pool;
    let message = if task.is_write() {
        gathering.database.effects.message(&task.what)
    } else {
        None
    };
    let mut pause = PAUSE;
    let mut attempts: u32 = 0;
    let mut tries: usize = 0;
    let mut has_raced = false;
    loop {
        let lease = match lease.take() {
            Some(lease) => lease,
            None => pool.lease(need, control).await?,
        };
        let live = &lease.live;
        let watch = Watch::default();
        let one = Attempt {
            live,
            tables: &gathering.database.tables,
            task,
            control,
            watch: &watch,
            phase,
            message: message.as_deref(),
            tries,
        };
        let outcome = if task.is_write() {
            // Apart, so that reads, which are short, don't carry its room along.
            Box::pin(change(one)).await
        } else {
            let mut session = one.session();
            watched(live, control, &watch, run_reading(&mut session, task, control)).await
        };
        busy.set(busy.get().saturating_add(lease.took()));
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
            Mishap::Transient | Mishap::Waited | Mishap::None => {}
        }
        let is_worth_it = match (mishap, &trouble) {
            (_, Trouble::Serialization { detail: _ }) => true,
            // So it was told to, and will be told to wait for longer.
            (Mishap::Waited, _) if begin::is_bounded(task, tries) => true,
            (Mishap::Lost | Mishap::Outdated | Mishap::Transient | Mishap::Waited, _) => {
                attempts = attempts.saturating_add(1);
                attempts < ATTEMPTS
            }
            (Mishap::None, trouble) => {
                !has_raced && {
                    has_raced = is_lost_race(task, trouble) || may_be_done_by_now(task, trouble);
                    has_raced
                }
            }
        };
        if !is_worth_it {
            return settled(start, Err(trouble));
        }
        tries = tries.saturating_add(1);
        drop(lease);
        sleep(super::pool::jittered(pause)).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

fn is_unknown(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Database { advice, .. } if *advice == Advice::OutcomeUnknown)
}

/// What one attempt at a call works with.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    live: &'a Rc<Live>,
    tables: &'a Tables,
    task: &'a Task,
    control: &'a Arc<Control>,
    watch: &'a Watch,
    phase: &'a Cell<Phase>,
    /// What others are told with the commit.
    message: Option<&'a str>,
    /// How many there were before.
    tries: usize,
}

impl<'a> Attempt<'a> {
    fn session(self) -> Connected<'a> {
        Connected::new(self.live, self.tables, self.control, self.watch)
    }
}

/// One attempt at a change: as one statement, which is its own transaction, where that is all there is to do.
async fn change(attempt: Attempt<'_>) -> Result<Reply, Trouble> {
    let Attempt {
        live,
        control,
        watch,
        phase,
        ..
    } = attempt;
    if let Some(plan) = is_one_statement(attempt) {
        let mut session = attempt.session();
        session.change_alone(phase);
        let changed = watched(live, control, watch, write::run(&mut session, plan)).await;
        return match (changed, phase.get()) {
            (Ok(reply), _) => Ok(reply),
            (Err(trouble), Phase::Committing) => Err(unsure(live, watch, trouble)),
            // Whether it was ours or the database's own division, a transaction tells: the statement is undone.
            (Err(_), Phase::Undone) if watch.has_divided.take() => {
                change_in_transaction(attempt, Rows::OneByOne).await
            }
            (Err(trouble), Phase::Undone) => Err(trouble),
        };
    }
    if is_many_rows(attempt.task) {
        let created = change_in_transaction(attempt, Rows::Several).await;
        // Whose fault it was, and what is to be told of it, one by one tells.
        let is_to_be_told = match (&created, watch.mishap.get(), phase.get()) {
            (Err(_), None | Some(Mishap::None), Phase::Undone) => control.over().is_none(),
            (Ok(_) | Err(_), _, _) => false,
        };
        if !is_to_be_told {
            return created;
        }
    }
    change_in_transaction(attempt, Rows::OneByOne).await
}

/// How many rows a `createMany` writes with each statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    OneByOne,
    Several,
}

fn is_many_rows(task: &Task) -> bool {
    let Task { what, once } = task;
    match what {
        What::One(plan) => once.is_none() && matches!(plan.action(), Action::CreateMany { .. }),
        What::Together(_) => false,
    }
}

/// The plan of a task that one statement carries out, if no other has to be undone with it, nor it when its answer is found
/// wanting.
fn is_one_statement(attempt: Attempt<'_>) -> Option<&ValidPlan> {
    let Attempt {
        tables,
        task: Task { what, once },
        message,
        ..
    } = attempt;
    let (What::One(plan), None, None) = (what, once, message) else {
        return None;
    };
    let entity = plan.entity()?;
    match plan.action() {
        Action::Create { .. } | Action::Delete { .. } => Some(plan),
        // Two rows of the same key are not to be changed.
        Action::Update { target, .. } => tables.unique.is_unique(entity.id, target.column).then_some(plan),
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::CreateMany { .. }
        | Action::UpdateMany { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => None,
    }
}

/// The connection went away before the answer, or the answer is one that can't be shown.
fn unsure(live: &Live, watch: &Watch, trouble: Trouble) -> Trouble {
    if watch.mishap.take().is_some() {
        live.retire();
        return unknown("the change", &trouble.to_string());
    }
    let refusal = trouble.into_refusal();
    Trouble::Database {
        code: refusal.failure.code,
        advice: Advice::OutcomeUnknown,
        detail: format!(
            "the change may have been done, but can't be shown: {}",
            refusal.detail
        ),
    }
}

/// The same as several statements in a transaction.
async fn change_in_transaction(attempt: Attempt<'_>, rows: Rows) -> Result<Reply, Trouble> {
    let Attempt {
        live,
        tables: _,
        task,
        control,
        watch,
        phase,
        message,
        tries,
    } = attempt;
    let mut session = attempt.session();
    let changed = {
        let session = &mut session;
        watched(live, control, watch, async move {
            session.begin(begin::how(task, tries)).await?;
            if matches!(task.what, What::Together(_)) {
                session.keep_others();
            }
            if let (Rows::Several, What::One(plan)) = (rows, &task.what)
                && let Some(reply) = session.create_several(plan).await?
            {
                return Ok(reply);
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
    let committed = timeout(COMMIT, session.commit(message)).await;
    match committed {
        Ok(Ok(())) => Ok(reply),
        Ok(Err(Committing::RolledBack(trouble))) => {
            phase.set(Phase::Undone);
            Err(trouble)
        }
        Ok(Err(Committing::Unknown(trouble))) => {
            live.retire();
            watch.mishap.set(None);
            Err(unknown("commit", &trouble.to_string()))
        }
        Err(_) => {
            live.kill();
            watch.mishap.set(None);
            Err(unknown("commit", "not answered"))
        }
    }
}

/// Does `work`. Once the caller's time is over, stops in the database whatever of it runs there, until it has ended.
pub(super) async fn watched<T>(
    live: &Live,
    control: &Control,
    watch: &Watch,
    work: impl Future<Output = T>,
) -> T {
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

fn unknown(what: &str, why: &str) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::OutcomeUnknown,
        detail: format!("{what}: {why}"),
    }
}
