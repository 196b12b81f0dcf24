//! Who a bearer token speaks for, by whatever its kind is checked with. Only the worker knows all kinds.

use dbal_identity::{ApiKeyError, Bearer, TokenError, Verified};

use dbal_shared::message::Standing;

use crate::rulebook::Rulebook;

/// Why a proof does not hold. For the operator; the client is told that, and no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// A signed token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// An API key.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// Neither.
    #[error("the token is neither a JSON Web Token nor an API key")]
    OfNoKind,
}

impl NoProof {
    /// Whether it was perhaps guessed.
    pub fn standing(&self) -> Standing {
        match self {
            NoProof::Token(error) => error.standing(),
            NoProof::ApiKey(error) => error.standing(),
            NoProof::OfNoKind => Standing::Unproven,
        }
    }
}

/// Judges a bearer token at the time `now_ms` (milliseconds since 1970).
pub fn judge(rulebook: &Rulebook, token: &str, now_ms: i64) -> Result<Verified, NoProof> {
    match Bearer::of(token) {
        Bearer::ApiKey => Ok(rulebook.api_keys.verify(token, now_ms)?),
        Bearer::Jwt => Ok(rulebook.verifier.verify(token, now_ms)?),
        Bearer::Opaque => Err(NoProof::OfNoKind),
    }
}
