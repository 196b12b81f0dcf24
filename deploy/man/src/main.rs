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
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbal-man: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), PageError> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err(PageError::Usage);
    };
    write(Path::new(&folder))
}

fn write(folder: &Path) -> Result<(), PageError> {
    command::write(folder)?;
    configuration::write(folder)
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Needs man-db, of which `cargo xtask test` takes care; lintian asks in the same way.
    #[test]
    fn each_program_has_a_page_that_formats_without_a_warning_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let mut pages = Vec::new();
        for section in ["man1", "man5", "man8"] {
            for entry in std::fs::read_dir(folder.path().join("man").join(section)).unwrap() {
                let page = entry.unwrap().path();
                let told = Command::new("man")
                    .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
                    .arg(&page)
                    .env("MANROFFSEQ", "")
                    .env("MANWIDTH", "80")
                    .output()
                    .unwrap_or_else(|error| panic!("man: {error}; apt-get install man-db"));
                let warnings = String::from_utf8_lossy(&told.stderr);
                assert!(
                    told.status.success() && warnings.is_empty() && !told.stdout.is_empty(),
                    "{}: {warnings}",
                    page.display()
                );
                pages.push(page.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        for page in [
            "dbal.1",
            "dbal-config-encrypt.1",
            "dbal-broker.8",
            "dbal-worker.8",
            "broker.yaml.5",
            "worker.yaml.5",
        ] {
            assert!(pages.iter().any(|made| made == page), "no {page} in {pages:?}");
        }
        for completion in [
            "dbal.bash",
            "_dbal",
            "dbal.fish",
            "dbal-broker.bash",
            "dbal-worker.bash",
        ] {
            let text = std::fs::read_to_string(folder.path().join("completions").join(completion)).unwrap();
            assert!(text.contains("dbal"), "{completion}: {text}");
        }
    }
}
