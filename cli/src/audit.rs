//! `dbal audit`: whether the trail is what the worker wrote, and what it says.

mod heads;
mod verify;
mod wanted;
mod row;
mod tail;
mod search;
mod export;
mod ocsf;
mod seal;

pub(crate) use seal::status;

use crate::error::ToolError;

/// Verify the audit trail, watch it, search it, hand it to others, take it out of the worker's reach.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Options),
    Tail(tail::Options),
    Search(search::Options),
    Export(export::Options),
    Seal(seal::Options),
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Command::Verify(options) => verify::run(options),
        Command::Tail(options) => tail::run(options),
        Command::Search(options) => search::run(options),
        Command::Export(options) => export::run(options),
        Command::Seal(options) => seal::run(&options),
    }
}

/// For the fuzz targets: a record as it is shown and exported.
#[cfg(fuzzing)]
pub(crate) fn fuzzed(record: &serde_json::Value) -> Vec<crate::fuzzed::Shown> {
    use crate::fuzzed::{COLOURS, Shown};

    let mut shown: Vec<Shown> = COLOURS
        .into_iter()
        .map(|(colour, is_painted)| Shown::Line(row::row(record, colour), is_painted))
        .collect();
    shown.push(Shown::Csv(export::csv(record)));
    shown.push(Shown::Json(ocsf::event(record).to_string()));
    shown
}
