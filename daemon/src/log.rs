//! Where the log goes: journald under systemd, stderr elsewhere. What is in a line is decided where it is written.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dbal_sandbox::{Layer, Locked, State};
use dbal_settings::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer as _, Registry, fmt, registry, reload};

type Lines = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// journald can't be reached.
    #[error("journald can't be reached; `log.format: text` writes to stderr")]
    Journald(#[source] io::Error),
    /// A log exists already.
    #[error("the log was begun twice")]
    Twice(#[from] TryInitError),
}

/// What is logged, to be changed while the daemon serves.
#[derive(Clone, Debug)]
pub struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// From now on.
    pub fn set(&self, level: LogLevel) -> Result<(), reload::Error> {
        self.0.reload(filter(level))
    }
}

/// Begins the log. Before the lock: journald's socket is opened here.
pub fn begin(log: &Log) -> Result<Level, LogError> {
    let lines: Lines = match log.format {
        LogFormat::Auto if leads_to_the_journal() => match tracing_journald::layer() {
            Ok(journald) => journald.boxed(),
            Err(_) => text(),
        },
        LogFormat::Auto | LogFormat::Text => text(),
        LogFormat::Json => fmt::layer().json().with_writer(io::stderr).boxed(),
        LogFormat::Journald => tracing_journald::layer().map_err(LogError::Journald)?.boxed(),
    };
    let (filter, level) = reload::Layer::new(filter(log.level));
    registry().with(lines.with_filter(filter)).try_init()?;
    Ok(Level(level))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Says which layers of the sandbox are in force, and louder which are not.
pub fn sandbox(locked: &Locked) {
    let (mut in_force, mut off, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for Layer { name, state } in locked.layers() {
        match state {
            State::InForce => in_force.push(*name),
            State::Off => off.push(*name),
            State::Missing(why) => {
                missing.push(*name);
                tracing::warn!(layer = name, why, "a layer of the sandbox is missing");
            }
        }
    }
    let (in_force, off, missing) = (in_force.join(" "), off.join(" "), missing.join(" "));
    let landlock = tracing::field::display(locked.landlock());
    if holds(locked, "seccomp") {
        tracing::info!(in_force, missing, off, landlock, "locked in");
    } else {
        tracing::warn!(
            in_force,
            missing,
            off,
            landlock,
            "hardly anything holds an intruder in; never do this on a network"
        );
    }
}

fn holds(locked: &Locked, name: &str) -> bool {
    let mut layers = locked.layers().iter();
    layers.any(|layer| layer.name == name && layer.state == State::InForce)
}

fn text() -> Lines {
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program.as_deref().and_then(Path::file_name).unwrap_or_default();
    fmt::layer()
        .with_timer(Signed(program.to_string_lossy().into_owned()))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(|| OneLine(io::stderr()))
        .boxed()
}

/// Writes each event as one line, whatever is in it. A field that is told by its `Display` comes as it is, and may be in words that
/// the other process, a server or a file has chosen: none of them may begin a line, or move a terminal's cursor.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(one_line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The event with its control characters escaped, but for the end of the line and the colours of a terminal.
fn one_line(event: &[u8]) -> Cow<'_, str> {
    let event = String::from_utf8_lossy(event);
    let line = event.strip_suffix('\n').unwrap_or(&event);
    if !line.chars().any(char::is_control) {
        return event;
    }
    let mut told = String::with_capacity(event.len().saturating_mul(2));
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let taken = colour(rest).unwrap_or_else(|| first.len_utf8());
        let (piece, behind) = rest.split_at(taken);
        if first.is_control() && taken == first.len_utf8() {
            told.extend(piece.escape_debug());
        } else {
            told.push_str(piece);
        }
        rest = behind;
    }
    told.push('\n');
    Cow::Owned(told)
}

/// Length of the colour or typeface that the text begins with, if it does (ECMA-48, 8.3.117).
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let behind = parameters.trim_start_matches(|it: char| it.is_ascii_digit() || it == ';');
    let behind = behind.strip_prefix('m')?;
    text.len().checked_sub(behind.len())
}

/// The time and the program: under `dbal run` both daemons write to one stream.
struct Signed(String);

impl FormatTime for Signed {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        SystemTime.format_time(line)?;
        write!(line, " {}", self.0)
    }
}

/// `JOURNAL_STREAM` is inherited by whatever a service starts, so systemd.exec(5) has it compared with the stream itself.
fn leads_to_the_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stream = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let about = stream.and_then(|stream| stream.metadata()).ok();
    named
        .zip(about)
        .is_some_and(|(named, about)| named == format!("{}:{}", about.dev(), about.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_event_says_it_is_one_line_and_moves_no_cursor() {
        let written = |event: &str| {
            let mut out = OneLine(Vec::new());
            out.write_all(event.as_bytes()).expect("a vector takes all");
            String::from_utf8(out.0).expect("UTF-8")
        };
        for (event, line) in [
            ("plain\n", "plain\n"),
            ("a\nb\r\tc\n", "a\\nb\\r\\tc\n"),
            ("a\n\n", "a\\n\n"),
            (
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m\n",
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m\n",
            ),
            (
                "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}1A\u{1b}\n",
                "\\u{1b}[2J\\u{1b}]0;title\\u{7}\\u{9b}1A\\u{1b}\n",
            ),
            ("Grüße\n", "Grüße\n"),
        ] {
            assert_eq!(written(event), line, "{event:?}");
        }
    }
}
