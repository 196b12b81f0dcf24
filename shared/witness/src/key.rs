//! Keys that sign (Ed25519, RFC 8032), and keys that tell who did.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::hex;

/// Signs.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// A key that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not 64 hexadecimal digits.
    #[error(
        "a key that signs the audit trail has 64 hexadecimal digits; `dbal keygen --checkpoints` makes one"
    )]
    Form,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Tells whose a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl Signer {
    /// A signer with this secret: 32 bytes in hexadecimal.
    pub fn new(secret: &str) -> Result<Self, KeyError> {
        let seed: [u8; 32] = hex::bytes(secret).ok_or(KeyError::Form)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| KeyError::Form)?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_length| KeyError::Form)?;
        Ok(Self {
            pair,
            public: PublicKey(public),
        })
    }

    /// A signer from what `dbal keygen` writes: lines that begin with `#` are remarks.
    pub fn from_file(text: &str) -> Result<Self, KeyError> {
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(secret), None) => Self::new(secret),
            _ => Err(KeyError::Form),
        }
    }

    /// A new secret, in hexadecimal.
    pub fn generate() -> Result<String, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_unspecified| KeyError::Random)?;
        Ok(hex::digits(&seed))
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The signature over this message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        // INVARIANT: 64 bytes (RFC 8032 §5.1.6).
        for (to, from) in out.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        out
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Whether the holder of this key signed this message.
    pub fn vouches(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::digits(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        hex::bytes(text).map(Self).ok_or(KeyError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const SIGNATURE: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

    #[test]
    fn a_signature_is_the_one_of_rfc_8032_and_holds_for_its_message_only() {
        let signer = Signer::new(SECRET).unwrap();
        assert_eq!(signer.public().to_string(), PUBLIC);
        let signature = signer.sign(b"");
        assert_eq!(hex::digits(&signature), SIGNATURE);
        let key: PublicKey = PUBLIC.parse().unwrap();
        assert!(key.vouches(b"", &signature));
        assert!(!key.vouches(b" ", &signature));
        assert!(!key.vouches(b"", &[0; 64]));
        assert!(!key.vouches(b"", &[]));
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
    fn a_file_holds_one_key_and_remarks() {
        let signer = Signer::from_file(&format!("# public: {PUBLIC}\n{SECRET}\n\n")).unwrap();
        assert_eq!(signer.public().to_string(), PUBLIC);
        for wrong in [
            String::new(),
            format!("{SECRET}\n{SECRET}\n"),
            format!("# {SECRET}\n"),
        ] {
            assert_eq!(Signer::from_file(&wrong).err(), Some(KeyError::Form), "{wrong}");
        }
    }

    #[test]
    fn each_secret_is_another_and_is_not_printed() {
        let one = Signer::generate().unwrap();
        assert_ne!(one, Signer::generate().unwrap());
        assert!(!format!("{:?}", Signer::new(&one).unwrap()).contains(&one));
    }
}
