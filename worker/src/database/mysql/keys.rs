//! Reads of single rows, alone or together with others that differ in nothing but the key.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed};
use tokio::sync::Notify;

use super::call::{self, Active};
use super::pool::Pool;
use crate::database::gather::{self, Alone, ReadsKeys, Serves, after_the_others};
use crate::database::leasing::{Kind, at_once};
use crate::database::session::{Look, Row};
use crate::database::singles::Singles;
use crate::database::trouble::Trouble;
use crate::job::Control;

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

/// Reads, alone or together with others. While one waits for a connection of its own the others stay in the queue, where they take
/// turns; those that gather need none.
pub(super) struct Keys {
    gathering: Rc<Gathering>,
    singles: Singles,
    waiting: Waiting,
}

impl Keys {
    /// On so many connections.
    pub(super) fn on(pool: &Rc<Pool>, size: usize) -> Self {
        // Each has a connection of its own, however short it is.
        let most = at_once(size, Kind::Read).saturating_sub(1).max(1);
        Self {
            gathering: Rc::new(Gathering::new(Rc::clone(pool))),
            singles: Singles::new(most, Duration::ZERO),
            waiting: Waiting::default(),
        }
    }
}

impl Serves for Keys {
    type Database = Rc<Pool>;

    fn gathering(&self) -> &Rc<Gathering> {
        &self.gathering
    }

    fn places(&self) -> usize {
        AT_ONCE
    }

    fn room(&self, busy: usize) -> usize {
        usize::from(self.waiting.count.get() == 0 && busy < AT_ONCE)
    }

    async fn has_more_room(&self) {
        self.waiting.fewer.notified().await;
    }

    /// So that they begin to wait, if they have to.
    async fn begun(&self) {
        after_the_others().await;
    }

    async fn run(&self, alone: Alone<Rc<Pool>>) -> Option<Duration> {
        // Those that gather meanwhile go when this one is done.
        let Alone { job, flight: _flight } = self.gathering.lead(alone).await?;
        let pool = &self.gathering.database;
        let control = Arc::clone(job.ticket.control());
        let _single = (self.singles)
            .enter(job.ticket.lane(), control.begin(), &control)
            .await;
        let lease = {
            let _waits = Waits::on(&self.waiting);
            pool.lease(Kind::Read, &control).await
        };
        let (outcome, busy) = match lease {
            Ok(lease) => call::attempts(pool, &job.task, &control, lease).await,
            Err(refusal) => (Err(refusal), Duration::ZERO),
        };
        job.answer(outcome);
        Some(busy)
    }
}
