//! A daemon that somebody took: it starts, reads its configuration and locks itself in by the daemon's own code, and then, instead of
//! serving, does what it is told.
//!
//! `taken broker|worker BESIDE PROBE ARGUMENTS`, BESIDE being a file that says what is beside it, ARGUMENTS the daemon's own.
//! What came of it stands on stdout.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use dbal_attacks::own_rules::{BROKER, Beside, Probe, WORKER};
use dbal_sandbox::Setup;
use dbal_worker::args::Args;
use dbal_worker::startup;

fn main() -> ExitCode {
    match run() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn Error>> {
    let setup = Setup::begin()?;
    let arguments: Vec<String> = env::args().collect();
    let [program, daemon, beside, name, own @ ..] = arguments.as_slice() else {
        return Err("usage: taken broker|worker BESIDE PROBE ARGUMENTS".into());
    };
    let beside = Beside::parse(&std::fs::read_to_string(beside)?).ok_or("what is beside it?")?;
    let own = std::iter::once(program).chain(own);
    // What the daemon holds is kept until the probe is over: one that serves has it, too.
    match daemon.as_str() {
        "broker" => {
            let arguments = dbal_broker::startup::Arguments::try_parse_from(own)?;
            let _held = dbal_broker::startup::lock_in(setup, &arguments)?;
            probe(BROKER, name, &beside)
        }
        "worker" => {
            let args = Args::try_parse_from(own)?;
            setup.keep_only(&args.descriptors())?;
            let secrets = args.secrets();
            let config = startup::read_config(&args)?;
            let rulebook = startup::read_rules(&config)?;
            let opened = startup::open(&args, secrets, config, rulebook)?;
            let _locked = startup::lock(setup, &opened)?;
            probe(WORKER, name, &beside)
        }
        other => Err(format!("no daemon `{other}`").into()),
    }
}

fn probe(probes: &[Probe], name: &str, beside: &Beside) -> Result<String, Box<dyn Error>> {
    let probe = probes
        .iter()
        .find(|probe| probe.name == name)
        .ok_or_else(|| format!("no probe `{name}`"))?;
    Ok(match (probe.run)(beside) {
        Ok(()) => "worked".to_owned(),
        Err(errno) => format!("refused {}", errno.0),
    })
}
