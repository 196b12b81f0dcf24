//! The exposed process: from a client's bytes to a frame for the worker, and back. Modules stand in a request's order.
#![forbid(unsafe_code)]

pub mod net;
pub mod rpc;
pub mod auth;
pub mod admission;
pub mod call;
pub mod acl;
pub mod channel;
pub mod respond;
