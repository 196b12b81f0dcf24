//! `cargo xtask fuzz`: every target for a while. libFuzzer needs flags that the stable compiler takes in bootstrap mode.

use crate::Outcome;
use crate::run::{command, is_there, output, root, say, show};

/// Seconds that each target gets in CI: enough to run the whole corpus and some 100,000 new inputs.
const SMOKE_SECONDS: u64 = 20;
/// A target that needs more memory than this for one input has found a bug.
const MEMORY_MIB: &str = "-rss_limit_mb=1024";

/// Every fuzz target for a while.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Arguments {
    /// As long as CI takes for it: 20 s each.
    #[arg(long)]
    smoke: bool,
    /// So many minutes, shared among them.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
}

/// `--smoke`, or `--minutes N` in all.
pub fn run(arguments: &Arguments) -> Outcome {
    if !is_there("cargo-fuzz") {
        show(command("cargo", ["install", "cargo-fuzz", "--locked"]))?;
    }
    let targets = output(cargo_fuzz(["list"]))?;
    let targets: Vec<&str> = targets
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if targets.is_empty() {
        return Err("there are no fuzz targets".into());
    }
    let seconds = match arguments.minutes {
        None => SMOKE_SECONDS,
        Some(minutes) => minutes.saturating_mul(60) / targets.len() as u64,
    };
    show(cargo_fuzz(["build", "--sanitizer", "none", "--release"]))?;
    for target in &targets {
        // New inputs go to a folder of their own, so that a run leaves the seeds in git as they are.
        let found = root().join("fuzz/target/found").join(target);
        std::fs::create_dir_all(&found)?;
        let mut fuzz = cargo_fuzz(["run", "--sanitizer", "none", "--release", target]);
        fuzz.arg(&found)
            .arg(root().join("fuzz/corpus").join(target))
            .arg("--")
            .args([
                &format!("-max_total_time={seconds}"),
                MEMORY_MIB,
                "-timeout=10",
                "-print_final_stats=1",
                "-verbosity=0",
            ]);
        show(fuzz)?;
    }
    say(&format!(
        "{} fuzz targets, {seconds} s each: nothing found",
        targets.len()
    ));
    Ok(())
}

fn cargo_fuzz<const N: usize>(arguments: [&str; N]) -> std::process::Command {
    let mut command = command("cargo", ["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}
