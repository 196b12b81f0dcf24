//! Addresses as limits count them, and who has a place: so many connections in all, so many of one address, and so many
//! that have proven nothing yet, of which the oldest makes room.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A handshake that takes longer than this may be displaced. What is younger stays: a crowd that comes back after a network
/// cut shall not keep throwing one another out.
const GRACE: Duration = Duration::from_secs(1);

/// Descriptors beside those of clients: listeners, channel, log, files that a reload reads.
const SPARE_DESCRIPTORS: u64 = 64;

/// What limits count by: an IPv4 address, or the /64 that one IPv6 customer has to itself (RFC 6177). An IPv4 address in
/// IPv6 clothes is the IPv4 address.
pub fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Counts connections.
pub struct Connections {
    open: Mutex<Open>,
    bounds: Bounds,
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
    /// By their number, the oldest first.
    unproven: BTreeMap<u64, Unproven>,
    last: u64,
}

struct Unproven {
    address: IpAddr,
    since: Instant,
    displace: oneshot::Sender<()>,
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
        })
    }

    /// A place for a connection from `address`, if there is one, or one that somebody has held for long and proven nothing.
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
        if (open.total >= all || open.unproven.len() >= unproven) && !open.displace_oldest() {
            return None;
        }
        open.total = open.total.saturating_add(1);
        let here = open.by_address.entry(address).or_default();
        *here = here.saturating_add(1);
        open.last = open.last.saturating_add(1);
        let number = open.last;
        let (displace, displaced) = oneshot::channel();
        open.unproven.insert(
            number,
            Unproven {
                address,
                since: Instant::now(),
                displace,
            },
        );
        let place = Place {
            connections: Arc::clone(self),
            address,
            number,
            is_proven: AtomicBool::new(false),
        };
        Some((place, Displaced(displaced)))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Its place is free at once; its task ends as soon as it is polled.
    fn displace_oldest(&mut self) -> bool {
        let Some(oldest) = self.unproven.first_entry() else {
            return false;
        };
        if oldest.get().since.elapsed() < GRACE {
            return false;
        }
        let Unproven {
            address,
            since: _,
            displace,
        } = oldest.remove();
        self.leave(address);
        // Where nobody listens any more the connection is ending by itself.
        let _ = displace.send(());
        true
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
        let is_still_here = self.connections.open().unproven.remove(&self.number).is_some();
        self.is_proven.store(is_still_here, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        // Who was displaced gave its place back then.
        if open.unproven.remove(&self.number).is_some() || self.is_proven.load(Ordering::Relaxed) {
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
        for unproven in connections.open().unproven.values_mut() {
            unproven.since = unproven.since.checked_sub(GRACE).unwrap();
        }
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
}
