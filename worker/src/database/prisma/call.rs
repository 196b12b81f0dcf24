//! One call from queue to answer: what a bridge can't do, attempts, where another one is provably safe, and the end of the caller's
//! patience.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use dbal_shared::plan::{Action, Target};
use dbal_sql::ValidPlan;
use tokio::time::sleep;

use super::pool::{Place, Pool};
use super::session::{Bridged, Phase, refused};
use super::tables::Tables;
use super::trouble::Another;
use crate::database::leasing::{Kind, Lease};
use crate::database::postgres::pool::jittered;
use crate::database::queue::Service;
use crate::database::race::is_lost_race;
use crate::database::trouble::Trouble;
use crate::database::{read, settled, write};
use crate::job::{Control, Job, Refusal, Task, What};

/// Attempts at one call, not counting those that others stood in the way of: those end with the caller's patience.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; twice as long before each next one. With each, whoever made the last one fail is further away.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Runs a call that has its place, and answers it. At the end of its time the connection is closed; a statement that the bridge has begun goes on until the
/// bridge's own limit ends it.
pub(super) async fn run(
    pool: &Pool,
    tables: &Tables,
    job: Job,
    lease: Lease<Place>,
    mut service: Service<Job>,
) {
    let Job { task, ticket } = job;
    let control = Arc::clone(ticket.control());
    let phase = Cell::new(Phase::Undone);
    let busy = Busy::default();
    let outcome = {
        let mut work = pin!(attempts(pool, tables, &task, &control, lease, (&phase, &busy)));
        tokio::select! {
            biased;
            outcome = &mut work => Some(outcome),
            () = control.ended() => None,
        }
    };
    let outcome = outcome.unwrap_or_else(|| match phase.get() {
        // INVARIANT: the session looks at the control before it sends a change.
        Phase::Undone => Err(over(&control)),
        Phase::Changing => Err(Refusal::new(
            Code::Timeout,
            Advice::OutcomeUnknown,
            "the change took longer than the caller's patience",
        )),
    });
    service.took(busy.0.get());
    drop(service);
    Job::told(&task, ticket, outcome);
}

/// What one statement at a time can do.
fn single<'t>(task: &'t Task, tables: &Tables) -> Result<&'t ValidPlan, Refusal> {
    let not_here = |detail: &str| Refusal::new(Code::Unsupported, Advice::Final, detail);
    let Task { what, once } = task;
    let What::One(plan) = what else {
        return Err(not_here("transactions: the bridge runs one statement at a time"));
    };
    if once.is_some() && plan.action().is_write() {
        return Err(not_here(
            "idempotency keys: the answer can't be kept in the transaction of the write",
        ));
    }
    let entity = plan.entity();
    let is_unique =
        |target: &Target| entity.is_some_and(|entity| tables.unique.is_unique(entity.id, target.column));
    match plan.action() {
        // Of two rows of the same key both would be changed before anybody could count them.
        Action::Update { target, .. } | Action::Upsert { target, .. } if !is_unique(target) => {
            Err(not_here("a change by a column that no constraint makes unique"))
        }
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::Update { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => Ok(plan),
    }
}

async fn attempts(
    pool: &Pool,
    tables: &Tables,
    task: &Task,
    control: &Control,
    lease: Lease<Place>,
    (phase, busy): (&Cell<Phase>, &Busy),
) -> Result<Reply, Refusal> {
    let start = control.begin();
    let plan = single(task, tables)?;
    let mut next = Some(lease);
    let mut pause = PAUSE;
    let mut attempts: u32 = 0;
    let mut has_raced = false;
    loop {
        let lease = match next.take() {
            Some(lease) => lease,
            None => pool.lease(Kind::of(task), control).await?,
        };
        if let Some(refusal) = control.over().or_else(|| pool.is_down()) {
            return Err(refusal);
        }
        let mut session = Bridged::new(pool, tables, control, phase);
        let outcome = {
            let _time = busy.begin();
            if plan.action().is_write() {
                write::run(&mut session, plan).await
            } else {
                read::run(&mut session, plan).await
            }
        };
        let another = session.another;
        let trouble = match outcome {
            Ok(reply) => return settled(start, Ok(reply)),
            Err(trouble) => trouble,
        };
        if phase.get() == Phase::Changing {
            return settled(start, Err(unsure(trouble)));
        }
        if let Some(refusal) = control.over() {
            return Err(refusal);
        }
        let is_worth_it = match (another, &trouble) {
            (_, Trouble::Serialization { detail: _ }) => true,
            (Another::Helps, _) => {
                attempts = attempts.saturating_add(1);
                attempts < ATTEMPTS
            }
            (Another::Same, trouble) => {
                !has_raced && {
                    has_raced = is_lost_race(task, trouble);
                    has_raced
                }
            }
        };
        if !is_worth_it {
            return settled(start, Err(trouble));
        }
        // Others have the place meanwhile.
        drop(lease);
        sleep(jittered(pause)).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// How long a call has been at work, its pauses not counted.
#[derive(Default)]
struct Busy(Cell<Duration>);

/// Counts until it is dropped.
struct Time<'a> {
    busy: &'a Busy,
    since: Instant,
}

impl Busy {
    fn begin(&self) -> Time<'_> {
        Time {
            busy: self,
            since: Instant::now(),
        }
    }
}

impl Drop for Time<'_> {
    fn drop(&mut self) {
        let sum = self.busy.0.get().saturating_add(self.since.elapsed());
        self.busy.0.set(sum);
    }
}

/// The answer did not come, or is one that can't be shown.
fn unsure(trouble: Trouble) -> Trouble {
    let refusal = trouble.into_refusal();
    let detail = format!("the change may have been done: {}", refusal.detail);
    refused(refusal.failure.code, Advice::OutcomeUnknown, &detail)
}

fn over(control: &Control) -> Refusal {
    let ended = || Refusal::new(Code::Timeout, Advice::Retry, "the call is over");
    control.over().unwrap_or_else(ended)
}
