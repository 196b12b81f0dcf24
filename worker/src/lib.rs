//! The process that holds the database: it believes nothing that the broker says, decides again, and writes everything down.
#![forbid(unsafe_code)]

// In the order in which a call meets them.
pub mod channel;
pub mod proof;
pub mod opaque;
pub mod session;
pub mod execute;
pub mod together;
pub mod once;
pub mod generate;
pub mod cache;
pub mod cursor;
pub mod job;
pub mod database;
// What every call ends in, and what runs beside them.
mod allowance;
pub mod ledger;
pub mod traces;
pub mod expiry;
// How the process begins and ends.
pub mod args;
pub mod socket;
pub mod rulebook;
pub mod reload;
mod lost;
pub mod startup;
pub mod inspect;
pub mod alive;

#[cfg(test)]
mod fixture;
