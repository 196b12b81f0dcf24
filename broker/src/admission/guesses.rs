//! Slows down who guesses tokens: after a few proofs that were no proofs, each further one doubles the time in which the
//! address is not listened to.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::table::{Crowded, Memory, Table};
use crate::net::prefix;

/// The first pause after the free failures.
const FIRST: Duration = Duration::from_secs(1);
/// An address that fails no more for so long starts anew.
const FORGOTTEN: Duration = Duration::from_mins(15);

/// What is known of one address. Times are milliseconds since the table was made.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_ms: u64,
    until_ms: u64,
}

impl Memory for Failures {
    /// Who failed most weighs most: many new addresses do not make an old offender forgotten.
    fn weight(&self, now_ns: u64) -> u64 {
        let ms = now_ns.checked_div(1_000_000).unwrap_or(u64::MAX);
        if self.is_forgotten(ms) {
            0
        } else {
            u64::from(self.count)
        }
    }
}

impl Failures {
    fn is_forgotten(self, now_ms: u64) -> bool {
        let since = now_ms.saturating_sub(self.last_ms.max(self.until_ms));
        u128::from(since) >= FORGOTTEN.as_millis()
    }
}

/// Failed proofs by address, in bounded memory.
pub struct Guesses {
    table: Table<Failures>,
    began: Instant,
    free: u32,
    longest: Duration,
}

impl Guesses {
    /// So many failures are free; no pause is longer than `longest`.
    pub fn new(free: u32, longest: Duration) -> Self {
        Self {
            table: Table::new(Crowded::Displaces),
            began: Instant::now(),
            free,
            longest,
        }
    }

    /// Notes a proof of this address that was none.
    pub fn failed(&self, address: IpAddr) {
        self.failed_at(address, self.now_ms());
    }

    /// How long this address is not listened to.
    pub fn remaining(&self, address: IpAddr) -> Option<Duration> {
        self.remaining_at(address, self.now_ms())
    }

    fn failed_at(&self, address: IpAddr, now_ms: u64) {
        let Self {
            table, free, longest, ..
        } = self;
        table.with(&prefix(address), now_ms.saturating_mul(1_000_000), |failures| {
            if failures.is_forgotten(now_ms) {
                *failures = Failures::default();
            }
            failures.count = failures.count.saturating_add(1);
            failures.last_ms = now_ms;
            if let Some(beyond) = failures.count.checked_sub(free.saturating_add(1)) {
                let pause = FIRST
                    .saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX))
                    .min(*longest);
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                failures.until_ms = now_ms.saturating_add(pause_ms);
            }
        });
    }

    fn remaining_at(&self, address: IpAddr, now_ms: u64) -> Option<Duration> {
        let failures = self.table.look(&prefix(address))?;
        let left = failures.until_ms.checked_sub(now_ms)?;
        (left > 0).then(|| Duration::from_millis(left))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn guesses() -> Guesses {
        Guesses::new(3, Duration::from_mins(1))
    }

    #[test]
    fn the_pause_doubles_with_each_failure_up_to_the_longest() {
        let guesses = guesses();
        let mut now = 0;
        for _ in 0..3 {
            guesses.failed_at(A, now);
            assert_eq!(guesses.remaining_at(A, now), None, "free");
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            guesses.failed_at(A, now);
            assert_eq!(guesses.remaining_at(A, now), Some(Duration::from_secs(seconds)));
            now += seconds * 1_000;
            assert_eq!(guesses.remaining_at(A, now), None);
        }
        assert_eq!(
            guesses.remaining_at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 0),
            None
        );
        // A quarter of an hour later it is anybody.
        guesses.failed_at(A, now + 15 * 60 * 1_000);
        assert_eq!(guesses.remaining_at(A, now + 15 * 60 * 1_000), None);
    }

    #[test]
    fn all_addresses_of_one_ipv6_customer_are_one_and_an_ipv4_address_in_ipv6_clothes_is_itself() {
        let guesses = guesses();
        for host in 0..4 {
            guesses.failed_at(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, host, host, 0, host).into(), 0);
        }
        let other: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0xffff, 0, 0, 1).into();
        assert!(guesses.remaining_at(other, 0).is_some());
        let neighbour: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 0).into();
        assert_eq!(guesses.remaining_at(neighbour, 0), None);
        for _ in 0..4 {
            guesses.failed_at(A, 0);
        }
        assert!(
            guesses
                .remaining_at("::ffff:192.0.2.1".parse().unwrap(), 0)
                .is_some()
        );
    }

    #[test]
    fn a_million_addresses_take_the_memory_of_one_and_do_not_hide_an_offender() {
        let guesses = guesses();
        let before = guesses.table.bytes();
        // 32 bytes for each of 65,536 slots, and the locks.
        assert!(before < 2_200_000, "{before} bytes");
        for _ in 0..10 {
            guesses.failed_at(A, 0);
        }
        for number in 0..1_000_000_u32 {
            guesses.failed_at(Ipv4Addr::from(number).into(), 1);
        }
        assert_eq!(guesses.table.bytes(), before);
        assert_eq!(guesses.remaining_at(A, 0), Some(Duration::from_mins(1)));
    }
}
