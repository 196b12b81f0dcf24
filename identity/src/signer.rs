//! Signs tokens with Ed25519: for `dbal dev` and for tests. No daemon holds such a key.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::{IdentityError, public_key};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 key that can sign.
pub struct Signer {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Ed25519KeyPair,
    kid: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// A fresh key.
    pub fn generate() -> Result<Self, IdentityError> {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::Signer {
                what: "the system gives no random numbers",
            })?;
        Self::from_pkcs8(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    /// From a `BEGIN PRIVATE KEY` file, such as [`Signer::private_pem`] or `openssl genpkey -algorithm ed25519` write.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let body = pem
            .split_once(BEGIN)
            .and_then(|(_, after)| after.split_once(END))
            .map(|(body, _)| Zeroizing::new(body.split_ascii_whitespace().collect::<String>()))
            .ok_or(IdentityError::Signer {
                what: "there is no `BEGIN PRIVATE KEY` in it",
            })?;
        let pkcs8 = STANDARD
            .decode(body.as_bytes())
            .map_err(|_| IdentityError::Signer {
                what: "what stands between BEGIN and END is not base64",
            })?;
        Self::from_pkcs8(Zeroizing::new(pkcs8))
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, IdentityError> {
        // Without the public half too, as openssl writes it: what both halves are for is told by the seed.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).map_err(|_| IdentityError::Signer {
            what: "it is no Ed25519 key in PKCS #8",
        })?;
        let digest = digest::digest(&digest::SHA256, pair.public_key().as_ref());
        let mut kid = String::new();
        for byte in digest.as_ref().iter().take(8) {
            // Writing to a string can't fail.
            let _ = write!(kid, "{byte:02x}");
        }
        Ok(Self { pkcs8, pair, kid })
    }

    /// The private key, PKCS #8 in PEM, to be kept in a file that only its owner can read.
    pub fn private_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(STANDARD.encode(self.pkcs8.as_slice()));
        Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", body.as_str()))
    }

    /// The public key, as `KeyRule::public_key` wants it.
    pub fn public_pem(&self) -> String {
        public_key::ed25519_pem(self.pair.public_key().as_ref())
    }

    /// The `kid` that this signer writes: hex of the first 8 bytes of SHA-256 over the public key.
    pub fn key_id(&self) -> &str {
        &self.kid
    }

    /// A token with these claims, a JSON object's text.
    pub fn sign(&self, claims: &str) -> String {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, self.kid);
        self.sign_under(&header, claims)
    }

    /// The same under any header: another name of the key, and tests of what is refused.
    pub fn sign_under(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}
