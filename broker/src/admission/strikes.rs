//! Counts, per address, what only an attacker or a broken client does often: proofs that don't hold, messages that are no
//! requests. What succeeds never counts, however many share the address; its failures they do share.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::rate::{Held, Quota, Rates};
use crate::net::prefix;

/// Refusals of unknown callers that the audit is told of, per minute and address. What needs no proof costs nothing to
/// repeat, and each repetition would take the disk a record; metrics count them all.
const RECORDS_PER_MINUTE: u32 = 60;
const ONE: NonZeroU32 = NonZeroU32::MIN;

/// Strikes by address.
pub struct Strikes {
    quota: Quota,
    struck: Rates,
    recorded: Rates,
}

impl Strikes {
    /// So many strikes per minute and address are free.
    pub fn new(per_minute: u32) -> Self {
        Self {
            quota: Quota::new(per_minute, per_minute),
            struck: Rates::new(),
            recorded: Rates::new(),
        }
    }

    /// Counts one.
    pub fn strike(&self, address: IpAddr) {
        // Whoever is held back already can't owe more.
        let _ = self.struck.take(&prefix(address), self.quota, ONE);
    }

    /// How long the address is still blocked: until one more strike would be free.
    pub fn remaining(&self, address: IpAddr) -> Option<Duration> {
        self.struck.wait(&prefix(address), self.quota)
    }

    /// Whether the audit is told of one more refusal of somebody unknown at this address.
    pub fn is_worth_a_record(&self, address: IpAddr) -> bool {
        let quota = Quota::new(RECORDS_PER_MINUTE, RECORDS_PER_MINUTE);
        match self.recorded.take(&prefix(address), quota, ONE) {
            Ok(()) => true,
            Err(Held::For(_) | Held::ForEver) => false,
        }
    }
}
