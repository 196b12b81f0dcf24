//! Locks a process in: privileges, limits, landlock and seccomp, in the one order that works, and tells what the kernel says is in force.

mod mode;
mod run_as;
mod setup;
mod layers;

pub use layers::{Layer, Locked, State, read_back};
pub use mode::Mode;
pub use run_as::RunAs;
pub use setup::{Profile, Rules, SandboxError, Setup};
