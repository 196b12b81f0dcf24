//! Keys, read from files or the configuration, each bound to one algorithm.

/// Why keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Without a key nobody could log in.
    #[error("no keys")]
    NoKeys,
    /// A key could not be made or used.
    #[error("the signing key can't be used: {what}")]
    Signer {
        /// What is wrong with it.
        what: &'static str,
    },
}
