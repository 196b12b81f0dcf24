//! Who a bearer token speaks for, by whatever its kind is checked with. Only the worker knows all kinds.

use dbal_identity::{ApiKeyError, Bearer, TokenError, Verified};

use dbal_shared::message::{Certificate, Standing};
use dbal_shared::principal::Principal;

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
    /// A client certificate that stands for nobody.
    #[error("no entrusted name is among those of the client certificate")]
    Certificate,
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
            // Whoever shows it holds its key, as far as the broker can be believed.
            NoProof::Certificate => Standing::Lapsed,
        }
    }
}

/// Judges a bearer token at the time `now_ms` (milliseconds since 1970).
pub fn judge(
    rulebook: &Rulebook,
    token: &str,
    certificate: Option<&Certificate>,
    now_ms: i64,
) -> Result<Verified, NoProof> {
    let thumbprint = certificate.map(|certificate| &certificate.thumbprint);
    match Bearer::of(token) {
        Bearer::ApiKey => Ok(rulebook.api_keys.verify(token, now_ms)?),
        Bearer::Jwt => Ok(rulebook.verifier.verify_with(token, thumbprint, now_ms)?),
        Bearer::Opaque => Err(NoProof::OfNoKind),
    }
}

/// Whom a client certificate stands for, of which there is only the broker's word.
pub fn judge_certificate(
    rulebook: &Rulebook,
    certificate: Option<&Certificate>,
) -> Result<Verified, NoProof> {
    let names = certificate.map_or(&[][..], |certificate| certificate.names.as_slice());
    let entrusted = rulebook
        .certificates
        .iter()
        .find(|rule| names.contains(&rule.name));
    let rule = entrusted.ok_or(NoProof::Certificate)?;
    let mut roles = rule.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    Ok(Verified {
        principal: Principal {
            id: Some(rule.subject.clone()),
            roles,
            tenant: rule.tenant.clone(),
            claims: Vec::new(),
        },
        expires_at_ms: None,
        by: format!("client certificate {}, as the broker says", rule.name),
    })
}
