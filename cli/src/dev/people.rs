//! The users of a development folder and their tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use dbal_identity::Signer;
use serde_json::json;

use crate::error::ToolError;

/// `iss` of development tokens.
pub(crate) const ISSUER: &str = "https://dbal.localhost";
/// `aud` of development tokens.
pub(crate) const AUDIENCE: &str = "dbal-dev";

/// Somebody to be.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: &'static str,
    /// The token's subject and the key of the `User` row; never changes.
    pub(super) id: &'static str,
    pub(super) role: &'static str,
}

pub(super) const PEOPLE: [Person; 4] = [
    Person {
        name: "alice",
        id: "0199a000-0000-7000-8000-00000000a11c",
        role: "user",
    },
    Person {
        name: "bob",
        id: "0199a000-0000-7000-8000-000000000b0b",
        role: "user",
    },
    Person {
        name: "carol",
        id: "0199a000-0000-7000-8000-00000000ca01",
        role: "moderator",
    },
    Person {
        name: "admin",
        id: "0199a000-0000-7000-8000-00000000ad31",
        role: "admin",
    },
];

/// Development tokens outlive the folder; what they open is on this machine only.
const YEARS_10_S: i64 = 10 * 365 * 24 * 60 * 60;

/// A token for one of them.
pub(super) fn token(signer: &Signer, person: &Person) -> Result<String, ToolError> {
    signed(signer, person.id, &[person.role.to_owned()], None, YEARS_10_S)
}

/// A token with these claims, valid from now on.
pub(crate) fn signed(
    signer: &Signer,
    subject: &str,
    roles: &[String],
    tenant: Option<&str>,
    lifetime_s: i64,
) -> Result<String, ToolError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|now| i64::try_from(now.as_secs()).ok())
        .ok_or_else(|| ToolError::Failed("the clock does not tell the time".to_owned()))?;
    let mut claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "roles": roles,
        "iat": now,
        "exp": now.saturating_add(lifetime_s),
    });
    if let (Some(tenant), Some(claims)) = (tenant, claims.as_object_mut()) {
        claims.insert("tenant_id".to_owned(), tenant.into());
    }
    Ok(signer.sign(&claims.to_string()))
}
