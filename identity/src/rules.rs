//! What the configuration says about tokens: who issues them, for whom, signed with which keys, and which claim means what.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// The `auth.tokens` part of `broker.yaml` and of `worker.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRules {
    /// What `iss` must be (RFC 7519 §4.1.1).
    pub issuer: String,
    /// What `aud` must be or contain (RFC 7519 §4.1.3).
    pub audience: String,
    /// How far clocks may differ, in seconds, when `exp`, `nbf` and `iat` are compared with ours.
    #[serde(default = "default_leeway")]
    pub leeway_s: u32,
    /// Oldest token accepted, in seconds since its `iat`, whatever its `exp` says.
    #[serde(default)]
    pub max_age_s: Option<u32>,
    /// Which claim carries what.
    #[serde(default)]
    pub claims: ClaimNames,
    /// Keys, each with the one algorithm it is good for.
    #[serde(default)]
    pub keys: Vec<KeyRule>,
    /// A JWK Set (RFC 7517 §5) in a file, beside `keys`.
    #[serde(default)]
    pub jwks: Option<PathBuf>,
}

impl TokenRules {
    /// Files that keys are read from.
    pub fn files(&self) -> Vec<PathBuf> {
        let keys = self.keys.iter().filter_map(|key| key.public_key.clone());
        keys.chain(self.jwks.clone()).collect()
    }
}

fn default_leeway() -> u32 {
    30
}

/// Which claim carries what; the defaults suit most issuers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    /// The principal's id.
    pub id: String,
    /// The principal's roles: a list of strings, or one string with roles between spaces.
    pub roles: String,
    /// The principal's tenant, where the token has one.
    pub tenant: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            roles: "roles".to_owned(),
            tenant: "tenant_id".to_owned(),
        }
    }
}

/// One key and the one algorithm it is good for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRule {
    /// What a token's `kid` must be to be checked with this key.
    pub kid: String,
    /// The key's algorithm. A token that names another one is refused.
    pub algorithm: KeyAlgorithm,
    /// Public key, a PEM file (`BEGIN PUBLIC KEY`): EdDSA, ES256, RS256.
    #[serde(default)]
    pub public_key: Option<PathBuf>,
    /// Shared secret, at least 32 bytes: HS256, in the worker only.
    #[serde(default)]
    pub secret: Option<SecretString>,
}

/// Signature algorithms that are accepted (RFC 7518 §3.1, RFC 8037). `none` has no name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum KeyAlgorithm {
    /// Ed25519
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more
    #[serde(rename = "RS256")]
    Rs256,
    /// HMAC with SHA-256: whoever can check can also forge, so only the worker holds such keys.
    #[serde(rename = "HS256")]
    Hs256,
}

impl fmt::Display for KeyAlgorithm {
    /// As tokens and configurations write it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            KeyAlgorithm::EdDsa => "EdDSA",
            KeyAlgorithm::Es256 => "ES256",
            KeyAlgorithm::Rs256 => "RS256",
            KeyAlgorithm::Hs256 => "HS256",
        })
    }
}
