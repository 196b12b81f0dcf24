//! What the tool prints. Whoever reads standard output may stop (`| head -1`), and that is no failure of ours; `println!` would panic.
//! Names, records and answers in it are the words of others: programs and files get them as they are, a terminal gets nothing that
//! it would obey.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use crate::error::ToolError;
use crate::visible::lines;

/// A buffered standard output whose every failure is told.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn open() -> Self {
        let out = io::stdout();
        Self {
            is_terminal: out.is_terminal(),
            out: BufWriter::new(out.lock()),
        }
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), ToolError> {
        self.text(format_args!("{line}\n"))
    }

    /// Writes what ends its own lines.
    pub(crate) fn text(&mut self, text: impl Display) -> Result<(), ToolError> {
        if self.is_terminal {
            self.painted(lines(&text.to_string()))
        } else {
            self.painted(text)
        }
    }

    /// Writes what ends its own lines and has our colours in it. Whoever painted it has made the words of others harmless.
    pub(crate) fn painted(&mut self, text: impl Display) -> Result<(), ToolError> {
        write!(self.out, "{text}").map_err(failed)
    }

    /// Hands everything over. Without it what is buffered may be lost in silence.
    pub(crate) fn flush(&mut self) -> Result<(), ToolError> {
        self.out.flush().map_err(failed)
    }
}

/// Prints a whole text.
pub(crate) fn print(text: impl Display) -> Result<(), ToolError> {
    let mut output = Output::open();
    output.text(text)?;
    output.flush()
}

/// Prints a whole text that has our colours in it.
pub(crate) fn print_painted(text: impl Display) -> Result<(), ToolError> {
    let mut output = Output::open();
    output.painted(text)?;
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
    say_text(&format!("{text}\n"));
}

/// The same of what ends its own lines.
pub(crate) fn say_text(text: &str) {
    say_painted(&lines(text));
}

/// The same of what has our colours in it.
pub(crate) fn say_painted(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn failed(source: io::Error) -> ToolError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        ToolError::NobodyReads
    } else {
        ToolError::Failed(format!("standard output can't be written: {source}"))
    }
}
