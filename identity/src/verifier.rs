//! Checks tokens and makes principals of them.

use dbal_shared::principal::Principal;

use crate::{IdentityError, TokenError, TokenRules};

/// May this process hold keys that could also forge?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// The broker: exposed, so it only gets keys that everybody may know.
    Refused,
    /// The worker.
    Allowed,
}

/// Whether this verifier holds the key that a token asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkable {
    /// `verify` gives a final answer.
    Yes,
    /// Only the worker can tell: a secret key, a key that isn't known here, or no JWT at all.
    OnlyWorker,
}

/// Who the token speaks for, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The bearer.
    pub principal: Principal,
    /// When the proof ends, in milliseconds since 1970: `exp` and the leeway.
    pub expires_at_ms: i64,
}

/// Holds the keys; made once at start, shared by all sessions.
#[derive(Debug)]
pub struct Verifier {}

impl Verifier {
    /// Reads the key files. Call it before the process locks itself in.
    pub fn new(_rules: &TokenRules, _secrets: Secrets) -> Result<Self, IdentityError> {
        Ok(Self {})
    }

    /// The principal of a token, at the time `now_ms` (milliseconds since 1970).
    pub fn verify(&self, _token: &str, _now_ms: i64) -> Result<Verified, TokenError> {
        Err(TokenError::Malformed)
    }

    /// Whether [`Verifier::verify`] can decide about this token.
    pub fn can_verify(&self, _token: &str) -> Checkable {
        Checkable::OnlyWorker
    }
}
