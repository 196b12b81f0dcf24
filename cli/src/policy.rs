//! `dbal policy`: what a policy says and what is wrong with it, before a daemon lives by it. One file per command; all of them
//! find their files by `inputs`.

mod inputs;
mod check;
mod who_can;
mod diff;
mod trial;
mod reload;
mod matrix;
mod explain;
mod why;

use crate::error::ToolError;
pub(crate) use inputs::{Examined, Inputs, Named};

/// Read, check and question a policy.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Options),
    WhoCan(who_can::Options),
    Diff(diff::Options),
    Test(trial::Options),
    Reload(reload::Options),
    Matrix(matrix::Options),
    Explain(explain::Options),
    Why(why::Options),
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Command::Check(options) => check::run(options),
        Command::WhoCan(options) => who_can::run(options),
        Command::Diff(options) => diff::run(&options),
        Command::Test(options) => trial::run(options),
        Command::Reload(options) => reload::run(options),
        Command::Matrix(options) => matrix::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Why(options) => why::run(options),
    }
}

/// For the fuzz targets: what is told of a record.
#[cfg(fuzzing)]
pub(crate) fn why_of(found: &dbal_audit::Found) -> String {
    why::told(found, None)
}
