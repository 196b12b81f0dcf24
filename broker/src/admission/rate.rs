//! A token bucket as one number: the generic cell rate algorithm (ITU-T I.371, annex A).

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::table::{Crowded, Memory, Table};

const MINUTE_NS: u64 = 60_000_000_000;

/// So many calls per minute, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Nanoseconds that one call takes up.
    each_ns: u64,
    burst: u32,
}

/// Why calls are not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Not yet.
    For(Duration),
    /// The bucket never holds so many at once.
    ForEver,
}

/// When the bucket will be full again, in nanoseconds since the limiter was made.
#[derive(Clone, Copy, Debug, Default)]
struct FullAt(u64);

impl Memory for FullAt {
    fn weight(&self, now_ns: u64) -> u64 {
        self.0.saturating_sub(now_ns)
    }
}

/// Buckets by key, in bounded memory.
pub(super) struct Rates {
    table: Table<FullAt>,
    began: Instant,
}

impl Quota {
    /// Zero counts as one: a limit that lets nobody through is a policy that grants nothing, and is written there.
    pub(super) fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            each_ns: MINUTE_NS
                .checked_div(u64::from(per_minute))
                .unwrap_or(MINUTE_NS)
                .max(1),
            burst: burst.max(1),
        }
    }
}

impl Rates {
    /// Every bucket full.
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(Crowded::Shares),
            began: Instant::now(),
        }
    }

    /// Takes so many from the key's bucket, or none of them.
    pub(super) fn take(&self, key: &impl Hash, quota: Quota, calls: NonZeroU32) -> Result<(), Held> {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.take_at(key, quota, calls, now)
    }

    fn take_at(&self, key: &impl Hash, quota: Quota, calls: NonZeroU32, now: u64) -> Result<(), Held> {
        let Quota { each_ns, burst } = quota;
        if calls.get() > burst {
            return Err(Held::ForEver);
        }
        let room = each_ns.saturating_mul(u64::from(burst));
        self.table.with(key, now, |full_at| {
            let wanted = each_ns.saturating_mul(u64::from(calls.get()));
            // A limit that was looser before a reload may have let more debt gather than this one has room for.
            let debt = full_at.0.saturating_sub(now).min(room);
            let after = debt.saturating_add(wanted);
            if after > room {
                return Err(Held::For(Duration::from_nanos(after.saturating_sub(room))));
            }
            full_at.0 = now.saturating_add(after);
            Ok(())
        })
    }

    /// How long one call of this key would have to wait, if it would. Takes nothing.
    pub(super) fn wait(&self, key: &impl Hash, quota: Quota) -> Option<Duration> {
        let Quota { each_ns, burst } = quota;
        let FullAt(full_at) = self.table.look(key)?;
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let after = full_at.saturating_sub(now).saturating_add(each_ns);
        let beyond = after.checked_sub(each_ns.saturating_mul(u64::from(burst)))?;
        (beyond > 0).then(|| Duration::from_nanos(beyond))
    }

    /// See [`Table::bytes`].
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_lets_its_burst_through_and_then_one_at_a_time() {
        let (rates, quota) = (Rates::new(), Quota::new(60, 3));
        for _ in 0..3 {
            assert_eq!(rates.take_at(&"a", quota, ONE, SECOND), Ok(()));
        }
        let held = |seconds| Err(Held::For(Duration::from_secs(seconds)));
        assert_eq!(rates.take_at(&"a", quota, ONE, SECOND), held(1));
        assert_eq!(
            rates.take_at(&"b", quota, ONE, SECOND),
            Ok(()),
            "another key has its own"
        );
        assert_eq!(rates.take_at(&"a", quota, ONE, 2 * SECOND), Ok(()));
        assert_eq!(rates.take_at(&"a", quota, ONE, 2 * SECOND), held(1));
        // Idle for long, it is full and no fuller.
        let later = 1_000 * SECOND;
        let three = NonZeroU32::new(3).unwrap();
        assert_eq!(rates.take_at(&"a", quota, three, later), Ok(()));
        assert_eq!(rates.take_at(&"a", quota, ONE, later), held(1));
        // All or none.
        assert_eq!(rates.take_at(&"a", quota, three, later + SECOND), held(2));
        assert_eq!(rates.take_at(&"a", quota, ONE, later + SECOND), Ok(()));
        assert_eq!(
            rates.take_at(&"a", quota, NonZeroU32::new(4).unwrap(), later),
            Err(Held::ForEver)
        );
    }

    #[test]
    fn a_tighter_limit_after_a_reload_forgives_what_it_has_no_room_for() {
        let rates = Rates::new();
        let (loose, tight) = (Quota::new(60, 1_000), Quota::new(60, 1));
        let all = NonZeroU32::new(1_000).unwrap();
        assert_eq!(rates.take_at(&"a", loose, all, 0), Ok(()));
        assert_eq!(
            rates.take_at(&"a", tight, ONE, 0),
            Err(Held::For(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_million_principals_take_the_memory_of_one_and_nobody_gains_by_them() {
        let (rates, quota) = (Rates::new(), Quota::new(60, 20));
        let before = rates.bytes();
        // 16 bytes for each of 65,536 slots, and the locks.
        assert!(before < 1_100_000, "{before} bytes");
        for _ in 0..20 {
            rates.take_at(&"mallory", quota, ONE, SECOND).unwrap();
        }
        for number in 0..1_000_000_u32 {
            // Not all are let through: those that find no room share a bucket.
            let _ = rates.take_at(&number, quota, ONE, SECOND);
        }
        assert_eq!(rates.bytes(), before);
        let held = rates.take_at(&"mallory", quota, ONE, SECOND);
        assert!(matches!(held, Err(Held::For(_))), "{held:?}");
        // Once their calls are forgotten, so are they.
        assert_eq!(rates.take_at(&"newcomer", quota, ONE, 100 * SECOND), Ok(()));
    }
}
