//! The audit trail: JSON Lines, each record chained by hash to the one before. See docs/audit.md for the format.
#![forbid(unsafe_code)]

mod record;
mod checkpoint;
mod line;
mod seconds;
mod text;
mod folder;
mod tail;
mod journal;
mod claims;
mod verify;
mod search;
mod follow;
mod seal;

pub use checkpoint::Checkpoint;
pub use claims::{countersignature_of, head_of, is_signed_by};
pub use dbal_shared::message::Head;
pub use dbal_witness::{KeyError, PublicKey, Signer};
pub use follow::Follow;
pub use journal::{AuditError, Durability, Journal, Tended, Terms};
pub use record::{Event, Outcome, Record, Removed};
pub use seal::{Keep, Look, Retired, SealError, Sealer};
pub use search::{Found, Wanted, each, of_request};
pub use verify::{
    Broken, Countersigned, Demands, Verified, What, verify, verify_across, verify_as, verify_end,
};
