//! The exposed process: from a client's bytes to a frame for the worker, and back. Modules stand in a request's order.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::wildcard_enum_match_arm,
        reason = "a test picks one variant and fails on the others"
    )
)]

pub mod net;
pub mod rpc;
pub mod auth;
pub mod admission;
pub mod call;
pub mod acl;
pub mod channel;
pub mod respond;
pub mod serve;
pub mod traces;
pub mod entity_calls;
pub mod metrics;
pub mod health;
pub mod admin;
pub mod config;
pub mod listeners;
pub mod countersign;
pub mod rulebook;
pub mod reload;
pub mod startup;
#[cfg(test)]
mod fixture;
