//! `cargo xtask man`: manual pages and shell completions, into target/man or a folder of your choice.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{command, show, target};

/// Manual pages and shell completions, made from the command lines.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to; target/man if left out.
    folder: Option<PathBuf>,
}

/// Makes them and says where.
pub fn run(arguments: &Arguments) -> Outcome {
    match &arguments.folder {
        None => make(&target().join("man")),
        Some(folder) => make(folder),
    }
}

/// Afresh, so that the page of a command that is gone is gone as well.
pub fn make(folder: &Path) -> Outcome {
    for part in ["man", "completions"].map(|part| folder.join(part)) {
        if part.exists() {
            std::fs::remove_dir_all(part)?;
        }
    }
    let mut make = command("cargo", ["run", "--locked", "--quiet", "--package", "dbal-man"]);
    make.arg("--").arg(absolute(folder)?);
    show(make)
}

fn absolute(folder: &Path) -> std::io::Result<PathBuf> {
    std::path::absolute(folder)
}
