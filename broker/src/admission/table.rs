//! What limits remember, in a table that never grows: a million addresses take the memory of one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

/// Slots of one table.
const SLOTS: usize = 65_536;
/// Parts with a lock each, so that callers seldom wait for one another.
const PARTS: usize = 256;
/// Slots that a key may lie in. The hash chooses where they begin, and its seed is this process's secret: nobody can aim at
/// somebody else's slots.
const WAYS: usize = 8;

/// Something remembered of one key.
pub(super) trait Memory: Copy + Default {
    /// What a key's memory weighs at the time `now_ns`. Nothing is lost with one that weighs 0; where all weigh something,
    /// the lightest makes room, or does not, as [`Crowded`] says.
    fn weight(&self, now_ns: u64) -> u64;
}

/// What happens to a key for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// It shares one memory with all others of its part that found no room.
    Shares,
    /// It takes the place of the lightest.
    Displaces,
}

/// A table of fixed size.
pub(super) struct Table<M> {
    seed: RandomState,
    crowded: Crowded,
    parts: Vec<Mutex<Part<M>>>,
}

struct Part<M> {
    slots: Vec<Slot<M>>,
    /// For keys that found no room.
    strangers: M,
}

#[derive(Clone, Copy)]
struct Slot<M> {
    /// The key's hash, never 0; 0 is an empty slot. Two keys of one hash share their memory: one pair among four billion keys.
    hash: u64,
    memory: M,
}

impl<M: Memory> Table<M> {
    /// An empty one.
    pub(super) fn new(crowded: Crowded) -> Self {
        let empty = Slot {
            hash: 0,
            memory: M::default(),
        };
        let slots = SLOTS.checked_div(PARTS).unwrap_or(WAYS);
        let part = || {
            Mutex::new(Part {
                slots: vec![empty; slots],
                strangers: M::default(),
            })
        };
        Self {
            seed: RandomState::new(),
            crowded,
            parts: (0..PARTS).map(|_| part()).collect(),
        }
    }

    /// Lets `change` work on what is remembered of a key, at the time `now_ns`.
    pub(super) fn with<R>(&self, key: &impl Hash, now_ns: u64, change: impl FnOnce(&mut M) -> R) -> R {
        let hash = self.hash(key);
        let Some(part) = self.part(hash) else {
            return change(&mut M::default());
        };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let Part { slots, strangers } = &mut *part;
        let ways = ways(slots, hash);
        if let Some(known) = ways.iter().position(|slot| slot.hash == hash) {
            return match ways.get_mut(known) {
                Some(slot) => change(&mut slot.memory),
                None => change(strangers),
            };
        }
        let weight = |slot: &Slot<M>| {
            if slot.hash == 0 {
                0
            } else {
                slot.memory.weight(now_ns)
            }
        };
        let lightest = ways.iter_mut().min_by_key(|slot| weight(slot));
        match lightest {
            Some(slot) if self.crowded == Crowded::Displaces || weight(slot) == 0 => {
                *slot = Slot {
                    hash,
                    memory: M::default(),
                };
                change(&mut slot.memory)
            }
            Some(_) | None => change(strangers),
        }
    }

    /// What is remembered of a key, if anything is. It takes no room.
    pub(super) fn look(&self, key: &impl Hash) -> Option<M> {
        let hash = self.hash(key);
        let mut part = self.part(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ways(&mut part.slots, hash).iter().find(|slot| slot.hash == hash);
        known.map(|slot| slot.memory)
    }

    /// Bytes that the table takes, however many keys it has met.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let of_part = |part: &Mutex<Part<M>>| {
            let slots = part.lock().unwrap().slots.capacity();
            size_of::<Mutex<Part<M>>>().saturating_add(slots.saturating_mul(size_of::<Slot<M>>()))
        };
        self.parts.iter().map(of_part).sum()
    }

    fn hash(&self, key: &impl Hash) -> u64 {
        self.seed.hash_one(key).max(1)
    }

    fn part(&self, hash: u64) -> Option<&Mutex<Part<M>>> {
        let number = usize::try_from(hash >> 32).ok()?.checked_rem(self.parts.len())?;
        self.parts.get(number)
    }
}

/// The slots in which a key of this hash may lie.
fn ways<M>(slots: &mut [Slot<M>], hash: u64) -> &mut [Slot<M>] {
    let groups = slots.len().checked_div(WAYS).unwrap_or(0);
    let group = usize::try_from(hash & 0xffff_ffff)
        .ok()
        .and_then(|low| low.checked_rem(groups));
    let begin = group.unwrap_or(0).saturating_mul(WAYS);
    slots
        .get_mut(begin..begin.saturating_add(WAYS))
        .unwrap_or_default()
}
