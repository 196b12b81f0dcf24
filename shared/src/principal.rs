//! Who asks: what a verified proof says about its bearer.

/// A verified caller. The worker makes it from the proof; the broker learns it as the worker's verdict.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Principal {
    /// The token's subject; none for an unauthenticated caller.
    pub id: Option<String>,
    /// Roles as the proof names them, sorted, without duplicates.
    pub roles: Vec<String>,
    /// Tenant, if the proof names one.
    pub tenant: Option<String>,
    /// Further claims, sorted by name.
    pub claims: Vec<(String, ClaimValue)>,
}

/// What a further claim may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    Texts(Vec<String>),
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
