//! The audit trail: JSON Lines, each record chained by hash to the one before. See docs/audit.md for the format.
#![forbid(unsafe_code)]

mod record;
mod line;
mod tail;
mod journal;
mod verify;
mod search;

pub use journal::{AuditError, Durability, Journal};
pub use record::{Event, Outcome, Record};
pub use search::{Found, of_request};
pub use verify::{Broken, Verified, What, verify};
