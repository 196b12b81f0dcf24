//! The exposed process. Everything is in the library, so that tests can reach it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use dbal_broker::startup::{self, Arguments};

fn main() -> ExitCode {
    match startup::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbal-broker: {}", dbal_daemon::causes(&error));
            ExitCode::FAILURE
        }
    }
}
