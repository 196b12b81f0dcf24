//! Addresses as limits count them, and how many connections each holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Counts connections, in all and per address.
pub struct Connections {
    open: Mutex<Open>,
    max: usize,
    max_per_address: usize,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when dropped.
pub struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// Room for `max` connections, `max_per_address` from one address.
    pub fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            max,
            max_per_address,
        })
    }

    /// A place for a connection from `address`, if there is one.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = prefix(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if open.total >= self.max || here >= self.max_per_address {
            return None;
        }
        open.total = open.total.saturating_add(1);
        open.by_address.insert(address, here.saturating_add(1));
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        let one: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(prefix(one), prefix(other));
        assert_eq!(prefix(mapped), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let connections = Connections::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = connections.admit(a);
        let _second = connections.admit(a);
        assert!(first.is_some() && connections.admit(a).is_none());
        let _third = connections.admit(b);
        assert!(connections.admit(b).is_none(), "three in all");
        drop(first);
        assert!(connections.admit(a).is_some());
    }
}
