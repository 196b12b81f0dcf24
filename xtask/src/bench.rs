//! `cargo xtask bench`: the load generator, in release, beside binaries of the same kind.

use std::path::PathBuf;

use crate::Outcome;
use crate::run::{build_shipped, command, show, target};

/// The generator's own command line, read here as well: its help and its mistakes come before anything is built.
#[path = "../../bench/src/arguments.rs"]
mod arguments;

pub use arguments::Arguments;

/// Builds the generator in release, and the shipped binaries unless `DBAL_BINARIES` says where some are, and runs it with the
/// arguments of this process.
pub fn run(_: &Arguments) -> Outcome {
    let binaries = match std::env::var_os("DBAL_BINARIES") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            folder
                .canonicalize()
                .map_err(|error| format!("DBAL_BINARIES={}: {error}", folder.display()))?
        }
        None => {
            build_shipped(&["--release"])?;
            target().join("release").canonicalize()?
        }
    };
    build_generator()?;
    let own = std::env::args()
        .skip(1)
        .skip_while(|word| word != "bench")
        .skip(1);
    let mut bench = command(target().join("release/dbal-bench"), own);
    bench.env("DBAL_BINARIES", binaries);
    show(bench)
}

/// Builds the load generator in release.
pub fn build_generator() -> Outcome {
    show(command(
        "cargo",
        ["build", "--release", "--locked", "--package", "dbal-bench"],
    ))
}
