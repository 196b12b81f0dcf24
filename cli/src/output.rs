//! Standard output of the commands that print much: whoever reads it may stop (`| head -1`), and that is no failure of ours.

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

fn failed(source: io::Error) -> ToolError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        ToolError::NobodyReads
    } else {
        ToolError::Failed(format!("standard output can't be written: {source}"))
    }
}
