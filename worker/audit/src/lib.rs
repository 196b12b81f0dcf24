//! The audit trail: JSON Lines, each record chained by hash to the one before. See docs/audit.md for the format.
#![forbid(unsafe_code)]

mod record;
mod checkpoint;
mod line;
mod folder;
mod tail;
mod journal;
mod verify;
mod search;
mod follow;

pub use checkpoint::{Checkpoint, KeyError, PublicKey, Signer};
pub use follow::Follow;
pub use journal::{AuditError, Durability, Journal, Tended, Terms};
pub use record::{Event, Outcome, Record, Removed};
pub use search::{Found, Wanted, each, of_request};
pub use verify::{Broken, Demands, Verified, What, verify, verify_as, verify_end};
