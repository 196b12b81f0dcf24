//! Who asks: what a verified proof says about its bearer.

use crate::value::Value;

/// A verified caller. The worker makes it from the proof; the broker learns it as the worker's verdict.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Principal {
    /// The token's subject; none for an unauthenticated caller.
    pub id: Option<String>,
    /// Roles as the proof names them, sorted, without duplicates.
    pub roles: Vec<String>,
    /// Tenant, if the proof names one.
    pub tenant: Option<String>,
    /// Further claims, sorted by name: text, integer or boolean.
    pub claims: Vec<(String, Value)>,
}

impl Principal {
    /// The caller who proved nothing. Policies speak of it as the role `public`.
    pub fn anonymous() -> Self {
        Self {
            id: None,
            roles: vec!["public".to_owned()],
            tenant: None,
            claims: Vec::new(),
        }
    }
}
