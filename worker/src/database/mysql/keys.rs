//! Reads of single rows, alone or together with others that differ in nothing but the key.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::call::{self, Active};
use super::pool::Pool;
use crate::database::gather::{self, Gathered, ReadsKeys, after_the_others};
use crate::database::leasing::{Kind, at_once, told};
use crate::database::queue::{Bill, Queue};
use crate::database::session::{Look, Row};
use crate::database::settled;
use crate::database::singles::Singles;
use crate::database::trouble::Trouble;
use crate::job::{Control, Job};

/// Reads that are out of the queue at once: those that two statements may answer, and as many that have a connection each.
const AT_ONCE: usize = 128;

type Gathering = gather::Gathering<Rc<Pool>>;

impl ReadsKeys for Rc<Pool> {
    fn dialect(&self) -> &'static Dialect {
        self.server.dialect
    }

    async fn read_keys(
        &self,
        like: &Keyed,
        keys: &[Value],
        control: &Arc<Control>,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Option<Duration> {
        let (entity, statement) = (like.entity()?, like.of_each(keys)?);
        let mut lease = self.lease(Kind::Read, control).await.ok()?;
        let connection = lease.item()?;
        let _active = Active::of(&self.active);
        let began = Instant::now();
        let read = connection.read(&self.server, &self.kills, (&statement, entity), control, look);
        read.await.ok()?;
        Some(began.elapsed())
    }
}

/// How many of those that are out of the queue wait for a connection of their own.
#[derive(Default)]
struct Waiting {
    count: Cell<usize>,
    fewer: Notify,
}

/// One of them.
struct Waits<'a>(&'a Waiting);

impl<'a> Waits<'a> {
    fn on(waiting: &'a Waiting) -> Self {
        waiting.count.set(waiting.count.get().saturating_add(1));
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
        self.0.fewer.notify_one();
    }
}

/// Serves reads until the queue is closed and empty and every call of it is answered. While one waits for a connection of its own
/// the others stay in the queue, where they take turns; those that gather need none.
pub(super) async fn serve(pool: &Rc<Pool>, size: usize, queue: &Arc<Queue<Job>>) {
    queue.in_places(AT_ONCE);
    let gathering = Rc::new(Gathering::new(Rc::clone(pool)));
    // Each has a connection of its own, however short it is.
    let most = at_once(size, Kind::Read).saturating_sub(1).max(1);
    let singles = Rc::new(Singles::new(most, Duration::ZERO));
    let waiting = Rc::new(Waiting::default());
    let mut calls = JoinSet::new();
    let mut bill = Bill::default();
    let mut is_open = true;
    while is_open || !calls.is_empty() {
        let has_room = waiting.count.get() == 0 && calls.len() < AT_ONCE;
        tokio::select! {
            biased;
            Some(ended) = calls.join_next(), if !calls.is_empty() => {
                if let Some((lane, time)) = told(ended) {
                    bill.add(lane, time);
                }
            }
            () = waiting.fewer.notified(), if !has_room => {}
            jobs = queue.taken_after(&mut bill, 1), if is_open && has_room => match jobs {
                None => is_open = false,
                Some(jobs) => {
                    for job in jobs {
                        let (gathering, waiting) = (Rc::clone(&gathering), Rc::clone(&waiting));
                        let (singles, lane) = (Rc::clone(&singles), job.ticket.lane());
                        calls.spawn_local(async move {
                            (lane, run(&gathering, (&waiting, &singles), job).await)
                        });
                    }
                    // So that they begin to wait, if they have to.
                    after_the_others().await;
                }
            },
        }
    }
}

/// Answers a call, and tells what of the database's time was its part.
async fn run(gathering: &Rc<Gathering>, (waiting, singles): (&Waiting, &Singles), job: Job) -> Duration {
    let pool = &gathering.database;
    let control = Arc::clone(job.ticket.control());
    let start = control.begin();
    // Those that gather meanwhile go when this one is done.
    let _flight = match gathering.gather(&job.task.what, &control).await {
        Gathered::Answered(outcome, part) => {
            job.answer(settled(start, outcome));
            return part;
        }
        Gathered::Alone(flight) => flight,
    };
    let _single = singles.enter(job.ticket.lane(), start, &control).await;
    let lease = {
        let _waits = Waits::on(waiting);
        pool.lease(Kind::Read, &control).await
    };
    let (outcome, busy) = match lease {
        Ok(lease) => call::attempts(pool, &job.task, &control, lease).await,
        Err(refusal) => (Err(refusal), Duration::ZERO),
    };
    job.answer(outcome);
    busy
}
