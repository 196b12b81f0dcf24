//! How often one address may connect. A TLS handshake costs the broker far more than the client's side of it, so coming and
//! going is limited as well as staying.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::rate::{Quota, Rates};
use crate::net::prefix;

/// Arrivals by address, in bounded memory.
pub struct Arrivals {
    quota: Quota,
    rates: Rates,
}

impl Arrivals {
    /// So many per minute in the long run, so many at once.
    pub fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            quota: Quota::new(per_minute, burst),
            rates: Rates::new(),
        }
    }

    /// Whether one more may come in from this address.
    pub fn lets_in(&self, address: IpAddr) -> bool {
        self.rates
            .take(&prefix(address), self.quota, NonZeroU32::MIN)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_come_so_often_and_others_as_often_as_it() {
        let arrivals = Arrivals::new(1, 3);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert_eq!(
            [(); 5].map(|()| arrivals.lets_in(one)),
            [true, true, true, false, false]
        );
        assert!(arrivals.lets_in(other));
    }
}
