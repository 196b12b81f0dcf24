//! Writes manual pages and shell completions from what the binaries themselves say of their command lines, so that they can't
//! be out of date: `cargo xtask man`, and for a package.
#![forbid(unsafe_code)]

mod command;
mod configuration;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why a page is not written.
#[derive(Debug, thiserror::Error)]
enum PageError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The page of the configuration that examples are taken from.
    #[error("docs/config.md has no YAML under `{0}`, which a manual page shows")]
    NoExample(&'static str),
    /// The command line of this program.
    #[error("usage: dbal-man FOLDER; it gets man/man1, man5, man8 and completions/")]
    Usage,
}

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbal-man: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), PageError> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err(PageError::Usage);
    };
    let folder = PathBuf::from(folder);
    command::write(&folder)?;
    configuration::write(&folder)
}

/// A folder that is there afterwards.
fn made(folder: PathBuf) -> Result<PathBuf, PageError> {
    std::fs::create_dir_all(&folder).map_err(|source| PageError::File {
        path: folder.clone(),
        source,
    })?;
    Ok(folder)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> PageError {
    let path = path.to_owned();
    |source| PageError::File { path, source }
}
