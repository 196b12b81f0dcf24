//! `cargo xtask advisories`: known flaws in what the lock file names, from the RustSec database, where that can be had.

use crate::Outcome;
use crate::run::{command, say, show};

/// Known flaws in our dependencies, by the RustSec database.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the database can't be had, say so and succeed.
    #[arg(long)]
    if_reachable: bool,
}

/// Fetches the database and asks. Without it the task fails, since nothing was looked at; with `--if-reachable` it says so.
pub fn run(arguments: &Arguments) -> Outcome {
    let is_needed = !arguments.if_reachable;
    match fetched() {
        // `deny.toml` says what is accepted, with the reason.
        Ok(()) => show(command(
            "cargo",
            ["deny", "--locked", "--offline", "check", "advisories"],
        )),
        Err(why) if is_needed => Err(format!("nothing was looked at: {why}").into()),
        Err(why) => {
            say(&format!(
                "NOT CHECKED: the advisory database can't be had ({why}); run `cargo xtask advisories` where it can"
            ));
            Ok(())
        }
    }
}

fn fetched() -> Outcome {
    let told = command("cargo", ["deny", "--locked", "fetch", "db"]).output()?;
    if told.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&told.stderr);
    let why = told.lines().find(|line| line.starts_with("fatal:"));
    let why = why
        .or_else(|| told.lines().next())
        .unwrap_or("cargo deny says nothing");
    Err(why.to_owned().into())
}
