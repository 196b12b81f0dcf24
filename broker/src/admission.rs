//! May they ask now? Token buckets: per principal for calls, per address for what fails before anyone is known.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dbal_policy::RoleLimits;
use dbal_shared::fault::Code;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::Caller;
use crate::net::prefix;
use crate::respond::{Kind, Refusal};

/// Keys that one limiter remembers. At some 100 bytes each it stays below 10 MiB; beyond it, keys that would pass anyway
/// are dropped first, and if none is, strangers share one bucket.
const KEYS: usize = 65_536;
/// How often a full limiter may look for keys to drop.
const SWEEP: Duration = Duration::from_secs(1);
/// Roles may combine to so many different limits before the strictest of them serves the rest.
const QUOTAS: usize = 64;

/// Refusals of unknown callers that the audit is told of, per minute and address. What needs no proof costs nothing to
/// repeat, and each repetition would take the disk a record; metrics count them all.
const RECORDS_PER_MINUTE: u32 = 60;
/// The bucket of addresses for which there is no room.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Limits calls per principal, as the policy says for their roles.
pub struct Admission {
    by_quota: Mutex<HashMap<Bucketing, Arc<Limiter<Arc<str>>>>>,
}

/// Callers who are counted in one table. Those who proved nothing have their own, so that many addresses can't crowd
/// known principals out of theirs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Bucketing {
    requests_per_minute: u32,
    burst: u32,
    is_anonymous: bool,
}

/// Why calls are not let through.
enum Held {
    /// Not yet.
    For(Duration),
    /// The bucket never holds so many at once.
    ForEver,
}

/// Proof that a call was admitted, and until when it may take.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    deadline: tokio::time::Instant,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Nobody has called yet.
    pub fn new() -> Self {
        Self {
            by_quota: Mutex::new(HashMap::new()),
        }
    }

    /// After a reload: tables for limits that are gone would crowd out those of the new ones.
    pub fn start_over(&self) {
        let mut by_quota = self.by_quota.lock().unwrap_or_else(PoisonError::into_inner);
        by_quota.clear();
    }

    /// Takes so many calls from the caller's bucket, or none of them.
    pub fn admit(
        &self,
        caller: &Caller,
        calls: NonZeroU32,
        deadline: tokio::time::Instant,
    ) -> Result<Permit, Refusal> {
        let limits = caller.policy().limits(caller.subject());
        match self
            .limiter(&limits, caller)
            .take_several(caller.rate_key(), calls)
        {
            Ok(()) => Ok(Permit { deadline }),
            Err(Held::For(wait)) => Err(Refusal::rate_limited(
                wait,
                format!("{} calls per minute", limits.requests_per_minute),
            )),
            Err(Held::ForEver) => Err(Refusal::new(
                Kind::Code(Code::TooLarge),
                format!(
                    "{calls} calls at once; the rate limit lets {} through",
                    limits.burst
                ),
            )),
        }
    }

    fn limiter(&self, limits: &RoleLimits, caller: &Caller) -> Arc<Limiter<Arc<str>>> {
        let wanted = Bucketing {
            requests_per_minute: limits.requests_per_minute,
            burst: limits.burst,
            is_anonymous: caller.session().principal().id.is_none(),
        };
        let mut by_quota = self.by_quota.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = by_quota.get(&wanted) {
            return Arc::clone(limiter);
        }
        let strictest = by_quota.iter().min_by_key(|(quota, _)| **quota);
        if let Some((_, limiter)) = strictest
            && by_quota.len() >= QUOTAS
        {
            return Arc::clone(limiter);
        }
        let limiter = Arc::new(Limiter::new(wanted.requests_per_minute, wanted.burst, "".into()));
        by_quota.insert(wanted, Arc::clone(&limiter));
        limiter
    }
}

impl Permit {
    /// When the answer must be there.
    pub fn deadline(self) -> tokio::time::Instant {
        self.deadline
    }

    /// A client may be less patient than the daemon, never more.
    #[must_use]
    pub fn until(self, deadline: tokio::time::Instant) -> Self {
        Self {
            deadline: self.deadline.min(deadline),
        }
    }
}

/// Counts, per address, what only an attacker or a broken client does often: proofs that don't hold, messages that are
/// no requests. What succeeds never counts, however many share the address; its failures they do share.
pub struct Strikes {
    limiter: Limiter<IpAddr>,
    blocked: Mutex<HashMap<IpAddr, Instant>>,
    recorded: Limiter<IpAddr>,
}

impl Strikes {
    /// So many strikes per minute and address are free.
    pub fn new(per_minute: u32) -> Self {
        Self {
            limiter: Limiter::new(per_minute, per_minute, ANYWHERE),
            blocked: Mutex::new(HashMap::new()),
            recorded: Limiter::new(RECORDS_PER_MINUTE, RECORDS_PER_MINUTE, ANYWHERE),
        }
    }

    /// Counts one. Once there are too many, the address is blocked until one is free again.
    pub fn strike(&self, address: IpAddr) {
        let address = prefix(address);
        if let Err(wait) = self.limiter.take(&address)
            && let Some(until) = Instant::now().checked_add(wait)
        {
            let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
            if blocked.len() >= KEYS {
                let now = Instant::now();
                blocked.retain(|_, until| *until > now);
            }
            if blocked.len() < KEYS {
                blocked.insert(address, until);
            }
        }
    }

    /// Whether the audit is told of one more refusal of somebody unknown at this address.
    pub fn is_worth_a_record(&self, address: IpAddr) -> bool {
        self.recorded.take(&prefix(address)).is_ok()
    }

    /// How long the address is still blocked.
    pub fn remaining(&self, address: IpAddr) -> Option<Duration> {
        let address = prefix(address);
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let left = blocked.get(&address)?.checked_duration_since(Instant::now());
        if left.is_none() {
            blocked.remove(&address);
        }
        left
    }
}

/// A keyed token bucket with bounded memory.
struct Limiter<K: Clone + Eq + Hash> {
    buckets: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    swept: Mutex<Instant>,
    stranger: K,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    fn new(per_minute: u32, burst: u32, stranger: K) -> Self {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst));
        Self {
            buckets: RateLimiter::hashmap(quota),
            clock: DefaultClock::default(),
            swept: Mutex::new(Instant::now()),
            stranger,
        }
    }

    /// Takes one, or tells how long to wait for it.
    fn take(&self, key: &K) -> Result<(), Duration> {
        let key = if self.is_full() { &self.stranger } else { key };
        self.buckets
            .check_key(key)
            .map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    /// Takes all of them or none.
    fn take_several(&self, key: &K, calls: NonZeroU32) -> Result<(), Held> {
        let key = if self.is_full() { &self.stranger } else { key };
        match self.buckets.check_key_n(key, calls) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(Held::For(refused.wait_time_from(self.clock.now()))),
            Err(_) => Err(Held::ForEver),
        }
    }

    fn is_full(&self) -> bool {
        if self.buckets.len() < KEYS {
            return false;
        }
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() >= SWEEP {
            self.buckets.retain_recent();
            *swept = Instant::now();
        }
        self.buckets.len() >= KEYS
    }
}
