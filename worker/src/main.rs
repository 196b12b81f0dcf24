//! `dbal-worker`: read this as its table of contents.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use dbal_sandbox::Setup;
use dbal_worker::alive;
use dbal_worker::args::Args;
use dbal_worker::inspect;
use dbal_worker::startup::{self, StartError};

/// `EX_TEMPFAIL` of sysexits(3): started again, it may succeed.
const DATABASE_LOST: u8 = 75;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbal-worker: {}", dbal_daemon::causes(&error));
            if matches!(error, StartError::DatabaseLost { .. }) {
                ExitCode::from(DATABASE_LOST)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run() -> Result<(), StartError> {
    let setup = Setup::begin()?;
    let args = &Args::parse();
    setup.keep_only(&args.descriptors())?;
    if let Some(socket) = &args.alive {
        return Ok(alive::look(socket)?);
    }
    let secrets = args.secrets();
    let config = startup::read_config(args)?;
    if let Some(task) = args.schema {
        return inspect::run(task, setup, &config);
    }
    let rulebook = startup::read_rules(&config)?;
    if args.check {
        println!("configuration, entities and policy are sound");
        return Ok(());
    }
    let opened = startup::open(args, secrets, config, rulebook)?;
    let locked = startup::lock(setup, &opened)?;
    startup::serve(&locked, opened)
}
