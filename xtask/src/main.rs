//! What developers, packagers and CI run: `cargo xtask dev | test | check | bench | fuzz | man | deb | advisories`. Each task is one file.
#![forbid(unsafe_code)]

mod run;
mod dev;
mod test;
mod mysql;
mod check;
mod bench;
mod fuzz;
mod man;
mod deb;
mod advisories;

use std::error::Error;
use std::process::ExitCode;

/// What a task comes to.
type Outcome = Result<(), Box<dyn Error>>;

const HELP: &str = "\
cargo xtask dev [--release] [ARGS]      build and run a development daemon on 127.0.0.1:50051 (ARGS go to `dbal dev`)
cargo xtask test [ARGS]                 build the binaries, fetch the foreign clients, run every test (ARGS go to cargo test)
cargo xtask check [--update] [--quick]  the house rules, dependency directions and strings of the shipped binaries
                                        (--update rewrites the golden files; --quick builds nothing)
cargo xtask bench [--json] [--database sqlite|postgresql|mariadb] [--calls C,…] [--clients N,…] [--pool N]
                                        [--seconds S] [--cache]
                                        latency and throughput beside direct statements, release build
cargo xtask fuzz --smoke | --minutes N  every fuzz target, shared among them
cargo xtask man [FOLDER]                manual pages and shell completions, made from the command lines
cargo xtask deb [--binaries DIR]        the Debian package (DIR holds built binaries; else a release build)
cargo xtask advisories [--if-reachable]
                                        known flaws in our dependencies, by the RustSec database";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments
        .split_first()
        .map_or(("help", [].as_slice()), |(task, rest)| (task.as_str(), rest));
    let outcome = match task {
        "dev" => dev::run(rest),
        "test" => test::run(rest),
        "check" => check::run(rest),
        "bench" => bench::run(rest),
        "fuzz" => fuzz::run(rest),
        "man" => man::run(rest),
        "deb" => deb::run(rest),
        "advisories" => advisories::run(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no task `{other}`\n{HELP}").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error}");
            ExitCode::FAILURE
        }
    }
}
