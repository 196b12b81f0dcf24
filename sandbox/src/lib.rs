//! Locks a process in: user, capabilities, limits, landlock and seccomp, in the one order that works, and tells what the
//! kernel says is in force. Each layer holds if the others fall.

pub mod inherited;
pub mod backlog;
mod mode;
mod run_as;
mod setup;
mod exposure;
mod limits;
mod swap;
mod executable;
mod network;
mod privileges;
mod rereadable;
mod paths;
mod landlock_steps;
mod landlocked;
pub mod filters;
mod status;
mod layers;
mod error;

pub use error::SandboxError;
pub use landlock_steps::{Landlock, STEPS as LANDLOCK_STEPS, Step as LandlockStep};
pub use landlocked::landlock_here;
pub use layers::{Layer, Locked, State, read_back};
pub use limits::descriptors;
pub use mode::{Mode, UnknownMode};
pub use rereadable::Rereadable;
pub use run_as::RunAs;
pub use setup::{Profile, Rules, Setup};
