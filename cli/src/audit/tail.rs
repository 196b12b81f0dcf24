//! `dbal audit tail`: the last records, and with `-f` those that come.

use std::path::PathBuf;
use std::time::Duration;

use dbal_audit::Follow;
use serde_json::Value;

use super::row::{colour, row};
use super::search::unreadable;
use super::wanted::paths;
use crate::error::ToolError;
use crate::output::Output;
use crate::visible::one_line;

/// How often it is looked for records that have come.
const LOOK: Duration = Duration::from_millis(200);

/// Show the last records, one line each; with -f also those that come, across files.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that `audit.directory` names; or two, where the records are sealed: that of `dbal audit seal`, then this one.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// How many.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16))]
    lines: u16,
    /// Go on as records come, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// The records as they stand in the file.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        folders,
        lines,
        follow,
        json,
    } = options;
    let colour = colour();
    let folders = paths(&folders);
    let unreadable = |source| unreadable(&folders, source);
    let (mut records, mut reader) = Follow::across(&folders, lines.into()).map_err(unreadable)?;
    loop {
        let mut output = Output::open();
        for record in records {
            match serde_json::from_str::<Value>(&record) {
                _ if json => output.line(record)?,
                Ok(record) => output.painted(format_args!("{}\n", row(&record, colour)))?,
                Err(_) => output.line(format_args!("is no record: {}", one_line(&record)))?,
            }
        }
        output.flush()?;
        if !follow {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        records = reader.more().map_err(unreadable)?;
    }
}
