//! `dbal`, the operator's tool: one module per command; `supervise` starts and keeps the two daemons.
#![forbid(unsafe_code)]
// They panic when whoever reads has gone. `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod command;
mod examples;
mod daemons;
mod dev;
mod run;
mod supervise;
mod call;
mod client;
mod indent;
mod config;
mod keygen;
mod token;
mod claims;
mod key;
mod policy;
mod schema;
mod audit;
mod sandbox;
mod doctor;
mod top;
mod admin;
mod diagnostics;
mod visible;
mod output;
mod files;
mod error;
#[cfg(fuzzing)]
pub mod fuzzed;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::command::{Command, Dbal};
use crate::error::ToolError;

/// The command line as data: what manual pages and completions are made from.
pub fn command_line() -> clap::Command {
    examples::with_examples(Dbal::command())
}

/// What `dbal` does: the command that was asked for; the exit code says how it went.
pub fn run_tool() -> ExitCode {
    let matches = command_line().get_matches();
    let Dbal { command } = Dbal::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match command {
        Command::Dev(options) => dev::run(options),
        Command::Run(options) => run::run(options),
        Command::Call(options) => call::run(options),
        Command::Config(options) => config::run(options),
        Command::Keygen(options) => keygen::run(options),
        Command::Token(options) => token::run(options),
        Command::Key(options) => key::run(options),
        Command::Policy(options) => policy::run(options),
        Command::Schema(options) => schema::run(options),
        Command::Audit(options) => audit::run(options),
        Command::Sandbox(options) => sandbox::run(options),
        Command::Top(options) => top::run(options),
        // What it finds has an exit code of its own, and is no error of the tool.
        Command::Doctor(options) => match doctor::run(options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ToolError::NobodyReads) => ExitCode::from(error.exit_code()),
        Err(error) => {
            output::say(format_args!("dbal: {}", dbal_shared::causes::causes(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}
