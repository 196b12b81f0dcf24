//! Where log lines go and how they look. Levels and formats only: what is in a line is decided where it is written.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Log, LogFormat, LogLevel};

/// Starts the log. Opens the journal's socket, so it comes before the process locks itself in.
pub fn start(log: &Log) -> io::Result<()> {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Set by systemd where standard error leads to the journal (systemd.exec(5)).
    let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let format = match log.format {
        LogFormat::Auto if is_journal => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Text,
        chosen @ (LogFormat::Text | LogFormat::Json | LogFormat::Journald) => chosen,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Journald => tracing_journald::layer()?.boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .with_writer(io::stderr)
            .boxed(),
        LogFormat::Auto | LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(io::stderr)
            .boxed(),
    };
    let subscriber = Registry::default().with(layer.with_filter(level));
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}
