//! Signed checkpoints: who can write the folder can make a sound chain, but not one that bears signatures of this key.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::line::{Hash, hex};

/// Signs checkpoints (Ed25519, RFC 8032).
pub struct Signer {
    pair: Ed25519KeyPair,
    public: String,
}

/// A key that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not 64 hexadecimal digits.
    #[error("a key of checkpoints has 64 hexadecimal digits; `dbal keygen --checkpoints` makes one")]
    Form,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// What checkpoints are verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// What a checkpoint says. It vouches for every record before it, since the chain does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The public key, in hexadecimal.
    pub key: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl Signer {
    /// A signer with this secret: 32 bytes in hexadecimal.
    pub fn new(secret: &str) -> Result<Self, KeyError> {
        let seed: [u8; 32] = bytes(secret).ok_or(KeyError::Form)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| KeyError::Form)?;
        let public = hex(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// A new secret, in hexadecimal.
    pub fn generate() -> Result<String, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_unspecified| KeyError::Random)?;
        Ok(hex(&seed))
    }

    /// The public key, in hexadecimal.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The checkpoint that stands as record `seq` after the one whose hash is `prev`.
    pub(crate) fn sign(&self, seq: u64, prev: &Hash) -> Checkpoint {
        Checkpoint {
            key: self.public.clone(),
            signature: hex(self.pair.sign(&message(seq, prev)).as_ref()),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        bytes(text).map(Self).ok_or(KeyError::Form)
    }
}

impl PublicKey {
    /// Whether the holder of this key signed record `seq` after `prev`.
    pub(crate) fn vouches(&self, seq: u64, prev: &Hash, signature: &str) -> bool {
        let Some(signature) = bytes::<64>(signature) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(&message(seq, prev), &signature).is_ok()
    }
}

/// What is signed. Its first line keeps the key from vouching for anything else.
fn message(seq: u64, prev: &Hash) -> Vec<u8> {
    let prev = String::from_utf8_lossy(prev);
    format!("dbal audit checkpoint 1\n{seq}\n{prev}\n").into_bytes()
}

/// Bytes from exactly so many lower-case hexadecimal digits: one spelling for each.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a').and_then(|digit| digit.checked_add(10)),
        _ => None,
    };
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_signature_holds_for_its_record_and_no_other() {
        let signer = Signer::new(SECRET).unwrap();
        assert_eq!(signer.public(), PUBLIC);
        let key: PublicKey = PUBLIC.parse().unwrap();
        let Checkpoint {
            key: named,
            signature,
        } = signer.sign(7, &[b'a'; 64]);
        assert_eq!(named, PUBLIC);
        assert!(key.vouches(7, &[b'a'; 64], &signature));
        assert!(!key.vouches(8, &[b'a'; 64], &signature));
        assert!(!key.vouches(7, &[b'b'; 64], &signature));
        assert!(!key.vouches(7, &[b'a'; 64], &signature.replace('0', "1")));
        assert!(!key.vouches(7, &[b'a'; 64], ""));
        assert!(!key.vouches(7, &[b'a'; 64], &signature.to_uppercase()));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let long = format!("{SECRET}00");
        for text in [
            "",
            "9d61",
            &SECRET.to_uppercase(),
            &SECRET.replace('9', "g"),
            &long,
            &"ü".repeat(32),
        ] {
            assert_eq!(Signer::new(text).err(), Some(KeyError::Form), "{text}");
        }
    }

    #[test]
    fn each_secret_is_another_and_is_not_printed() {
        let one = Signer::generate().unwrap();
        assert_ne!(one, Signer::generate().unwrap());
        assert!(!format!("{:?}", Signer::new(&one).unwrap()).contains(&one));
    }
}
