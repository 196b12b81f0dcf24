//! What others say that a trail holds: heads that somebody kept, and heads that a broker countersigned.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::iter::Peekable;

use dbal_shared::ids::Digest;
use dbal_shared::message::{Countersignature, Head};
use dbal_witness::{PublicKey, bytes, holds};
use serde_json::Value;

use crate::folder::Part;
use crate::line::Hash;
use crate::verify::{Demands, Kind};

/// A head, as JSON has it: `{"seq":…,"hash":"…"}`.
pub fn head_of(value: &Value) -> Option<Head> {
    let sequence = value.get("seq")?.as_u64()?;
    let hash = bytes(value.get("hash")?.as_str()?)?;
    Some(Head {
        sequence,
        hash: Digest(hash),
    })
}

/// A countersignature, as a record has it below `countersigned`, and as the broker tells it.
pub fn countersignature_of(value: &Value) -> Option<Countersignature> {
    let after = match value.get("after") {
        None | Some(Value::Null) => None,
        Some(after) => Some(head_of(after)?),
    };
    Some(Countersignature {
        head: head_of(value)?,
        after,
        key: bytes(value.get("key")?.as_str()?)?,
        signature: bytes(value.get("signature")?.as_str()?)?,
    })
}

/// Whether one of these brokers signed it.
pub fn is_signed_by(brokers: &[PublicKey], countersignature: &Countersignature) -> bool {
    brokers.iter().any(|broker| broker.0 == countersignature.key) && holds(countersignature)
}

/// A record that has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    seq: u64,
    hash: [u8; 32],
}

/// All that has to be there, in order, each with the record of the countersignature that says so; none: whoever verifies does.
#[derive(Debug)]
pub(crate) struct Claims(Peekable<IntoIter<Claim, Option<u64>>>);

/// What a record is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) seq: u64,
    pub(crate) by: Option<u64>,
}

impl Claims {
    /// Those of the demands, and those of all countersignatures in these files that hold. A few dozen bytes for each head that a
    /// broker signed, however often it stands there.
    pub(crate) fn gather(demands: &Demands<'_>, parts: &[Part]) -> Self {
        let mut claims = BTreeMap::new();
        let mut claim = |head: &Head, by: Option<u64>| {
            let claim = Claim {
                seq: head.sequence,
                hash: head.hash.0,
            };
            claims.entry(claim).or_insert(by);
        };
        for head in demands.heads {
            claim(head, None);
        }
        if !demands.brokers.is_empty() {
            for part in parts {
                // What can't be read is told by the walk that follows.
                let Ok(mut lines) = part.lines() else {
                    continue;
                };
                while let Ok(Some((_, line))) = lines.next() {
                    let record = line.strip_suffix(b"\n").unwrap_or(line);
                    let Kind::Countersigned(countersignature) = Kind::of(record) else {
                        continue;
                    };
                    if !is_signed_by(demands.brokers, &countersignature) {
                        continue;
                    }
                    let by = crate::line::parse(record).map(|link| link.seq);
                    claim(&countersignature.head, by);
                    if let Some(after) = &countersignature.after {
                        claim(after, by);
                    }
                }
            }
        }
        Self(claims.into_iter().peekable())
    }

    /// Takes those that speak of records before this one, and returns how many they are.
    pub(crate) fn skip_to(&mut self, first: u64) -> u64 {
        let mut skipped: u64 = 0;
        while self.0.next_if(|(claim, _)| claim.seq < first).is_some() {
            skipped = skipped.saturating_add(1);
        }
        skipped
    }

    /// Compares a record with all that is said of it.
    pub(crate) fn check(&mut self, seq: u64, hash: &Hash) -> Result<(), Missed> {
        while let Some((claim, by)) = self.0.next_if(|(claim, _)| claim.seq <= seq) {
            let found = std::str::from_utf8(hash).ok().and_then(bytes::<32>);
            if claim.seq == seq && found != Some(claim.hash) {
                return Err(Missed { seq, by });
            }
        }
        Ok(())
    }

    /// The furthest record that has to be there and was not reached.
    pub(crate) fn unmet(&mut self) -> Option<Missed> {
        let (Claim { seq, hash: _ }, by) = self.0.by_ref().last()?;
        Some(Missed { seq, by })
    }
}
