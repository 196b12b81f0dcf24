//! What a broker signs of an audit trail that it was shown: a head, and the head that it signed before.

use dbal_shared::message::{Countersignature, Head};

use crate::key::{PublicKey, Signer};

/// Signs `head` after `after`, the head that the same broker signed before; none if it has signed none since it started.
pub fn sign(signer: &Signer, head: Head, after: Option<Head>) -> Countersignature {
    Countersignature {
        head,
        after,
        key: signer.public().0,
        signature: signer.sign(text(&head, after.as_ref()).as_bytes()),
    }
}

/// What is signed. Its first line keeps the key from vouching for anything else.
pub fn text(head: &Head, after: Option<&Head>) -> String {
    let Head { sequence, hash } = head;
    // No record has the number 0.
    let (before, before_hash) = after.map_or_else(
        || (0, "0".repeat(64)),
        |after| (after.sequence, after.hash.to_string()),
    );
    format!("dbal audit head 1\n{sequence}\n{hash}\n{before}\n{before_hash}\n")
}

/// Whether the holder of the key that it names signed it. Whose key that is must be known from elsewhere.
pub fn holds(countersignature: &Countersignature) -> bool {
    let Countersignature {
        head,
        after,
        key,
        signature,
    } = countersignature;
    PublicKey(*key).vouches(text(head, after.as_ref()).as_bytes(), signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbal_shared::ids::Digest;

    fn head(sequence: u64) -> Head {
        Head {
            sequence,
            hash: Digest([u8::try_from(sequence).unwrap(); 32]),
        }
    }

    #[test]
    fn a_countersignature_holds_for_its_heads_and_no_others() {
        let signer = Signer::new(&"1f".repeat(32)).unwrap();
        let first = sign(&signer, head(3), None);
        let second = sign(&signer, head(7), Some(head(3)));
        assert!(holds(&first) && holds(&second));
        for forged in [
            Countersignature {
                head: head(8),
                ..second
            },
            Countersignature {
                after: None,
                ..second
            },
            Countersignature {
                after: Some(head(4)),
                ..second
            },
            Countersignature {
                key: [7; 32],
                ..second
            },
            Countersignature {
                signature: first.signature,
                ..second
            },
        ] {
            assert!(!holds(&forged), "{forged:?}");
        }
    }

    /// The text of docs/audit.md.
    #[test]
    fn what_is_signed_reads_as_documented() {
        let zeros = "0".repeat(64);
        assert_eq!(
            text(&head(1), None),
            format!("dbal audit head 1\n1\n{}\n0\n{zeros}\n", "01".repeat(32))
        );
        assert_eq!(
            text(&head(2), Some(&head(1))),
            format!(
                "dbal audit head 1\n2\n{}\n1\n{}\n",
                "02".repeat(32),
                "01".repeat(32)
            )
        );
    }
}
