//! Checks tokens and makes principals of them.

use dbal_shared::ids::Digest;
use dbal_shared::json::Json;
use dbal_shared::principal::Principal;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode};

use crate::claims::Binding;
use crate::header::{self, Header};
use crate::key::{self, Key};
use crate::{IdentityError, TokenError, TokenRules, claims, provider};

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
    /// Only the worker can tell: a secret key, or a key that isn't known here.
    OnlyWorker,
}

/// Whom a proof speaks for, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The bearer.
    pub principal: Principal,
    /// When the proof ends, in milliseconds since 1970: of a token `exp` and the leeway.
    pub expires_at_ms: Option<i64>,
    /// What was shown, for the audit: which key, never the secret.
    pub by: String,
}

/// Holds the keys; made once at start, shared by all sessions.
#[derive(Debug)]
pub struct Verifier {
    /// None: no signed token is good.
    rules: Option<TokenRules>,
    secrets: Secrets,
    keys: Vec<Key>,
}

impl Verifier {
    /// Reads the key files. Call it before the process locks itself in. Without rules it has no keys, and no token is good.
    pub fn new<'a>(
        rules: impl Into<Option<&'a TokenRules>>,
        secrets: Secrets,
    ) -> Result<Self, IdentityError> {
        provider::install();
        let rules = rules.into();
        Ok(Self {
            rules: rules.cloned(),
            secrets,
            keys: rules
                .map(|rules| key::load(rules, secrets))
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Reads the same key files again.
    pub fn again(&self) -> Result<Self, IdentityError> {
        Self::new(self.rules.as_ref(), self.secrets)
    }

    /// The principal of a token, at the time `now_ms` (milliseconds since 1970).
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Verified, TokenError> {
        self.verify_with(token, None, now_ms)
    }

    /// The same for somebody who has proven a client certificate (SHA-256 of it): tokens that are bound to it are good.
    pub fn verify_with(
        &self,
        token: &str,
        certificate: Option<&Digest>,
        now_ms: i64,
    ) -> Result<Verified, TokenError> {
        let rules = self.rules.as_ref().ok_or(TokenError::NotTaken)?;
        let header = header::read(token)?;
        let key = self.key_for(&header)?;
        // The header chooses among our keys and nothing more: the algorithm is the key's (RFC 8725 §3.1).
        if key.algorithm != header.algorithm {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(key.algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_audience(&[&rules.audience]);
        // Times are compared in `claims`, against the caller's clock and with our overflow rules.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token = decode::<Json>(token, &key.decoding, &validation).map_err(|error| refusal(&error))?;
        let (principal, expires_at_ms, binding) = claims::read(&token.claims, rules, certificate, now_ms)?;
        let bound = match binding {
            Binding::None => "",
            Binding::Certificate => ", bound to a certificate",
        };
        Ok(Verified {
            principal,
            expires_at_ms: Some(expires_at_ms),
            by: format!("token, kid {}{bound}", key.kid),
        })
    }

    /// Whether [`Verifier::verify`] can decide about this token.
    pub fn can_verify(&self, token: &str) -> Checkable {
        match header::read(token).and_then(|header| self.key_for(&header).map(|_| ())) {
            // A key that isn't known here may be known there.
            Err(TokenError::UnknownKey) => Checkable::OnlyWorker,
            // A key is chosen, or something is wrong with the header itself, and that everywhere.
            Ok(()) | Err(_) => Checkable::Yes,
        }
    }

    /// The key that the header names. A header without `kid` gets the only key there is, if that is for its `alg`.
    fn key_for(&self, header: &Header) -> Result<&Key, TokenError> {
        let found = match (&header.kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid == *kid),
            (None, [only]) if only.algorithm == header.algorithm => Some(only),
            (None, _) => None,
        };
        found.ok_or(TokenError::UnknownKey)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "jsonwebtoken's non-exhaustive list; whatever it is, the token is refused"
)]
fn refusal(error: &jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(name) => TokenError::Claim { name: name.clone() },
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests;
