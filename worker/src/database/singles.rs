//! Reads of single rows that go alone: how many of one caller are under way. A statement that is held up (by a lock, by a view that
//! takes its time) holds up its connection, and whoever had one on each would keep everybody else waiting. So a caller whose reads
//! are held up leaves a connection to the others; his next ones wait here until one of them ends.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::queue::{ByLane, Lane};
use crate::job::Control;

/// All of them.
pub(super) struct Singles {
    /// Most of one caller, once the oldest has been under way for `patience`; until then more may go, which know it of themselves.
    most: usize,
    patience: Duration,
    /// When each call began that is under way. None of the lists is empty.
    running: RefCell<ByLane<Vec<Instant>>>,
    ended: Notify,
    waiting: Cell<usize>,
}

/// One that is under way. When this is dropped, it has ended.
pub(super) struct Single<'a> {
    singles: &'a Singles,
    lane: Lane,
    since: Instant,
    is_beyond: bool,
}

impl Single<'_> {
    /// Whether its caller had as many before it as he may have once they are held up.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }
}

impl Singles {
    /// At most so many of a caller whose oldest one has been under way for so long.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self {
            most,
            patience,
            running: RefCell::default(),
            ended: Notify::new(),
            waiting: Cell::new(0),
        }
    }

    /// Waits until a call that began then may go alone; none when its time is over before.
    pub(super) async fn enter(&self, lane: Lane, since: Instant, control: &Control) -> Option<Single<'_>> {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(single) = self.try_enter(lane, since) {
                return Some(single);
            }
            let _waits = Waits::on(&self.waiting);
            tokio::select! {
                biased;
                () = control.ended() => return None,
                () = ended => {}
            }
        }
    }

    fn try_enter(&self, lane: Lane, since: Instant) -> Option<Single<'_>> {
        let mut running = self.running.borrow_mut();
        let own = running.entry(lane).or_default();
        let is_beyond = own.len() >= self.most;
        if is_beyond
            && let Some(oldest) = own.iter().min()
            && oldest.elapsed() >= self.patience
        {
            return None;
        }
        own.push(since);
        Some(Single {
            singles: self,
            lane,
            since,
            is_beyond,
        })
    }
}

impl Drop for Single<'_> {
    fn drop(&mut self) {
        {
            let mut running = self.singles.running.borrow_mut();
            if let Some(own) = running.get_mut(&self.lane) {
                if let Some(at) = own.iter().position(|since| *since == self.since) {
                    own.swap_remove(at);
                }
                if own.is_empty() {
                    running.remove(&self.lane);
                }
            }
        }
        if self.singles.waiting.get() > 0 {
            self.singles.ended.notify_waiters();
        }
    }
}

/// One that waits.
struct Waits<'a>(&'a Cell<usize>);

impl<'a> Waits<'a> {
    fn on(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get().saturating_add(1));
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Lane = Lane(1);
    const BOB: Lane = Lane(2);
    const PATIENCE: Duration = Duration::from_hours(1);

    #[test]
    fn who_is_held_up_has_so_many_and_no_more() {
        let singles = Singles::new(2, PATIENCE);
        let now = Instant::now();
        let old = now.checked_sub(PATIENCE).unwrap();
        let first = singles.try_enter(ALICE, old);
        let second = singles.try_enter(ALICE, now);
        assert!(first.is_some() && second.is_some());
        assert!(singles.try_enter(ALICE, now).is_none());
        assert!(singles.try_enter(BOB, now).is_some());
        // What is under way is not old any more.
        drop(first);
        let more: Vec<_> = (0..10).filter_map(|_| singles.try_enter(ALICE, now)).collect();
        let beyond = more.iter().filter(|single| single.is_beyond());
        assert_eq!((more.len(), beyond.count()), (10, 9));
        drop((second, more));
        assert!(singles.running.borrow().is_empty());
    }

    #[tokio::test]
    async fn who_waits_goes_when_one_ends_or_his_time_does() {
        let singles = Singles::new(1, Duration::ZERO);
        let now = Instant::now();
        let first = singles.try_enter(ALICE, now);
        let control = Control::within(Duration::from_millis(20));
        assert!(singles.enter(ALICE, now, &control).await.is_none());
        let control = Control::within(PATIENCE);
        let next = async { singles.enter(ALICE, now, &control).await.is_some() };
        let ends = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        assert!(futures_util::join!(next, ends).0);
        assert_eq!(singles.waiting.get(), 0);
    }
}
