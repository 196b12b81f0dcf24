//! How the database answered when it was last asked, so that health checks never load it.

use std::time::Duration;

/// How the database answered when last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Whether it answered.
    pub is_connected: bool,
    /// How long it took.
    pub latency: Duration,
}
