//! What a broker remembers of the heads that it was shown, and when it signs one.

use dbal_shared::message::{Countersignature, Head};

use crate::head::sign;
use crate::key::Signer;

/// The heads of one trail, as one broker is shown them.
#[derive(Debug)]
pub struct Watch {
    signer: Option<Signer>,
    newest: Option<Head>,
    countersigned: Option<Countersignature>,
    refused: u64,
}

/// What became of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is signed.
    Countersigned(Countersignature),
    /// It is remembered; there is no key.
    Noted,
    /// It is the one that was shown last.
    Known,
}

/// A trail that does not go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit trail went back: record {} was shown with hash {}, after record {} with hash {}; no head is signed any more until \
     the broker is started again. Verify the trail with `--head {}:{}`",
    shown.sequence, shown.hash, seen.sequence, seen.hash, seen.sequence, seen.hash
)]
pub struct Backwards {
    /// The newest head before.
    pub seen: Head,
    /// The one that was shown after it.
    pub shown: Head,
}

impl Watch {
    /// A watch over a trail of which nothing is known yet.
    pub fn new(signer: Option<Signer>) -> Self {
        Self {
            signer,
            newest: None,
            countersigned: None,
            refused: 0,
        }
    }

    /// Looks at a head. One that goes back, or says something else of a record that was shown, is refused, and so is every later
    /// one: a trail that was cut and has grown again must not be vouched for.
    pub fn see(&mut self, head: Head) -> Result<Seen, Backwards> {
        let goes_on = |newest: &Head| head.sequence > newest.sequence || head == *newest;
        if let Some(seen) = self.newest.filter(|newest| self.refused > 0 || !goes_on(newest)) {
            self.refused = self.refused.saturating_add(1);
            return Err(Backwards { seen, shown: head });
        }
        if self.newest == Some(head) {
            return Ok(Seen::Known);
        }
        let after = self.newest.replace(head);
        let Some(signer) = &self.signer else {
            return Ok(Seen::Noted);
        };
        let countersignature = sign(signer, head, after);
        self.countersigned = Some(countersignature);
        Ok(Seen::Countersigned(countersignature))
    }

    /// The newest head that was not refused.
    pub fn newest(&self) -> Option<Head> {
        self.newest
    }

    /// The newest countersignature.
    pub fn countersigned(&self) -> Option<Countersignature> {
        self.countersigned
    }

    /// Heads that were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::holds;
    use dbal_shared::ids::Digest;

    fn head(sequence: u64, hash: u8) -> Head {
        Head {
            sequence,
            hash: Digest([hash; 32]),
        }
    }

    fn watch() -> Watch {
        Watch::new(Some(Signer::new(&"1f".repeat(32)).unwrap()))
    }

    #[test]
    fn heads_that_grow_are_signed_each_after_the_one_before() {
        let mut watch = watch();
        for (shown, after) in [
            (head(3, 1), None),
            (head(4, 2), Some(head(3, 1))),
            (head(900, 3), Some(head(4, 2))),
        ] {
            let Ok(Seen::Countersigned(countersignature)) = watch.see(shown) else {
                panic!("{shown:?}");
            };
            assert!(holds(&countersignature));
            assert_eq!((countersignature.head, countersignature.after), (shown, after));
            assert_eq!(
                watch.see(shown),
                Ok(Seen::Known),
                "the same again is not signed again"
            );
            assert_eq!(watch.countersigned(), Some(countersignature));
        }
    }

    #[test]
    fn a_trail_that_goes_back_is_refused_and_not_signed_when_it_has_grown_again() {
        for back in [head(6, 1), head(7, 2), head(0, 1)] {
            let mut watch = watch();
            watch.see(head(7, 1)).unwrap();
            let before = watch.countersigned();
            let refused = watch.see(back).unwrap_err();
            assert_eq!((refused.seen, refused.shown), (head(7, 1), back));
            assert!(watch.see(head(8, 1)).is_err(), "grown again");
            assert!(watch.see(head(7, 1)).is_err(), "the old one again");
            assert_eq!((watch.countersigned(), watch.refused()), (before, 3));
            assert_eq!(watch.newest(), Some(head(7, 1)));
        }
    }

    #[test]
    fn without_a_key_heads_are_watched_all_the_same() {
        let mut watch = Watch::new(None);
        assert_eq!(watch.see(head(7, 1)), Ok(Seen::Noted));
        assert!(watch.see(head(6, 1)).is_err());
        assert_eq!((watch.countersigned(), watch.newest()), (None, Some(head(7, 1))));
    }
}
