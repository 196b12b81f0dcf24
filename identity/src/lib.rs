//! Turns a bearer token into a principal: JSON Web Tokens against configured keys, and nothing from the token's own header believed.
#![forbid(unsafe_code)]

pub mod rules;
mod public_key;
mod key;
mod provider;
mod claims;
mod verifier;
mod signer;

pub use claims::TokenError;
pub use key::IdentityError;
pub use rules::{ClaimNames, KeyAlgorithm, KeyRule, TokenRules};
pub use signer::Signer;
pub use verifier::{Checkable, Secrets, Verified, Verifier};
