//! The exposed process. Everything is in the library, so that tests can reach it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use dbal_broker::startup::{self, Arguments, StartError};
use dbal_sandbox::Setup;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbal-broker: {}", dbal_daemon::causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), StartError> {
    let setup = Setup::begin()?;
    startup::run(setup, &Arguments::parse())
}
