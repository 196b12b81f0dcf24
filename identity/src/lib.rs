//! Turns a bearer token into a principal: JSON Web Tokens against configured keys, API keys against a file of hashes. Nothing
//! that a token says of itself is believed.
#![forbid(unsafe_code)]

pub mod der;
pub mod rules;
mod public_key;
mod key;
mod provider;
mod header;
mod claims;
mod verifier;
mod bearer;
mod watch;
mod api_key;
mod api_keys;
mod signer;

pub use api_key::{KeyHash, MARK as API_KEY_MARK, NewKey, ShownKey};
pub use api_keys::{ApiKeyError, ApiKeys, ClaimValue, KeyFileError, KeyRecord, read_records, write_records};
pub use bearer::Bearer;
pub use claims::TokenError;
pub use key::IdentityError;
pub use rules::{ClaimNames, KeyAlgorithm, KeyRule, TokenRules};
pub use signer::Signer;
pub use verifier::{Checkable, Secrets, Verified, Verifier};
pub use watch::{Fingerprints, PAUSE as WATCH_PAUSE, Watch};
