//! The `traces:` of both files.

use serde::Deserialize;

/// Where spans go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanOutput {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output, as lines of OTLP JSON.
    Stdout,
}

impl SpanOutput {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            SpanOutput::Off => "off",
            SpanOutput::Stdout => "stdout",
        }
    }
}

/// Calls of one second whose spans are written, unless the file says otherwise.
pub const CALLS_PER_SECOND: u32 = 100;
