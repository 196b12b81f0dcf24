//! What the configuration files of both daemons have in common: how they are read, and their `log:`. No I/O.
#![forbid(unsafe_code)]

mod yaml;
mod log;

pub use log::{Log, LogFormat, LogLevel};
pub use yaml::{Location, Mistake, parse};
