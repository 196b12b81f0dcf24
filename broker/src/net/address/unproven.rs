//! Connections that have proven nothing, and which of them makes room for a newcomer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A handshake that takes longer than this may be displaced by anybody. What is younger stays, but for the two reasons below:
/// a crowd that comes back after a network cut shall not keep throwing one another out.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// An address that has so many more of them than the newcomer's makes room at once.
const CROWD: usize = 4;

/// All of them.
#[derive(Default)]
pub(super) struct Unproven {
    /// The oldest first.
    all: BTreeMap<u64, One>,
    /// Those of addresses that have squandered a place before.
    doubted: BTreeSet<u64>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    /// Every address with the number of its connections, the most last.
    crowds: BTreeSet<(usize, IpAddr)>,
    last: u64,
}

/// One of them.
pub(super) struct One {
    pub(super) address: IpAddr,
    pub(super) since: Instant,
    displace: oneshot::Sender<()>,
}

/// What is known of somebody's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing bad.
    Clean,
    /// It has squandered a place.
    Squandered,
}

impl Unproven {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// One more; tells its number, and when it has to go.
    pub(super) fn insert(&mut self, address: IpAddr, record: Record) -> (u64, oneshot::Receiver<()>) {
        self.last = self.last.saturating_add(1);
        let number = self.last;
        let (displace, displaced) = oneshot::channel();
        let one = One {
            address,
            since: Instant::now(),
            displace,
        };
        self.all.insert(number, one);
        if record == Record::Squandered {
            self.doubted.insert(number);
        }
        self.change(address, |here| here.insert(number));
        (number, displaced)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<One> {
        let one = self.all.remove(&number)?;
        self.doubted.remove(&number);
        self.change(one.address, |here| here.remove(&number));
        Some(one)
    }

    /// Takes out the one that makes room for somebody from `address`: the oldest of those whose addresses have squandered a
    /// place, if the newcomer's has not; else the oldest of the address that has many more of them; else the oldest
    /// of all, if it has had its time.
    pub(super) fn displace(&mut self, address: IpAddr, record: Record) -> Option<One> {
        let doubted = match record {
            Record::Clean => self.doubted.first().copied(),
            Record::Squandered => None,
        };
        let number = doubted
            .or_else(|| self.of_a_crowd(address))
            .or_else(|| self.oldest())?;
        self.remove(number)
    }

    fn of_a_crowd(&self, address: IpAddr) -> Option<u64> {
        let own = self.by_address.get(&address).map_or(0, BTreeSet::len);
        let (most, crowded) = self.crowds.last()?;
        let is_crowd = *most >= own.saturating_add(CROWD);
        is_crowd.then(|| self.by_address.get(crowded)?.first().copied())?
    }

    fn oldest(&self) -> Option<u64> {
        let (number, one) = self.all.first_key_value()?;
        one.has_had_its_time().then_some(*number)
    }

    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let here = self.by_address.entry(address).or_default();
        let before = here.len();
        change(here);
        let after = here.len();
        self.crowds.remove(&(before, address));
        if after == 0 {
            self.by_address.remove(&address);
        } else {
            self.crowds.insert((after, address));
        }
    }

    /// As if all had been there for so long.
    #[cfg(test)]
    pub(super) fn pass(&mut self, time: Duration) {
        for one in self.all.values_mut() {
            one.since = one.since.checked_sub(time).unwrap();
        }
    }
}

impl One {
    /// Whether it was there for so long that it could have proven something.
    pub(super) fn has_had_its_time(&self) -> bool {
        self.since.elapsed() >= GRACE
    }

    /// Tells it to go.
    pub(super) fn go(self) {
        // Where nobody listens any more the connection is ending by itself.
        let _ = self.displace.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn displaced(unproven: &mut Unproven, by: u8, record: Record) -> Option<IpAddr> {
        unproven.displace(address(by), record).map(|one| one.address)
    }

    #[test]
    fn who_squandered_a_place_goes_first_then_who_has_many_and_then_who_had_their_time() {
        let mut unproven = Unproven::default();
        let mut kept = Vec::new();
        for (from, record) in [
            (1, Record::Clean),
            (2, Record::Clean),
            (2, Record::Clean),
            (2, Record::Clean),
            (2, Record::Clean),
            (3, Record::Squandered),
        ] {
            kept.push(unproven.insert(address(from), record));
        }
        // It has squandered one itself: no priority, but the crowd makes room for it, too.
        assert_eq!(displaced(&mut unproven, 4, Record::Squandered), Some(address(2)));
        assert_eq!(displaced(&mut unproven, 4, Record::Squandered), None);
        assert_eq!(displaced(&mut unproven, 4, Record::Clean), Some(address(3)));
        assert_eq!(displaced(&mut unproven, 4, Record::Clean), None, "all are young");
        unproven.pass(GRACE);
        let order: Vec<_> = std::iter::from_fn(|| displaced(&mut unproven, 4, Record::Squandered)).collect();
        assert_eq!(order, [1, 2, 2, 2].map(address));
        let Unproven {
            all,
            doubted,
            by_address,
            crowds,
            last: _,
        } = unproven;
        assert!(all.is_empty() && doubted.is_empty() && by_address.is_empty() && crowds.is_empty());
    }
}
