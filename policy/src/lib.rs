//! Rules → what of a plan its caller may have. One function, `decide`, run by broker and worker alike. No I/O but `load`, no clock.
#![forbid(unsafe_code)]

pub mod error;
pub mod policy;
mod rules_file;
pub mod claims;
mod expression;
mod pinpoint;
mod operators;
mod row_filter;
mod compile;
mod inline_acl;
pub mod roles;
pub mod slots;
pub mod template;
pub mod rule;
pub mod limits;
mod hurdle;
mod access;
pub mod subject;
pub mod cost;
pub mod denied;
pub mod grant;
mod wellformed;
mod decide;
mod together;
mod evaluate;
pub mod prove;
mod invariants_file;
mod invariants;
pub mod tested;
pub mod words;

pub use access::is_open;
pub use claims::{ClaimFault, Claims};
pub use cost::{Cost, Item};
pub use decide::{Asked, Effect, Tried};
pub use denied::{Denied, Reason};
pub use error::PolicyError;
pub use evaluate::{evaluate, evaluate_with, order};
pub use expression::Claim;
pub use grant::Grant;
pub use hurdle::Hurdle;
pub use limits::RoleLimits;
pub use policy::{Loaded, Policy, Vocabulary};
pub use subject::Subject;

#[cfg(test)]
mod tests;
