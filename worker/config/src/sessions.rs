//! Where opaque session tokens are looked up: which entity has them, and which of its fields says what.

use serde::Deserialize;

use crate::worker::from_1_to_3_600;

/// The `auth.sessions` part of `worker.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRules {
    /// The entity that has a row for each session.
    pub entity: String,
    /// The field that finds it: unique, with the token or its hash.
    pub token: String,
    /// What of the token stands there.
    #[serde(default)]
    pub hashed: Hashed,
    /// The field with the user's id: the principal's.
    pub user: String,
    /// The field that says when the session ends: a `datetime`, or a `bigint` of Unix milliseconds.
    pub expires: String,
    /// The field that is set once the session is over before its time: a time, or `true`.
    #[serde(default)]
    pub revoked: Option<String>,
    /// The field with the principal's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Where the principal's roles are.
    pub roles: SessionRoles,
    /// How soon at the latest an open session notices that its row has changed, in seconds.
    #[serde(default = "recheck", deserialize_with = "from_1_to_3_600")]
    pub recheck_seconds: u32,
}

/// What of a token the database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hashed {
    /// SHA-256 of it, in hexadecimal digits: whoever reads the table can't act as its users.
    #[default]
    Sha256,
    /// The token itself.
    No,
}

/// Where a session's roles are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRoles {
    /// The same for all.
    #[serde(default)]
    pub fixed: Vec<String>,
    /// A field of the session's row, or of the user's.
    #[serde(default)]
    pub field: Option<String>,
    /// The entity of users, whose key the session's `user` is; then `field` is one of its fields.
    #[serde(default)]
    pub entity: Option<String>,
}

fn recheck() -> u32 {
    30
}
