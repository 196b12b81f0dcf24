//! Whether a condition follows from others, for every row and every caller: proven, or not. Never a guess, never a sample.
//!
//! What is to be shown is turned around: premises and the contrary of the conclusion become one formula without unknowns
//! (`formula`, `reading`), and all cases of it are searched (`search`) for one that does not contradict itself (`order`). If there is
//! none, the conclusion follows. Wherever something is left out of account a case too many survives, so that too little is
//! proven and never too much:
//!
//! - a column may hold any value that its comparisons make sense for: `rank > 2` does not prove `rank >= 3`;
//! - conditions on linked rows are compared with each other as they are written, or by what they say of the linked row;
//! - beyond a number of steps there is no answer.

pub mod callers;
pub mod formula;
mod order;
pub mod reading;
mod search;
mod words;

pub use callers::Callers;
pub use formula::Formula;
pub use reading::{Aim, Reading};
pub use search::{Effort, Prover, Verdict};
pub use words::words;

#[cfg(test)]
mod tests;
