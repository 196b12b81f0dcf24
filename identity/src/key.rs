//! Keys, read from files or the configuration, each bound to the one algorithm it may be used with.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{self, AlgorithmParameters, EllipticCurve, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use crate::public_key::{self, PublicKey};
use crate::rules::{KeyAlgorithm, KeyRule, TokenRules};
use crate::verifier::Secrets;

/// Longest key file, in bytes. A JWK Set of fifty RSA-4096 keys stays below it.
const KEY_FILE_BYTES: u64 = 64 * 1024;
/// Shortest HMAC secret, in bytes: "a key of the same size as the hash output or larger MUST be used" (RFC 7518 §3.2).
const SECRET_BYTES: usize = 32;

/// A key and the only algorithm it is used with.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
}

/// Why keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The worker would refuse every token.
    #[error("there is no key to check tokens with: add one under `keys`, or name a `jwks` file")]
    NoKeys,
    /// Two keys answer to one `kid`.
    #[error("two keys have the kid `{kid}`; a token must choose exactly one")]
    DuplicateKid {
        /// The name they share.
        kid: String,
    },
    /// A key that can forge, in the exposed process.
    #[error(
        "key `{kid}` is an HS256 secret, and whoever can check with it can also forge: it belongs into the \
         worker's configuration only; the broker lets the worker check such tokens"
    )]
    SecretRefused {
        /// Which key.
        kid: String,
    },
    /// HS256 without a secret, or another algorithm without a public key.
    #[error("key `{kid}` is for {algorithm}, which needs `{needs}` and nothing else")]
    WrongSource {
        /// Which key.
        kid: String,
        /// Its algorithm.
        algorithm: KeyAlgorithm,
        /// The setting that it needs.
        needs: &'static str,
    },
    /// Too short to resist guessing.
    #[error("the secret of key `{kid}` has {bytes} bytes; HS256 needs {SECRET_BYTES} or more")]
    ShortSecret {
        /// Which key.
        kid: String,
        /// How long it is.
        bytes: usize,
    },
    /// The file can't be read.
    #[error("can't read the key file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any key file is.
    #[error("the key file {} is longer than {KEY_FILE_BYTES} bytes", path.display())]
    Oversized {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no such key.
    #[error("{}: {what}", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file is no JWK Set.
    #[error("{} is no JWK Set (RFC 7517)", path.display())]
    NotAJwkSet {
        /// Which file.
        path: PathBuf,
        /// Where it ends to be one.
        #[source]
        source: serde_json::Error,
    },
    /// No key can be made.
    #[error("the system gives no random numbers")]
    Random,
    /// A signing key could not be made or read.
    #[error("no signing key: {what}")]
    Signer {
        /// What is wrong.
        what: &'static str,
    },
}

/// Every key of the rules.
pub(crate) fn load(rules: &TokenRules, secrets: Secrets) -> Result<Vec<Key>, IdentityError> {
    let mut keys = Vec::new();
    for rule in &rules.keys {
        keys.push(load_rule(rule, secrets)?);
    }
    if let Some(path) = &rules.jwks {
        load_jwks(path, secrets, &mut keys)?;
    }
    let mut kids = HashSet::new();
    if let Some(twice) = keys.iter().find(|key| !kids.insert(key.kid.as_str())) {
        return Err(IdentityError::DuplicateKid {
            kid: twice.kid.clone(),
        });
    }
    // The broker may well hold none: it then lets the worker check everything.
    if keys.is_empty() && secrets == Secrets::Allowed {
        return Err(IdentityError::NoKeys);
    }
    Ok(keys)
}

fn load_rule(rule: &KeyRule, secrets: Secrets) -> Result<Key, IdentityError> {
    let KeyRule {
        kid,
        algorithm,
        public_key,
        secret,
    } = rule;
    let wrong_source = |needs| IdentityError::WrongSource {
        kid: kid.clone(),
        algorithm: *algorithm,
        needs,
    };
    let (algorithm, decoding) = match algorithm {
        KeyAlgorithm::Hs256 => {
            let (Some(secret), None) = (secret, public_key) else {
                return Err(wrong_source("secret"));
            };
            let decoding = secret_key(kid, secret.expose_secret().as_bytes(), secrets)?;
            (Algorithm::HS256, decoding)
        }
        KeyAlgorithm::EdDsa | KeyAlgorithm::Es256 | KeyAlgorithm::Rs256 => {
            let (Some(path), None) = (public_key, secret) else {
                return Err(wrong_source("public_key"));
            };
            let found = public_key::from_pem(&read(path)?).map_err(|what| IdentityError::NotAKey {
                path: path.clone(),
                what,
            })?;
            match (algorithm, found) {
                (KeyAlgorithm::EdDsa, PublicKey::Ed25519(bytes)) => {
                    (Algorithm::EdDSA, DecodingKey::from_ed_der(&bytes))
                }
                (KeyAlgorithm::Es256, PublicKey::P256(point)) => {
                    (Algorithm::ES256, DecodingKey::from_ec_der(&point))
                }
                (KeyAlgorithm::Rs256, PublicKey::Rsa { n, e }) => {
                    (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e))
                }
                (
                    KeyAlgorithm::EdDsa | KeyAlgorithm::Es256 | KeyAlgorithm::Rs256 | KeyAlgorithm::Hs256,
                    PublicKey::Ed25519(_) | PublicKey::P256(_) | PublicKey::Rsa { .. },
                ) => {
                    return Err(IdentityError::NotAKey {
                        path: path.clone(),
                        what: "the key is of another kind than `algorithm` says",
                    });
                }
            }
        }
    };
    Ok(Key {
        kid: kid.clone(),
        algorithm,
        decoding,
    })
}

fn secret_key(kid: &str, secret: &[u8], secrets: Secrets) -> Result<DecodingKey, IdentityError> {
    if secrets == Secrets::Refused {
        return Err(IdentityError::SecretRefused { kid: kid.to_owned() });
    }
    if secret.len() < SECRET_BYTES {
        return Err(IdentityError::ShortSecret {
            kid: kid.to_owned(),
            bytes: secret.len(),
        });
    }
    Ok(DecodingKey::from_secret(secret))
}

/// Takes the keys that can check our algorithms and, as RFC 7517 §5 asks, passes over the others: issuers publish
/// encryption keys and further curves in the same file.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "jsonwebtoken's non-exhaustive list of key types; what is not named is passed over"
)]
fn load_jwks(path: &Path, secrets: Secrets, keys: &mut Vec<Key>) -> Result<(), IdentityError> {
    let text = read(path)?;
    let set: JwkSet = serde_json::from_str(&text).map_err(|source| IdentityError::NotAJwkSet {
        path: path.to_owned(),
        source,
    })?;
    let not_a_key = |what| IdentityError::NotAKey {
        path: path.to_owned(),
        what,
    };
    let before = keys.len();
    for entry in &set.keys {
        let for_signatures = matches!(entry.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let (algorithm, named) = match &entry.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, jwk::KeyAlgorithm::EdDSA)
            }
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, jwk::KeyAlgorithm::ES256)
            }
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, jwk::KeyAlgorithm::RS256),
            AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, jwk::KeyAlgorithm::HS256),
            _ => continue,
        };
        if !for_signatures || entry.common.key_algorithm.is_some_and(|alg| alg != named) {
            continue;
        }
        let Some(kid) = entry.common.key_id.clone() else {
            return Err(not_a_key("a key has no `kid`, so no token could choose it"));
        };
        if let AlgorithmParameters::RSA(numbers) = &entry.algorithm
            && !public_key::is_long_enough(&numbers.n)
        {
            return Err(not_a_key(
                "an RSA key in it is shorter than 2048 bits (RFC 7518 §3.3)",
            ));
        }
        let mut decoding =
            DecodingKey::from_jwk(entry).map_err(|_| not_a_key("a key's parts are not base64url"))?;
        if algorithm == Algorithm::HS256 {
            let secret = decoding
                .try_get_as_bytes()
                .map_err(|_| not_a_key("a secret key has no `k`"))?;
            decoding = secret_key(&kid, secret, secrets)?;
        }
        keys.push(Key {
            kid,
            algorithm,
            decoding,
        });
    }
    if keys.len() == before {
        return Err(not_a_key("no key in it is for EdDSA, ES256, RS256 or HS256"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, IdentityError> {
    let failed = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let read = fs::File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text))
        .map_err(failed)?;
    if u64::try_from(read).is_ok_and(|read| read >= KEY_FILE_BYTES) {
        return Err(IdentityError::Oversized {
            path: path.to_owned(),
        });
    }
    Ok(text)
}
