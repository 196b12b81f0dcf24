//! Who has how many of the connections that serve a queue. A statement that runs is not interrupted for another one: whoever had
//! all connections, with calls that take long, would keep everybody else waiting until these end. So who has been seen to ask
//! for such leaves some to the others, also while nobody else asks. Who asks for what is short may have all.

use std::time::{Duration, Instant};

use super::{ByLane, Lane};

/// A call that has a connection for longer takes long.
const LONG: Duration = Duration::from_millis(100);
/// For how long it is remembered of a lane that a call of it took long.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Most lanes of which that is remembered.
const MOST: usize = 4_096;

/// Items that were taken and are not done.
pub(super) struct AtWork {
    /// Most at once of a lane whose calls take long.
    share: usize,
    /// The oldest first. No more than there are connections, and one that waits.
    running: Vec<(Lane, Instant)>,
    /// Until when lanes are known for calls that take long.
    known: ByLane<Instant>,
}

impl AtWork {
    /// On so many connections. None where they are too few to be shared.
    pub(super) fn on(connections: usize) -> Option<Self> {
        // A quarter is for others, and one at least.
        let left = connections.div_euclid(4).max(1);
        let share = connections.checked_sub(left).filter(|share| *share > 0)?;
        Some(Self {
            share,
            running: Vec::with_capacity(connections),
            known: ByLane::default(),
        })
    }

    /// Whether another one of this lane may begin.
    pub(super) fn has_room_for(&self, lane: Lane, now: Instant) -> bool {
        let mut own = self.running.iter().filter(|(other, _)| *other == lane);
        let Some((_, oldest)) = own.next() else {
            return true;
        };
        let takes_long = || {
            now.saturating_duration_since(*oldest) > LONG
                || self.known.get(&lane).is_some_and(|until| now < *until)
        };
        own.count().saturating_add(1) < self.share || !takes_long()
    }

    pub(super) fn begin(&mut self, lane: Lane, now: Instant) {
        self.running.push((lane, now));
    }

    /// One of this lane is done, and has had a connection for so long.
    pub(super) fn end(&mut self, lane: Lane, time: Duration) {
        if let Some(oldest) = self.running.iter().position(|(other, _)| *other == lane) {
            self.running.remove(oldest);
        }
        if time > LONG {
            self.remember(lane, Instant::now());
        }
    }

    /// Where there are too many, those are forgotten who are known already: they will be seen again.
    fn remember(&mut self, lane: Lane, now: Instant) {
        if self.known.len() >= MOST {
            self.known.retain(|_, until| now < *until);
            if self.known.len() >= MOST {
                self.known.clear();
            }
        }
        if let Some(until) = now.checked_add(REMEMBERED) {
            self.known.insert(lane, until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Lane = Lane(1);
    const BOB: Lane = Lane(2);
    const SHORT: Duration = Duration::from_millis(1);

    /// How many of Alice's may begin.
    fn begun(at_work: &mut AtWork, now: Instant) -> usize {
        let next = || {
            at_work
                .has_room_for(ALICE, now)
                .then(|| at_work.begin(ALICE, now))
        };
        std::iter::from_fn(next).take(100).count()
    }

    #[test]
    fn who_takes_long_leaves_a_quarter_and_one_at_least_of_what_can_be_shared() {
        let now = Instant::now();
        for (connections, share) in [(2, 1), (3, 2), (4, 3), (7, 6), (8, 6), (62, 47)] {
            let mut at_work = AtWork::on(connections).unwrap();
            at_work.remember(ALICE, now);
            assert_eq!(begun(&mut at_work, now), share, "of {connections}");
            assert!(at_work.has_room_for(BOB, now));
            at_work.end(ALICE, SHORT);
            assert!(at_work.has_room_for(ALICE, now));
        }
        for connections in 0..2 {
            assert!(AtWork::on(connections).is_none());
        }
    }

    #[test]
    fn who_is_short_may_have_all_until_one_of_his_takes_long() {
        let now = Instant::now();
        let mut at_work = AtWork::on(8).unwrap();
        assert_eq!(begun(&mut at_work, now), 100, "nobody knows of anything long");
        (0..100).for_each(|_| at_work.end(ALICE, SHORT));
        assert_eq!(begun(&mut at_work, now), 100);
        // What runs for long is as good as what has.
        assert!(!at_work.has_room_for(ALICE, now + 2 * LONG));
        (0..99).for_each(|_| at_work.end(ALICE, SHORT));
        at_work.end(ALICE, 2 * LONG);
        assert!(at_work.running.is_empty());
        assert_eq!(begun(&mut at_work, now), 6, "of eight");
        (0..6).for_each(|_| at_work.end(ALICE, SHORT));
        assert_eq!(begun(&mut at_work, now + 2 * REMEMBERED), 100, "it is forgotten");
    }

    #[test]
    fn whom_it_remembers_is_bounded() {
        let mut at_work = AtWork::on(8).unwrap();
        let most = u64::try_from(MOST).unwrap();
        for lane in 0..3 * most {
            at_work.begin(Lane(lane), Instant::now());
            at_work.end(Lane(lane), 2 * LONG);
        }
        assert!(at_work.known.len() <= MOST && at_work.running.is_empty());
    }
}
