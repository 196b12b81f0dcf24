//! The claims of a token whose signature held, and what they must say.

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url and JSON.
    #[error("the token is not a signed JSON Web Token")]
    Malformed,
}
impl TokenError {
    /// What the caller may know.
    pub fn client(&self) -> &'static str {
        "token is not valid"
    }
}
