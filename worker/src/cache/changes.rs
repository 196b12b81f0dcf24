//! Which kept answers may no longer be true. Time is counted in changes; an answer is as old as the moment before its read began.
//!
//! A write is under way from before it reaches the database until after it has been committed or undone. Meanwhile no answer that
//! depends on what it may change is given out of what is kept, and none is kept; so nobody sees a row as it was after somebody has
//! seen it as it is.

use std::time::{Duration, Instant};

use dbal_shared::ids::EntityId;

use super::effects::Reach;

/// How long a write whose end is not known may still take effect: longer than the database lets a statement run, or an abandoned
/// transaction stand.
pub(super) const DOUBT: Duration = Duration::from_secs(90);

/// When a read began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    tick: u64,
    pub(super) since: Instant,
}

/// What has changed when.
pub(super) struct Changes {
    now: u64,
    any: Change,
    /// By the entities' numbers.
    of: Vec<Change>,
}

#[derive(Clone, Copy, Default)]
struct Change {
    last: u64,
    /// Writes that are under way.
    under_way: u32,
    /// A write may take effect until then.
    in_doubt_until: Option<Instant>,
}

impl Changes {
    pub(super) fn new(entities: usize) -> Self {
        Self {
            now: 0,
            any: Change::default(),
            of: vec![Change::default(); entities],
        }
    }

    /// Before a read of these begins; none where there would be no use for its answer.
    pub(super) fn stamp(&self, entities: &[EntityId]) -> Option<Stamp> {
        let stamp = Stamp {
            tick: self.now,
            since: Instant::now(),
        };
        self.is_true(stamp, entities).then_some(stamp)
    }

    /// Whether nothing that an answer depends on has changed since its read began, nor is about to.
    pub(super) fn is_true(&self, stamp: Stamp, entities: &[EntityId]) -> bool {
        let is_still = |change: &Change| {
            change.last <= stamp.tick
                && change.under_way == 0
                && change.in_doubt_until.is_none_or(|until| until <= stamp.since)
        };
        is_still(&self.any)
            && entities
                .iter()
                .all(|id| self.of.get(usize::from(id.0)).is_some_and(is_still))
    }

    /// A write begins.
    pub(super) fn begin(&mut self, reach: &Reach) {
        let now = self.tick();
        self.each(reach, |change| {
            change.last = now;
            change.under_way = change.under_way.saturating_add(1);
        });
    }

    /// It has ended, one way or the other; or nobody knows.
    pub(super) fn end(&mut self, reach: &Reach, is_known: bool) {
        let now = self.tick();
        let until = (!is_known).then(|| later(Instant::now(), DOUBT));
        self.each(reach, |change| {
            change.last = now;
            change.under_way = change.under_way.saturating_sub(1);
            change.in_doubt_until = change.in_doubt_until.max(until);
        });
    }

    /// Somebody else has written.
    pub(super) fn note(&mut self, reach: &Reach) {
        let now = self.tick();
        self.each(reach, |change| change.last = now);
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }

    fn each(&mut self, reach: &Reach, mut change: impl FnMut(&mut Change)) {
        match reach {
            Reach::Any => change(&mut self.any),
            Reach::Some(ids) => {
                for id in ids {
                    match self.of.get_mut(usize::from(id.0)) {
                        Some(of_one) => change(of_one),
                        None => change(&mut self.any),
                    }
                }
            }
        }
    }
}

/// Where a clock has no such time, now: nothing is kept or believed for ever.
pub(super) fn later(now: Instant, span: Duration) -> Instant {
    now.checked_add(span).unwrap_or(now)
}
