//! How many reports of brokers are written down one by one. A broker that is taken could send them without end, since none is
//! answered, and fill the disk or have files that are kept by number removed; so what is beyond is counted instead.

use std::time::{Duration, Instant};

/// So many a second for as long as they come: more than the refusals that a busy service tells of, and less than calls that are
/// executed leave records anyway.
const EACH_SECOND: u128 = 2_000;
/// So many at once: what a broker has kept while there was no worker, and the first seconds of a flood.
const AT_ONCE: u128 = 10_000;
/// What one report takes, in parts of which a nanosecond brings `EACH_SECOND`.
const ONE: u128 = 1_000_000_000;

/// What is left to be written down.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u128,
    filled: Instant,
    beyond: u64,
    since_told: Instant,
}

/// How often those beyond are told of.
const TOLD_EACH: Duration = Duration::from_secs(1);

impl Allowance {
    pub(crate) fn full(now: Instant) -> Self {
        Self {
            left: AT_ONCE.saturating_mul(ONE),
            filled: now,
            beyond: 0,
            since_told: now,
        }
    }

    /// Whether one more is written down. If not, it is counted.
    pub(crate) fn takes(&mut self, now: Instant) -> bool {
        let brings = now
            .saturating_duration_since(self.filled)
            .as_nanos()
            .saturating_mul(EACH_SECOND);
        self.filled = now;
        let most = AT_ONCE.saturating_mul(ONE);
        self.left = self.left.saturating_add(brings).min(most);
        if let Some(left) = self.left.checked_sub(ONE) {
            self.left = left;
            true
        } else {
            self.beyond = self.beyond.saturating_add(1);
            false
        }
    }

    /// How many were only counted since this was asked last; none, if there are none, or it was asked just now.
    pub(crate) fn beyond(&mut self, now: Instant) -> Option<u64> {
        if self.beyond == 0 || now.saturating_duration_since(self.since_told) < TOLD_EACH {
            return None;
        }
        self.since_told = now;
        Some(std::mem::take(&mut self.beyond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_written_down_as_far_as_allowed_and_counted_beyond() {
        let began = Instant::now();
        let mut allowance = Allowance::full(began);
        let written =
            |allowance: &mut Allowance, at: Instant| (0..50_000).filter(|_| allowance.takes(at)).count();
        assert_eq!(written(&mut allowance, began), 10_000);
        assert_eq!(allowance.beyond(began), None, "not at once");
        let later = began + Duration::from_millis(1_500);
        assert_eq!(allowance.beyond(later), Some(40_000));
        assert_eq!(allowance.beyond(later), None);
        assert_eq!(written(&mut allowance, later), 3_000);
        let much_later = later + Duration::from_hours(1);
        assert_eq!(
            written(&mut allowance, much_later),
            10_000,
            "it does not gather for ever"
        );
    }

    #[test]
    fn what_comes_slowly_is_written_down_for_ever() {
        let mut now = Instant::now();
        let mut allowance = Allowance::full(now);
        for _ in 0..100_000 {
            now += Duration::from_micros(500);
            assert!(allowance.takes(now));
        }
        assert_eq!(allowance.beyond(now + Duration::from_secs(9)), None);
    }
}
