//! The claims of a token whose signature held: when it is valid, and whom it speaks for.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dbal_shared::ids::Digest;
use dbal_shared::json::Json;
use dbal_shared::message::Standing;
use dbal_shared::principal::{ClaimValue, Principal};

use subtle::ConstantTimeEq;

use crate::rules::{ClaimNames, TokenRules};

/// Longest principal id, role or tenant, in bytes: they are repeated in every audit record.
pub(crate) const NAME_BYTES: usize = 255;
/// Claims about the token itself (RFC 7519 §4.1), which say nothing about its bearer.
const ABOUT_THE_TOKEN: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There are no rules for signed tokens (`auth.tokens`), so none is good.
    #[error("signed tokens are not taken here")]
    NotTaken,
    /// Longer than `TOKEN_BYTES`.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url, or no JSON in them, or an algorithm without a name here, such as `none`.
    #[error("the token is no JSON Web Token signed with a known algorithm")]
    Malformed,
    /// Its header has a parameter that would change what the token means or which key counts.
    #[error("the token's header has a `{name}` that is not accepted")]
    Header {
        /// Which.
        name: &'static str,
    },
    /// Its `kid` is unknown, or it has none and there are several keys.
    #[error("no key fits the token's kid")]
    UnknownKey,
    /// Its `alg` is not that of the key.
    #[error("the token's alg is not the one of its key")]
    Algorithm,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is another.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` is another.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its `iat` is older than `max_age_s`.
    #[error("the token is older than max_age_s")]
    TooOld,
    /// It is bound to a key that its bearer would have to prove (RFC 7800 §3.1); accepting it without the proof would
    /// turn it into a plain bearer token.
    #[error("the token is bound to a key or a certificate (`cnf`) that its bearer has not proven")]
    Bound,
    /// A claim is missing or has no usable value.
    #[error("the claim `{name}` is missing or not usable")]
    Claim {
        /// Its name, as configured.
        name: String,
    },
}

impl TokenError {
    /// Whether this token is perhaps guessed. Everything that is compared after the signature comes of a real one.
    pub fn standing(&self) -> Standing {
        match self {
            TokenError::NotTaken
            | TokenError::TooLong
            | TokenError::Malformed
            | TokenError::Header { .. }
            | TokenError::UnknownKey
            | TokenError::Algorithm
            | TokenError::Signature => Standing::Unproven,
            TokenError::Issuer
            | TokenError::Audience
            | TokenError::Expired
            | TokenError::NotYetValid
            | TokenError::TooOld
            | TokenError::Bound
            | TokenError::Claim { .. } => Standing::Lapsed,
        }
    }
}

/// Reads the claims: whom the token speaks for, and when it ends. Issuer and audience have been compared before.
pub(crate) fn read(
    claims: &Json,
    rules: &TokenRules,
    certificate: Option<&Digest>,
    now_ms: i64,
) -> Result<(Principal, i64, Binding), TokenError> {
    let expires_at_ms = check_times(claims, rules, now_ms)?;
    let binding = match claims.member("cnf") {
        None => Binding::None,
        Some(confirmation) if is_bound_to(confirmation, certificate) => Binding::Certificate,
        Some(_) => return Err(TokenError::Bound),
    };
    let ClaimNames { id, roles, tenant } = &rules.claims;
    let principal = Principal {
        id: Some(name(claims, id)?.ok_or_else(|| unusable(id))?),
        roles: read_roles(claims, roles)?,
        tenant: name(claims, tenant)?,
        claims: further_claims(claims, &rules.claims),
    };
    Ok((principal, expires_at_ms, binding))
}

/// Whether whoever shows a token had to prove more than having it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// No.
    None,
    /// A client certificate (RFC 8705 §3).
    Certificate,
}

/// RFC 8705 §3.1: `x5t#S256` is the certificate's SHA-256 in base64url. Whatever else `cnf` asks for can't be checked.
fn is_bound_to(confirmation: &Json, certificate: Option<&Digest>) -> bool {
    let (Json::Object(members), Some(certificate)) = (confirmation, certificate) else {
        return false;
    };
    let [(name, Json::Text(thumbprint))] = members.as_slice() else {
        return false;
    };
    let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint).unwrap_or_default();
    name == "x5t#S256" && bool::from(thumbprint.ct_eq(&certificate.0))
}

/// When the proof ends. The leeway counts, or a token accepted within it would begin a session that is over.
fn check_times(claims: &Json, rules: &TokenRules, now_ms: i64) -> Result<i64, TokenError> {
    let leeway = i64::from(rules.leeway_s).saturating_mul(1000);
    let latest = now_ms.saturating_add(leeway);
    let ends = time_ms(claims, "exp")?
        .ok_or_else(|| unusable("exp"))?
        .saturating_add(leeway);
    if ends <= now_ms {
        return Err(TokenError::Expired);
    }
    if time_ms(claims, "nbf")?.is_some_and(|begins| begins > latest) {
        return Err(TokenError::NotYetValid);
    }
    let issued = time_ms(claims, "iat")?;
    if issued.is_some_and(|issued| issued > latest) {
        return Err(TokenError::NotYetValid);
    }
    let Some(max_age) = rules.max_age_s else {
        return Ok(ends);
    };
    let too_old = issued
        .ok_or_else(|| unusable("iat"))?
        .saturating_add(i64::from(max_age).saturating_mul(1000))
        .saturating_add(leeway);
    if too_old <= now_ms {
        return Err(TokenError::TooOld);
    }
    Ok(ends.min(too_old))
}

/// A NumericDate (RFC 7519 §2: seconds since 1970, "non-integer values can be represented") in milliseconds.
fn time_ms(claims: &Json, name: &str) -> Result<Option<i64>, TokenError> {
    let ms = match claims.member(name) {
        None => return Ok(None),
        Some(Json::Int(seconds)) if *seconds >= 0 => seconds.checked_mul(1000),
        Some(Json::Float(seconds)) => Duration::try_from_secs_f64(*seconds)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok()),
        Some(
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::Unsigned(_)
            | Json::Text(_)
            | Json::List(_)
            | Json::Object(_),
        ) => None,
    };
    ms.map(Some).ok_or_else(|| unusable(name))
}

/// A claim that names something: text, or a number as some issuers write ids.
fn name(claims: &Json, claim: &str) -> Result<Option<String>, TokenError> {
    match claims.member(claim) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Int(number)) => Ok(Some(number.to_string())),
        Some(Json::Text(text)) if (1..=NAME_BYTES).contains(&text.len()) => Ok(Some(text.clone())),
        Some(
            Json::Bool(_)
            | Json::Unsigned(_)
            | Json::Float(_)
            | Json::Text(_)
            | Json::List(_)
            | Json::Object(_),
        ) => Err(unusable(claim)),
    }
}

/// A list of strings, or one string with roles between spaces, as OAuth writes scopes. Sorted, each once.
fn read_roles(claims: &Json, claim: &str) -> Result<Vec<String>, TokenError> {
    let mut roles: Vec<String> = match claims.member(claim) {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Text(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Json::List(items)) => items
            .iter()
            .map(|item| item.as_text().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| unusable(claim))?,
        Some(Json::Bool(_) | Json::Int(_) | Json::Unsigned(_) | Json::Float(_) | Json::Object(_)) => {
            return Err(unusable(claim));
        }
    };
    if roles.iter().any(|role| !(1..=NAME_BYTES).contains(&role.len())) {
        return Err(unusable(claim));
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

/// What a policy may speak of as `$user.<name>`: scalars, and lists of texts. An empty list may be one of texts.
fn further_claims(claims: &Json, names: &ClaimNames) -> Vec<(String, ClaimValue)> {
    let Json::Object(members) = claims else {
        return Vec::new();
    };
    let ClaimNames { id, roles, tenant } = names;
    let mut further: Vec<(String, ClaimValue)> = members
        .iter()
        .filter(|(claim, _)| {
            !ABOUT_THE_TOKEN.contains(&claim.as_str()) && ![id, roles, tenant].contains(&claim)
        })
        .filter_map(|(claim, value)| {
            let value = match value {
                Json::Text(text) => ClaimValue::Text(text.clone()),
                Json::Int(number) => ClaimValue::Int(*number),
                Json::Bool(truth) => ClaimValue::Bool(*truth),
                Json::List(items) => {
                    let texts = items.iter().map(|item| item.as_text().map(str::to_owned));
                    ClaimValue::Texts(texts.collect::<Option<_>>()?)
                }
                Json::Null | Json::Unsigned(_) | Json::Float(_) | Json::Object(_) => return None,
            };
            Some((claim.clone(), value))
        })
        .collect();
    further.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    further
}

fn unusable(claim: &str) -> TokenError {
    TokenError::Claim {
        name: claim.to_owned(),
    }
}
