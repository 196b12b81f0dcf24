//! The bytes that the client gets, and the one outcome from which metrics, log and audit are made.

mod failure;
mod text;
mod outcome;

pub use dbal_call::{Details, FAULTS, FieldFault, INVALID_CURSOR, Kind, Refusal};
pub use failure::{failed, unreached};
pub use outcome::{Outcome, Verdict};
pub use text::{batch, error, member_error, member_result, result};
