//! Addresses as limits count them, and who has a place: so many connections in all, so many of one address, and so many
//! that have proven nothing yet, of which one makes room.

mod unproven;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbal_shared::address::prefix;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::Squandered;
use unproven::{Record, Unproven};

/// Descriptors beside those of clients: listeners, channel, log, files that a reload reads.
const SPARE_DESCRIPTORS: u64 = 64;

/// Descriptors that are kept free once the process has run out of them, to accept newcomers and tell who may stay. Fewer where
/// there are few connections.
const FREE_DESCRIPTORS: usize = 4;
/// How long there are fewer places then.
const SHORT: Duration = Duration::from_secs(10);

/// Counts connections.
pub struct Connections {
    open: Mutex<Open>,
    bounds: Bounds,
    squandered: Squandered,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub all: usize,
    /// Of one address.
    pub per_address: usize,
    /// That have proven nothing yet, of all addresses.
    pub unproven: usize,
}

impl Bounds {
    /// The same, but no more than there are descriptors for: who finds no place is turned away and knows it, who finds no
    /// descriptor waits in the kernel for one.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let room = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(usize::MAX);
        Self {
            all: self.all.min(room.max(1)),
            ..self
        }
    }
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    unproven: Unproven,
    /// Fewer places than usual, until then.
    short: Option<(usize, Instant)>,
}

/// A connection's place; given back when dropped.
pub struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
    number: u64,
    is_proven: AtomicBool,
}

/// Comes when another connection has taken the place.
pub struct Displaced(oneshot::Receiver<()>);

impl Connections {
    /// Nobody yet.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            bounds,
            squandered: Squandered::default(),
        })
    }

    /// A place for a connection from `address`, if there is one, or one that somebody else makes room in.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<(Place, Displaced)> {
        let address = prefix(address);
        let Bounds {
            all,
            per_address,
            unproven,
        } = self.bounds;
        let mut open = self.open();
        if open.by_address.get(&address).copied().unwrap_or(0) >= per_address {
            return None;
        }
        let record = self.record(address);
        let is_full = open.total >= open.places(all) || open.unproven.len() >= unproven;
        if is_full && !self.displace(&mut open, address, record) {
            return None;
        }
        open.total = open.total.saturating_add(1);
        let here = open.by_address.entry(address).or_default();
        *here = here.saturating_add(1);
        let (number, displaced) = open.unproven.insert(address, record);
        let place = Place {
            connections: Arc::clone(self),
            address,
            number,
            is_proven: AtomicBool::new(false),
        };
        Some((place, Displaced(displaced)))
    }

    /// The process has no descriptor left, though there are places. Some make room that would make room for anybody, and for a
    /// while there are no more places than are taken then: so the next ones can be accepted, and are told whether they may
    /// stay. False where nobody makes room.
    pub fn run_short(&self) -> bool {
        let mut open = self.open();
        let free = FREE_DESCRIPTORS.min(open.total.div_euclid(4)).max(1);
        let places = open.total.saturating_sub(free).max(1);
        // Nobody in particular, who has a clean record as nobody has squandered anything.
        let nobody = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let mut has_displaced = false;
        while open.total > places && self.displace(&mut open, nobody, Record::Clean) {
            has_displaced = true;
        }
        if has_displaced {
            let places = open.total;
            open.short = Instant::now().checked_add(SHORT).map(|until| (places, until));
        }
        has_displaced
    }

    fn record(&self, address: IpAddr) -> Record {
        if self.squandered.is_known(address) {
            Record::Squandered
        } else {
            Record::Clean
        }
    }

    /// Takes a place from somebody who has proven nothing. It is free at once; its task ends as soon as it is polled.
    fn displace(&self, open: &mut Open, address: IpAddr, record: Record) -> bool {
        let Some(one) = open.unproven.displace(address, record) else {
            return false;
        };
        open.leave(one.address);
        if one.has_had_its_time() {
            self.squandered.note(one.address);
        }
        one.go();
        true
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// How many places there are, of usually so many.
    fn places(&mut self, usual: usize) -> usize {
        if self.short.is_some_and(|(_, until)| until <= Instant::now()) {
            self.short = None;
        }
        self.short.map_or(usual, |(places, _)| places.min(usual))
    }

    fn leave(&mut self, address: IpAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(here) = self.by_address.get_mut(&address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Place {
    /// Somebody has proven who they are, or may ask without: from now on nobody is put in this place.
    pub fn prove(&self) {
        if self.is_proven.load(Ordering::Relaxed) {
            return;
        }
        // Who was displaced a moment ago is no longer in it, and ends.
        let is_still_here = self.connections.open().unproven.remove(self.number).is_some();
        self.is_proven.store(is_still_here, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        // Who was displaced gave its place back then.
        if open.unproven.remove(self.number).is_some() || self.is_proven.load(Ordering::Relaxed) {
            open.leave(self.address);
        }
    }
}

impl Displaced {
    /// Waits for it; for ever, once something is proven.
    pub async fn wait(self) {
        if self.0.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unproven::GRACE;
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn connections(all: usize, per_address: usize, unproven: usize) -> Arc<Connections> {
        Connections::new(Bounds {
            all,
            per_address,
            unproven,
        })
    }

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        let one: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(prefix(one), prefix(other));
        assert_eq!(prefix(mapped), A);
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let connections = connections(3, 2, 3);
        let first = connections.admit(A);
        let _second = connections.admit(A);
        assert!(first.is_some() && connections.admit(A).is_none());
        let _third = connections.admit(B);
        assert!(connections.admit(B).is_none(), "three in all");
        drop(first);
        assert!(connections.admit(A).is_some());
    }

    #[test]
    fn there_are_never_more_places_than_descriptors() {
        let bounds = Bounds {
            all: 100,
            per_address: 10,
            unproven: 10,
        };
        for (descriptors, all) in [(u64::MAX, 100), (164, 100), (100, 36), (10, 1)] {
            assert_eq!(bounds.within(descriptors).all, all, "{descriptors}");
        }
    }

    /// As if all had been there for so long.
    fn pass(connections: &Connections) {
        connections.open().unproven.pass(GRACE);
    }

    #[tokio::test]
    async fn the_oldest_that_has_proven_nothing_makes_room_and_gives_back_one_place() {
        let connections = connections(3, 3, 2);
        let (proven, _) = connections.admit(A).unwrap();
        proven.prove();
        let (oldest, displaced) = connections.admit(A).unwrap();
        let (_younger, not_displaced) = connections.admit(A).unwrap();
        assert!(connections.admit(B).is_none(), "none of them has had its time");
        pass(&connections);
        let newest = connections.admit(B);
        assert!(newest.is_some());
        displaced.wait().await;
        drop(oldest);
        assert_eq!(connections.open().total, 3);
        let another = connections.admit(A);
        assert!(another.is_some(), "the other one has had its time, too");
        not_displaced.wait().await;
        assert!(connections.admit(A).is_none(), "what is left is proven or young");
        drop(proven);
        drop(newest);
        let open = connections.open();
        assert_eq!((open.total, open.by_address.len()), (1, 1));
    }

    #[tokio::test]
    async fn who_proves_something_after_it_was_displaced_gains_and_frees_nothing() {
        let connections = connections(1, 1, 1);
        let (late, displaced) = connections.admit(A).unwrap();
        pass(&connections);
        let other = connections.admit(B);
        assert!(other.is_some());
        late.prove();
        displaced.wait().await;
        drop(late);
        assert_eq!(connections.open().total, 1);
        drop(other);
        assert_eq!(connections.open().total, 0);
    }

    #[tokio::test]
    async fn who_squandered_a_place_gives_way_to_an_address_that_has_not() {
        let connections = connections(2, 2, 2);
        let address = |last| IpAddr::from([10, 0, 1, last]);
        let _first = [connections.admit(address(1)), connections.admit(address(2))];
        pass(&connections);
        // Both lose what they had; then one comes again.
        let _second = [connections.admit(address(3)), connections.admit(address(4))];
        pass(&connections);
        let (_again, displaced) = connections.admit(address(1)).unwrap();
        let honest = connections.admit(address(5));
        assert!(honest.is_some(), "it came just now, but for the second time");
        displaced.wait().await;
        let other = connections.admit(address(2));
        assert!(other.is_some(), "one has had its time");
        assert!(
            connections.admit(address(3)).is_none(),
            "who squandered one has no such right"
        );
    }

    #[tokio::test]
    async fn without_descriptors_some_make_room_and_there_are_fewer_places_for_a_while() {
        let connections = connections(100, 100, 100);
        let held: Vec<_> = (0..10).map(|_| connections.admit(A).unwrap()).collect();
        assert!(connections.run_short(), "an address with many");
        assert_eq!(connections.open().total, 10 - 2);
        let other = connections.admit(B);
        assert!(other.is_some(), "in place of one of those");
        assert_eq!(connections.open().total, 10 - 2);
        for (place, _) in &held {
            place.prove();
        }
        other.as_ref().unwrap().0.prove();
        assert!(!connections.run_short() && connections.admit(B).is_none());
        connections.open().short = Some((0, Instant::now()));
        assert!(connections.admit(B).is_some());
    }
}
