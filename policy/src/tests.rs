//! What the policy as a whole decides.

pub(crate) mod world;
mod examples;
mod loading;
mod inline;
mod claims;
mod declared_claims;
mod reading;
mod relations;
mod writing;
mod together;
mod explaining;
mod hostile;
mod invariants;
mod kept;
mod properties;
