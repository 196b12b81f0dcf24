//! What developers, packagers and CI run: `cargo xtask dev | test | check | bench | train | fuzz | seccomp-record | man | deb | advisories`. Each
//! task is one file.
#![forbid(unsafe_code)]

mod run;
mod llvm;
mod dev;
mod test;
mod mysql;
mod check;
mod bench;
mod train;
mod fuzz;
mod seccomp_record;
mod man;
mod deb;
mod advisories;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a task comes to.
type Outcome = Result<(), Box<dyn Error>>;

/// What developers, packagers and CI run. Each task says what it takes: `cargo xtask TASK --help`.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Dev(dev::Arguments),
    Test(test::Arguments),
    Check(check::Arguments),
    Bench(bench::Arguments),
    Train(train::Arguments),
    Fuzz(fuzz::Arguments),
    SeccompRecord(seccomp_record::Arguments),
    Man(man::Arguments),
    Deb(deb::Arguments),
    Advisories(advisories::Arguments),
}

fn main() -> ExitCode {
    let outcome = match &Arguments::parse().task {
        Task::Dev(arguments) => dev::run(arguments),
        Task::Test(arguments) => test::run(arguments),
        Task::Check(arguments) => check::run(arguments),
        Task::Bench(arguments) => bench::run(arguments),
        Task::Train(arguments) => train::run(arguments),
        Task::Fuzz(arguments) => fuzz::run(arguments),
        Task::SeccompRecord(arguments) => seccomp_record::run(arguments),
        Task::Man(arguments) => man::run(arguments),
        Task::Deb(arguments) => deb::run(arguments),
        Task::Advisories(arguments) => advisories::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn told(line: &str) -> ErrorKind {
        let words = ["xtask"].into_iter().chain(line.split(' '));
        Arguments::try_parse_from(words).unwrap_err().kind()
    }

    #[test]
    fn every_task_has_a_help_and_does_nothing_when_asked_for_it() {
        let tasks: Vec<String> = Arguments::command()
            .get_subcommands()
            .map(|task| task.get_name().to_owned())
            .collect();
        assert!(tasks.len() >= 7, "{tasks:?}");
        for task in tasks {
            assert_eq!(told(&format!("{task} --help")), ErrorKind::DisplayHelp, "{task}");
        }
        assert_eq!(told("bench overload --help"), ErrorKind::DisplayHelp);
    }

    #[test]
    fn what_no_task_takes_is_refused_before_anything_is_built() {
        for line in [
            "bench --secnds 1",
            "check --qick",
            "fuzz",
            "fuzz --smoke --minutes 1",
            "nosuch",
        ] {
            assert!(
                Arguments::try_parse_from(["xtask"].into_iter().chain(line.split(' '))).is_err(),
                "{line}"
            );
        }
    }
}
