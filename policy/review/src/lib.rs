//! What people ask of a policy before it is in force: who may do what, and what looks wrong. No daemon holds this crate.
#![forbid(unsafe_code)]

pub mod finding;
pub mod rights;
pub mod lint;
pub mod who_can;
pub mod diff;
pub mod trial;
pub mod matrix;

#[cfg(test)]
mod fixture;
