//! Whose turn a call counts for, as a number that is quick to compare and to look up.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

use dbal_shared::address::prefix;
use dbal_shared::principal::Principal;

/// Whose turn an item counts for. Two callers that share a number share their turns, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u64);

/// Something for each lane.
pub type ByLane<T> = HashMap<Lane, T, BuildHasherDefault<AsItIs>>;

/// Nobody can choose the number of a lane: it is a hash already, under a key of this process. So it is not hashed again each time that
/// it is looked up.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Lane {
    /// Of a principal over all connections, or of its address if nobody is known.
    pub fn of(principal: &Principal, remote: &str) -> Self {
        match &principal.id {
            Some(id) => Self(KEY.hash_one((&principal.tenant, id))),
            None => Self::of_nobody(remote),
        }
    }

    /// Of callers who are not known all at one address share a lane: an IPv6 customer has more addresses than there are turns.
    pub fn of_nobody(remote: &str) -> Self {
        match remote.parse() {
            Ok(address) => Self(KEY.hash_one(prefix(address))),
            Err(_) => Self(KEY.hash_one(remote)),
        }
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_has_one_lane_however_many_addresses_he_has() {
        let one = Lane::of_nobody("2001:db8:0:7:1:2:3:4");
        assert_eq!(Lane::of_nobody("2001:db8:0:7:ffff::9"), one);
        assert_ne!(Lane::of_nobody("2001:db8:0:8::9"), one);
        assert_eq!(Lane::of_nobody("::ffff:192.0.2.1"), Lane::of_nobody("192.0.2.1"));
        assert_ne!(Lane::of_nobody("192.0.2.1"), Lane::of_nobody("192.0.2.2"));
    }

    #[test]
    fn who_is_known_has_one_lane_wherever_he_is_and_none_with_his_namesake() {
        let of = |tenant: Option<&str>, id: &str, remote| {
            let principal = Principal {
                id: Some(id.to_owned()),
                tenant: tenant.map(str::to_owned),
                ..Principal::default()
            };
            Lane::of(&principal, remote)
        };
        assert_eq!(of(None, "a", "192.0.2.1"), of(None, "a", "192.0.2.2"));
        assert_ne!(of(None, "a", ""), of(None, "b", ""));
        assert_ne!(of(Some("t"), "a", ""), of(None, "a", ""));
    }
}
