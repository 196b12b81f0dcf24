//! The users of a development folder and their tokens.

use dbal_identity::Signer;

use crate::claims::Claims;
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
    let claims = Claims {
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: person.id,
        roles: &[person.role.to_owned()],
        tenant: None,
        lifetime_s: YEARS_10_S,
    };
    Ok(signer.sign(&claims.text()?))
}
