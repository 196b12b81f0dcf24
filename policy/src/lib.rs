//! Rules → what of a plan its caller may have. One function, `decide`, run by broker and worker alike. No I/O but `load`, no clock.
#![forbid(unsafe_code)]

pub mod error;
pub mod policy;
pub mod subject;
pub mod limits;
pub mod denied;
pub mod grant;
mod decide;

pub use denied::{Denied, Reason};
pub use error::PolicyError;
pub use grant::Grant;
pub use limits::RoleLimits;
pub use policy::{Loaded, Policy, Vocabulary};
pub use subject::Subject;
