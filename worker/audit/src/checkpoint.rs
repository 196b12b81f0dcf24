//! Signed checkpoints: who can write the folder can make a sound chain, but not one that bears signatures of this key.

use dbal_witness::{PublicKey, Signer, bytes, digits};

use crate::line::Hash;

/// What a checkpoint says. It vouches for every record before it, since the chain does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The public key, in hexadecimal.
    pub key: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

/// The checkpoint that stands as record `seq` after the one whose hash is `prev`.
pub(crate) fn sign(signer: &Signer, seq: u64, prev: &Hash) -> Checkpoint {
    Checkpoint {
        key: signer.public().to_string(),
        signature: digits(&signer.sign(&message(seq, prev))),
    }
}

/// Whether the holder of this key signed record `seq` after `prev`.
pub(crate) fn vouches(key: &PublicKey, seq: u64, prev: &Hash, signature: &str) -> bool {
    bytes::<64>(signature).is_some_and(|signature| key.vouches(&message(seq, prev), &signature))
}

/// What is signed. Its first line keeps the key from vouching for anything else.
fn message(seq: u64, prev: &Hash) -> Vec<u8> {
    let prev = String::from_utf8_lossy(prev);
    format!("dbal audit checkpoint 1\n{seq}\n{prev}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_record_and_no_other() {
        let signer = Signer::new(&"1f".repeat(32)).unwrap();
        let key = signer.public();
        let Checkpoint {
            key: named,
            signature,
        } = sign(&signer, 7, &[b'a'; 64]);
        assert_eq!(named, key.to_string());
        assert!(vouches(&key, 7, &[b'a'; 64], &signature));
        assert!(!vouches(&key, 8, &[b'a'; 64], &signature));
        assert!(!vouches(&key, 7, &[b'b'; 64], &signature));
        assert!(!vouches(&key, 7, &[b'a'; 64], &signature.replace('0', "1")));
        assert!(!vouches(&key, 7, &[b'a'; 64], ""));
        assert!(!vouches(&key, 7, &[b'a'; 64], &signature.to_uppercase()));
    }
}
