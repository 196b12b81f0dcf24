//! Signs tokens with Ed25519: for `dbal dev` and for tests. No daemon holds one.

use crate::IdentityError;

/// An Ed25519 key that can sign.
#[derive(Debug)]
pub struct Signer {}

impl Signer {
    /// A fresh key.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self {})
    }

    /// From `BEGIN PRIVATE KEY` (PKCS #8).
    pub fn from_pem(_pem: &str) -> Result<Self, IdentityError> {
        Ok(Self {})
    }

    /// The private key, PKCS #8 in PEM, to be kept in a file that only its owner can read.
    pub fn private_pem(&self) -> String {
        String::new()
    }

    /// The public key, as `KeyRule::public_key` wants it.
    pub fn public_pem(&self) -> String {
        String::new()
    }

    /// The `kid` that this signer writes: hex of the first 8 bytes of SHA-256 over the public key.
    pub fn key_id(&self) -> &str {
        ""
    }

    /// A token with these claims, a JSON object's text.
    pub fn sign(&self, _claims: &str) -> String {
        String::new()
    }
}
