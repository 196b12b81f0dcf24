//! `cargo xtask fuzz`: every target for a while, several at once. libFuzzer needs flags that the stable compiler takes in bootstrap
//! mode.

mod changed;
mod corpus;
mod coverage;
mod parsers;
mod running;
mod table;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Outcome;
use crate::llvm::host;
use crate::run::{command, is_there, output, root, say, show};
use running::{Came, Program, Terms, Work};

/// Changed copies of the kept inputs that CI tries on each target: what the slowest does in seconds.
const SMOKE: usize = 2_000;
/// What one input may take. A target that needs more has found a bug.
const INPUT_SECONDS: u32 = 10;
/// Likewise of memory, for one input.
const MEMORY_MIB: u32 = 1_024;

/// Every fuzz target for a while, or one; ends at the first finding and says how to see it again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    time: Time,
    /// Only this target.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// So many at once. By default one for each processor.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Write the table of docs/fuzzing.md: of the run, or of what is reached.
    #[arg(long, conflicts_with = "smoke")]
    table: bool,
    /// Take what was found into fuzz/corpus.
    #[arg(long, conflicts_with = "smoke")]
    keep: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Time {
    /// As CI does it: every kept input and changed copies of them, the same ones each time.
    #[arg(long)]
    smoke: bool,
    /// So many minutes, shared among the targets.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// No fuzzing: give each target its corpus, and tell which lines of its parser that reaches.
    #[arg(long, conflicts_with_all = ["keep", "jobs"])]
    coverage: bool,
}

/// `--smoke`, `--minutes N` in all, or `--coverage`.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments {
        time,
        target,
        jobs,
        table,
        keep,
    } = arguments;
    if !is_there("cargo-fuzz") {
        show(command("cargo", ["install", "cargo-fuzz", "--locked"]))?;
    }
    let all = output(cargo_fuzz(&["list"]))?;
    let targets: Vec<&str> = all
        .split_whitespace()
        .filter(|one| target.as_ref().is_none_or(|target| target == one))
        .collect();
    if targets.is_empty() {
        return Err("there is no such fuzz target; `cargo fuzz list` names them".into());
    }
    let (host, day) = (host()?, output(command("date", ["--iso-8601"]))?);
    let (document, day) = (root().join("docs/fuzzing.md"), day.trim());
    if time.coverage {
        let reached = coverage::run(&targets, &host)?;
        return if *table {
            coverage::write(&document, &reached, day)
        } else {
            Ok(())
        };
    }
    let jobs = jobs.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        NonZeroUsize::get,
    );
    let work = match time.minutes {
        Some(minutes) if !time.smoke => Work::Search(each(minutes, targets.len(), jobs)?),
        Some(_) | None => Work::Replay(SMOKE),
    };
    let mut build = vec!["build", "--sanitizer", "none", "--release"];
    build.extend(target.as_deref());
    show(cargo_fuzz(&build))?;
    let terms = Terms {
        work,
        input_seconds: INPUT_SECONDS,
        memory_mib: MEMORY_MIB,
    };
    let programs: Vec<Program> = targets.iter().map(|target| Program::new(target, &host)).collect();
    let came = all_of(&programs, &terms, jobs)?;
    if *keep {
        for program in &programs {
            corpus::keep(program)?;
        }
    }
    let how = match work {
        Work::Replay(copies) => format!("the kept inputs and {copies} changed copies each"),
        Work::Search(time) => {
            if *table {
                table::write(&document, &came, time, jobs, day)?;
            }
            format!("{} s each", time.as_secs())
        }
    };
    let executions: u64 = came.iter().map(|came| came.executions).sum();
    say(&format!(
        "{} fuzz targets, {how}: {executions} inputs, nothing found",
        came.len()
    ));
    Ok(())
}

/// Each target's share of the time.
fn each(minutes: u64, targets: usize, jobs: usize) -> Result<Duration, Box<dyn std::error::Error>> {
    let at_once = u64::try_from(jobs.min(targets))?;
    let seconds = minutes.saturating_mul(60).saturating_mul(at_once) / u64::try_from(targets)?;
    Ok(Duration::from_secs(seconds.max(1)))
}

/// Runs the targets in turn, some of them at once, until all are done or one has found something.
fn all_of(programs: &[Program], terms: &Terms, jobs: usize) -> Result<Vec<Came>, Box<dyn std::error::Error>> {
    let waiting = Mutex::new(programs.iter().enumerate());
    let came = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    let first_failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(programs.len()) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((nth, program)) = next else { break };
                    match running::run(program, terms, &is_over) {
                        Ok(Some(one)) => {
                            println!("    {}", one.line());
                            came.lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((nth, one));
                        }
                        // Another found something.
                        Ok(None) => {}
                        Err(error) => {
                            is_over.store(true, Ordering::Relaxed);
                            let mut first = first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                            first.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = first_failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let mut came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    came.sort_by_key(|(nth, _)| *nth);
    Ok(came.into_iter().map(|(_, one)| one).collect())
}

fn cargo_fuzz(arguments: &[&str]) -> std::process::Command {
    let mut command = command("cargo", ["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}
