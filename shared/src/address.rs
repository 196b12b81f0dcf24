//! Addresses as limits and turns count them.

use std::net::{IpAddr, Ipv6Addr};

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
