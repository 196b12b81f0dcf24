//! What the configuration files of both daemons have in common: how they are read, their `log:` and `traces:`, and who may read
//! the files with secrets that they name. No I/O.
#![forbid(unsafe_code)]

mod yaml;
mod log;
mod traces;
mod privacy;

pub use log::{Log, LogFormat, LogLevel};
pub use privacy::mode_if_others_may_read;
pub use traces::{CALLS_PER_SECOND, SpanOutput};
pub use yaml::{Location, Mistake, parse};
