//! What the configuration files of both daemons have in common: how they are read, their `log:` and `traces:`. No I/O.
#![forbid(unsafe_code)]

mod yaml;
mod log;
mod traces;

pub use log::{Log, LogFormat, LogLevel};
pub use traces::{CALLS_PER_SECOND, SpanOutput};
pub use yaml::{Location, Mistake, parse};
