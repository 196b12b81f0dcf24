//! How many of the places that calls share each caller has. Whoever had all of them, with calls that are held up, would keep everybody
//! else from being taken at all. Unlike connections, places are many more than make anybody faster, so a share is enough always.

use super::{ByLane, Lane};

/// Items of each lane that were taken and are not done.
pub(super) struct Places {
    /// Most of one lane.
    share: usize,
    /// None of them is zero.
    taken: ByLane<usize>,
}

impl Places {
    /// Of so many. A quarter of them is for others.
    pub(super) fn among(count: usize) -> Self {
        let left = count.div_euclid(4).max(1);
        Self {
            share: count.saturating_sub(left).max(1),
            taken: ByLane::default(),
        }
    }

    /// Whether another one of this lane may begin.
    pub(super) fn have_room_for(&self, lane: Lane) -> bool {
        self.taken.get(&lane).is_none_or(|taken| *taken < self.share)
    }

    pub(super) fn begin(&mut self, lane: Lane) {
        let taken = self.taken.entry(lane).or_default();
        *taken = taken.saturating_add(1);
    }

    /// One of this lane is done.
    pub(super) fn end(&mut self, lane: Lane) {
        if let Some(taken) = self.taken.get_mut(&lane) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.taken.remove(&lane);
            }
        }
    }
}
