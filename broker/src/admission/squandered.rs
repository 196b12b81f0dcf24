//! Addresses that had a place, made nothing of it in their time, and lost it to somebody else. For some seconds they come behind
//! those of whom no such thing is known.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::rate::{Quota, Rates};
use crate::net::prefix;

/// How often an address is forgiven: it is remembered for a sixth of a minute.
const FORGIVEN_PER_MINUTE: u32 = 6;

/// Such addresses, in bounded memory.
pub struct Squandered {
    quota: Quota,
    rates: Rates,
}

impl Default for Squandered {
    fn default() -> Self {
        Self {
            quota: Quota::new(FORGIVEN_PER_MINUTE, 1),
            rates: Rates::new(),
        }
    }
}

impl Squandered {
    /// One more.
    pub fn note(&self, address: IpAddr) {
        // Who is remembered already is not remembered for longer.
        let _ = self.rates.take(&prefix(address), self.quota, NonZeroU32::MIN);
    }

    /// Whether it is remembered.
    pub fn is_known(&self, address: IpAddr) -> bool {
        self.rates.wait(&prefix(address), self.quota).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_remembered_by_what_it_did_and_no_other_is() {
        let squandered = Squandered::default();
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(!squandered.is_known(one));
        squandered.note(one);
        squandered.note(one);
        assert!(squandered.is_known(one) && !squandered.is_known(other));
    }
}
