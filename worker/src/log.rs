//! Where the log goes: journald under systemd, stderr elsewhere. No tokens, no row values, no SQL.

use std::io::IsTerminal;

use dbal_config::{Log, LogFormat};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// journald can't be reached.
    #[error("journald can't be reached; `log.format: text` writes to stderr")]
    Journald(#[source] std::io::Error),
    /// A log exists already.
    #[error("the log was begun twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins the log. Before the lock: journald's socket is opened here.
pub fn begin(log: &Log) -> Result<(), LogError> {
    let level: LevelFilter = log.level.name().parse().unwrap_or(LevelFilter::INFO);
    let layer: Box<dyn Layer<_> + Send + Sync> = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => match tracing_journald::layer() {
            Ok(journald) => journald.boxed(),
            Err(_) => text().boxed(),
        },
        LogFormat::Auto | LogFormat::Text => text().boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
        LogFormat::Journald => tracing_journald::layer().map_err(LogError::Journald)?.boxed(),
    };
    Ok(registry().with(layer.with_filter(level)).try_init()?)
}

fn text<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> registry::LookupSpan<'span>,
{
    fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
}
