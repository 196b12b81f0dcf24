//! What the tool prints. Whoever reads standard output may stop (`| head -1`), and that is no failure of ours; `println!` would panic.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, StdoutLock, Write};

use crate::error::ToolError;

/// A buffered standard output whose every failure is told.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn open() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), ToolError> {
        writeln!(self.0, "{line}").map_err(failed)
    }

    /// Writes what ends its own lines.
    pub(crate) fn text(&mut self, text: impl Display) -> Result<(), ToolError> {
        write!(self.0, "{text}").map_err(failed)
    }

    /// Hands everything over. Without it what is buffered may be lost in silence.
    pub(crate) fn flush(&mut self) -> Result<(), ToolError> {
        self.0.flush().map_err(failed)
    }
}

/// Prints a whole text.
pub(crate) fn print(text: impl Display) -> Result<(), ToolError> {
    let mut output = Output::open();
    output.text(text)?;
    output.flush()
}

/// Prints one line.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), ToolError> {
    let mut output = Output::open();
    output.line(text)?;
    output.flush()
}

/// Says something on standard error. If nobody listens there, there is nobody to be told.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The same of what ends its own lines.
pub(crate) fn say_text(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn failed(source: io::Error) -> ToolError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        ToolError::NobodyReads
    } else {
        ToolError::Failed(format!("standard output can't be written: {source}"))
    }
}
