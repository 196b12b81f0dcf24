//! One call from connection to answer: attempts, where another one is provably safe, and the end of the caller's patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::message::{Advice, Reply};
use tokio::time::sleep;

use super::line::{Failed, Line};
use super::pool::Pool;
use super::trouble::Recovery;
use super::unavailable;
use crate::database::is_of_a_key;
use crate::database::leasing::{Kind, Lease};
use crate::database::postgres::pool::jittered;
use crate::database::queue::Service;
use crate::database::race::{is_lost_race, may_be_done_by_now};
use crate::database::settled;
use crate::database::trouble::Trouble;
use crate::job::{Control, Job, Refusal, Task};

/// Most attempts of one call, not counting those that others stood in the way of: those end with the caller's patience.
const ATTEMPTS: u32 = 10;
/// Before the second attempt; one more of it before each next one.
const PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Runs a call that has its connection, and answers it.
pub(super) async fn run(pool: &Pool, job: Job, lease: Lease<Line>, mut service: Service<Job>) {
    let control = Arc::clone(job.ticket.control());
    let (outcome, busy) = attempts(pool, &job.task, &control, lease).await;
    service.took(busy);
    drop(service);
    job.answer(outcome);
}

/// Runs a task: again where that is safe, and not beyond the caller's patience. Tells also for how long it had a connection.
pub(super) async fn attempts(
    pool: &Pool,
    task: &Task,
    control: &Control,
    lease: Lease<Line>,
) -> (Result<Reply, Refusal>, Duration) {
    let mut busy = Duration::ZERO;
    let outcome = attempts_until(pool, task, control, lease, &mut busy).await;
    (outcome, busy)
}

/// Between attempts others have the connection.
async fn attempts_until(
    pool: &Pool,
    task: &Task,
    control: &Control,
    lease: Lease<Line>,
    busy: &mut Duration,
) -> Result<Reply, Refusal> {
    let start = control.begin();
    let mut next = Some(lease);
    let mut attempts: u32 = 0;
    let mut pause = Duration::ZERO;
    let mut has_raced = false;
    loop {
        let lease = match next.take() {
            Some(lease) => lease,
            None => pool.lease(kind(task), control).await?,
        };
        let began = Instant::now();
        let outcome = attempt(pool, task, control, lease).await;
        *busy = busy.saturating_add(began.elapsed());
        let Failed(trouble, recovery) = match outcome {
            Ok(reply) => return settled(start, Ok(reply)),
            Err(failed) => failed,
        };
        let is_contention = matches!(trouble, Trouble::Serialization { detail: _ });
        if !is_contention {
            attempts = attempts.saturating_add(1);
        }
        let must_take_writes = pool.server.address.must_take_writes();
        let is_advised = |wanted| matches!(&trouble, Trouble::Database { advice, .. } if *advice == wanted);
        // It would be the same on any connection.
        let is_final = is_advised(Advice::Final);
        let is_worth_it = match recovery {
            Recovery::None => {
                !has_raced && {
                    has_raced = is_lost_race(task, &trouble) || may_be_done_by_now(task, &trouble);
                    has_raced
                }
            }
            Recovery::Again | Recovery::Reconnect => attempts < ATTEMPTS,
            Recovery::Elsewhere => must_take_writes && attempts < ATTEMPTS,
        };
        let is_gone = match recovery {
            Recovery::Reconnect => !is_final,
            Recovery::Elsewhere => must_take_writes,
            Recovery::None | Recovery::Again => false,
        };
        if is_gone {
            pool.suspect_all_since(began);
        }
        if is_final || is_advised(Advice::OutcomeUnknown) || !is_worth_it || control.over().is_some() {
            return settled(start, Err(trouble));
        }
        tracing::debug!(attempts, trouble = trouble.to_string(), "trying again");
        // Two that met in a deadlock shall not meet again.
        pause = pause.saturating_add(PAUSE).min(LONGEST_PAUSE);
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            () = control.ended() => return settled(start, Err(trouble)),
        }
    }
}

fn kind(task: &Task) -> Kind {
    match Kind::of(task) {
        Kind::Read if !is_of_a_key(task) => Kind::LongRead,
        kind @ (Kind::Read | Kind::LongRead | Kind::Change) => kind,
    }
}

async fn attempt(
    pool: &Pool,
    task: &Task,
    control: &Control,
    mut lease: Lease<Line>,
) -> Result<Reply, Failed> {
    if let Some(refusal) = control.over() {
        return Err(Failed(Trouble::Refused(Box::new(refusal)), Recovery::None));
    }
    let Some(line) = lease.item() else {
        return Err(Failed(unavailable("no connection"), Recovery::Reconnect));
    };
    let _active = Active::of(&pool.active);
    line.attempt(&pool.server, &pool.kills, task, control).await
}

/// A connection that is at work, as the health check counts it.
pub(super) struct Active<'a>(&'a AtomicU32);

impl<'a> Active<'a> {
    pub(super) fn of(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
