//! `dbal`, the operator's tool: one module per command; `supervise` starts and keeps the two daemons.
#![forbid(unsafe_code)]

mod command;
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
mod key;
mod policy;
mod schema;
mod audit;
mod sandbox;
mod doctor;
mod admin;
mod diagnostics;
mod visible;
mod output;
mod files;
mod error;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::command::{Command, Dbal};
use crate::error::ToolError;

/// The command line as data: what manual pages and completions are made from.
pub fn command_line() -> clap::Command {
    Dbal::command()
}

/// What `dbal` does: the command that was asked for; the exit code says how it went.
pub fn run_tool() -> ExitCode {
    let Dbal { command } = Dbal::parse();
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
            eprintln!("dbal: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
