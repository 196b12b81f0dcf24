//! Locks a process in: user, capabilities, limits, landlock and seccomp, in the one order that works, and tells what the
//! kernel says is in force. Each layer holds if the others fall.
#![forbid(unsafe_code)]

pub mod inherited;
mod mode;
mod run_as;
mod setup;
mod exposure;
mod network;
mod privileges;
mod rereadable;
mod paths;
mod landlocked;
pub mod filters;
mod status;
mod layers;
mod error;

pub use error::SandboxError;
pub use exposure::descriptors;
pub use layers::{Layer, Locked, State, read_back};
pub use mode::{Mode, UnknownMode};
pub use rereadable::Rereadable;
pub use run_as::RunAs;
pub use setup::{Profile, Rules, Setup};
