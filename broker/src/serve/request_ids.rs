//! Names for requests. They stand in logs and audit records, and refusals tell them to callers, who must neither guess one
//! nor count from two of them how much others ask: a counter, but scrambled with a key of this process.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use dbal_shared::ids::RequestId;

/// Rounds of the Feistel network. Three of a pseudorandom function make a pseudorandom permutation (Luby and Rackoff,
/// 1988); the fourth is for those who may choose inputs, which nobody may here.
const ROUNDS: usize = 4;

/// Makes names that no other request of this start has.
pub struct RequestIds {
    boot: u32,
    // SipHash under a key from the operating system, which std keeps for hash tables that enemies fill.
    rounds: [RandomState; ROUNDS],
    made: AtomicU64,
}

impl RequestIds {
    /// `boot` is random and names this start of the process.
    pub fn new(boot: u32) -> Self {
        Self {
            boot,
            rounds: std::array::from_fn(|_| RandomState::new()),
            made: AtomicU64::new(0),
        }
    }

    /// The next name.
    pub fn next(&self) -> RequestId {
        RequestId {
            boot: self.boot,
            sequence: self.scrambled(self.made.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// A Feistel network is a permutation whatever its rounds do, so different numbers stay different.
    fn scrambled(&self, number: u64) -> u64 {
        let (mut left, mut right) = (low_half(number >> 32), low_half(number));
        for (nth, round) in self.rounds.iter().enumerate() {
            (left, right) = (right, left ^ low_half(round.hash_one((nth, right))));
        }
        (u64::from(left) << 32) | u64::from(right)
    }
}

fn low_half(number: u64) -> u32 {
    // Fits after the mask, so nothing is ever put in its place.
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_never_repeat_and_do_not_count() {
        let ids = RequestIds::new(7);
        let made: Vec<RequestId> = (0..100_000).map(|_| ids.next()).collect();
        let distinct: HashSet<RequestId> = made.iter().copied().collect();
        assert_eq!(distinct.len(), made.len());
        let steps: HashSet<u64> = made
            .windows(2)
            .map(|pair| pair[1].sequence.wrapping_sub(pair[0].sequence))
            .collect();
        assert!(steps.len() > 99_000, "the difference of two tells nothing");
        let again = RequestIds::new(7);
        assert_ne!(again.next(), made[0], "another start has another key");
    }
}
