//! The connections: kept open, replaced when they fail or age, lent to calls.
//!
//! Reads that a key answers share few connections, one statement behind the other: that saves both sides most of the system
//! calls. Everything that may take long, and every change, has a connection of its own meanwhile, so that nobody waits behind
//! it. The first connection is never lent alone, the second to no change and the last only to changes: neither kind of call can shut the
//! other out. Where there are but two, those that want one alone take turns at the second.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::live::{Live, Users};
use super::servers::Servers;
use crate::job::{Control, Refusal};

/// Statements that wait on one connection, one behind the other. More would gain nothing and wait longer if one is slow.
pub(super) const DEPTH: usize = 32;
/// Most connections that reads share.
const SHARED: usize = 4;
/// A statement that has been running for so long is slow: what could wait behind it goes elsewhere.
const SLOW: Duration = Duration::from_millis(10);
/// How long a connection is kept. Failovers, rotated passwords and what piles up in server processes are met so.
const AGE: Duration = Duration::from_mins(30);
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How long calls wait while there is no connection at all; then they are refused at once until there is one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a call that waits looks at the clock.
const LOOK: Duration = Duration::from_millis(50);

/// All connections for calls.
pub(super) struct Pool {
    slots: Vec<RefCell<Option<Rc<Live>>>>,
    servers: Rc<Servers>,
    /// Rung when a connection is there or free.
    changed: Notify,
    /// Since when nobody lets us in, and why.
    trouble: RefCell<Option<(Instant, String)>>,
    active: Arc<AtomicU32>,
}

/// What a call wants of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A place behind other reads.
    Place,
    /// The same, on one of the first connections only: for who has enough that may be held up.
    FirstPlaces,
    /// A connection of its own, for reading.
    Reading,
    /// A connection of its own, for changes.
    Writing,
}

/// A connection in use. Given back when dropped.
pub(super) struct Lease {
    pool: Rc<Pool>,
    pub(super) live: Rc<Live>,
    since: Instant,
    /// Who used it when it was lent, this one included.
    users: usize,
}

/// How many reads, or changes, have a connection of their own at most, of so many.
pub(in crate::database) fn alone_at_once(size: usize) -> usize {
    // See `Pool::try_lease`.
    size.saturating_sub(2).max(1)
}

impl Pool {
    pub(super) fn new(servers: Rc<Servers>, size: usize, active: Arc<AtomicU32>) -> Self {
        Self {
            slots: (0..size).map(|_| RefCell::new(None)).collect(),
            servers,
            changed: Notify::new(),
            trouble: RefCell::new(None),
            active,
        }
    }

    /// Connections.
    pub(super) fn size(&self) -> usize {
        self.slots.len()
    }

    /// Connections that reads share while none of them is slow.
    pub(super) fn shared(&self) -> usize {
        self.slots.len().div_euclid(2).clamp(1, SHARED)
    }

    /// Most connections on which reads of single rows of one caller may be held up: another one has a place for those of others, where
    /// there are so many.
    pub(super) fn left_to_others(&self) -> usize {
        // See `Pool::place`: the last one has none.
        self.size().saturating_sub(2).max(1)
    }

    /// Waits for a connection, as long as the call's caller does and there is hope.
    pub(super) async fn lease(self: &Rc<Self>, need: Need, control: &Control) -> Result<Lease, Refusal> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(refusal) = control.over() {
                return Err(refusal);
            }
            if let Some(lease) = self.try_lease(need) {
                return Ok(lease);
            }
            if let Some(refusal) = self.is_down() {
                return Err(refusal);
            }
            tokio::select! {
                () = changed => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// A connection, if one is free.
    pub(super) fn try_lease(self: &Rc<Self>, need: Need) -> Option<Lease> {
        let now = Instant::now();
        let live = match need {
            Need::Place | Need::FirstPlaces => self.place(now, need)?,
            Need::Reading if self.size() > 2 => self.alone(1..self.size().saturating_sub(1))?,
            Need::Writing if self.size() > 2 => self.alone(2..self.size())?,
            Need::Reading | Need::Writing => self.alone(1..self.size())?,
        };
        live.users.set(match (need, live.users.get()) {
            (Need::Place | Need::FirstPlaces, Users::Reads(count)) => Users::Reads(count.saturating_add(1)),
            // INVARIANT: `place` and `alone` looked.
            (Need::Place | Need::FirstPlaces | Need::Reading | Need::Writing, _) => Users::One,
        });
        self.active.fetch_add(1, Ordering::Relaxed);
        let users = live.users.get().count();
        Some(Lease {
            pool: Rc::clone(self),
            live,
            since: now,
            users,
        })
    }

    /// The least used of the shared ones that is not held up; else any other that could take it.
    fn place(&self, now: Instant, need: Need) -> Option<Rc<Live>> {
        let room = |live: &Rc<Live>| match live.users.get() {
            Users::Reads(count) if count < DEPTH => {
                let is_slow = live
                    .busy_since()
                    .is_some_and(|since| now.saturating_duration_since(since) > SLOW);
                (!is_slow).then_some(count)
            }
            Users::Reads(_) | Users::One => None,
        };
        let usable = |slots: &[RefCell<Option<Rc<Live>>>]| {
            let open = slots.iter().filter_map(|slot| slot.borrow().clone());
            open.filter(|live| live.is_open())
                .filter_map(|live| room(&live).map(|count| (count, live)))
                .min_by_key(|(count, _)| *count)
                .map(|(_, live)| live)
        };
        let (shared, rest) = self.slots.split_at_checked(self.shared())?;
        let (_, rest) = rest.split_last()?;
        usable(shared).or_else(|| (need == Need::Place).then(|| usable(rest)).flatten())
    }

    /// The last free one of these.
    fn alone(&self, which: std::ops::Range<usize>) -> Option<Rc<Live>> {
        let slots = self.slots.get(which)?;
        let open = slots.iter().rev().filter_map(|slot| slot.borrow().clone());
        let mut free = open.filter(|live| live.is_open() && live.users.get() == Users::Reads(0));
        free.next()
    }

    /// Why there is no hope of a connection soon.
    pub(super) fn is_down(&self) -> Option<Refusal> {
        let is_alive =
            |slot: &RefCell<Option<Rc<Live>>>| slot.borrow().as_ref().is_some_and(|live| live.is_open());
        if self.slots.iter().any(is_alive) {
            return None;
        }
        let trouble = self.trouble.borrow();
        let (since, why) = trouble.as_ref()?;
        (since.elapsed() > PATIENCE).then(|| {
            let detail = format!("no connection to the database: {why}");
            Refusal::new(Code::Unavailable, Advice::Retry, detail)
        })
    }

    /// Keeps one connection open until the task is dropped.
    pub(super) async fn keep(self: Rc<Self>, nth: usize) {
        let Some(slot) = self.slots.get(nth) else {
            return;
        };
        let mut pause = FIRST_PAUSE;
        let mut first = 0;
        loop {
            match self.servers.connect(first).await {
                Ok((connected, driver)) => {
                    pause = FIRST_PAUSE;
                    self.trouble.replace(None);
                    let (live, mut driver) = Live::new(connected, Rc::clone(&self.servers), driver);
                    let live = Rc::new(live);
                    first = live.endpoint();
                    slot.replace(Some(Rc::clone(&live)));
                    self.changed.notify_waiters();
                    tokio::select! {
                        ended = &mut driver => {
                            if let Ok(Err(error)) = ended {
                                let error = dbal_daemon::causes(&error);
                                tracing::warn!(error, "a connection to the database ended");
                            }
                        }
                        () = live.retired.notified() => {}
                        () = sleep(jittered(AGE)) => live.retire(),
                    }
                    // Those that use it have it until they are done; then it ends.
                    slot.replace(None);
                }
                Err(error) => {
                    let why = dbal_daemon::causes(&error);
                    let is_news = {
                        let mut trouble = self.trouble.borrow_mut();
                        let is_news = trouble.is_none();
                        let since = trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                        *trouble = Some((since, why.clone()));
                        is_news
                    };
                    if is_news {
                        tracing::error!(error = why, "no connection to the database; trying on");
                    }
                    self.changed.notify_waiters();
                    sleep(jittered(pause)).await;
                    pause = pause.saturating_mul(2).min(LAST_PAUSE);
                }
            }
        }
    }
}

impl Lease {
    /// What of the connection's time was this one's part: all that has passed where it had it alone. Of several that share it nobody can
    /// tell whom the server worked for, so each has the same.
    pub(super) fn took(&self) -> Duration {
        let users = self.users.max(self.live.users.get().count());
        let passed = self.since.elapsed();
        passed
            .checked_div(u32::try_from(users).unwrap_or(u32::MAX))
            .unwrap_or(passed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let users = &self.live.users;
        users.set(match users.get() {
            Users::Reads(count) => Users::Reads(count.saturating_sub(1)),
            Users::One => Users::Reads(0),
        });
        self.pool.active.fetch_sub(1, Ordering::Relaxed);
        self.pool.changed.notify_waiters();
    }
}

/// Half to one and a half times as long: what failed together shall not come back together.
pub(in crate::database) fn jittered(span: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the middle will do.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    span.div_f64(2.0)
        .saturating_add(span.mul_f64(f64::from(byte) / 255.0))
}
