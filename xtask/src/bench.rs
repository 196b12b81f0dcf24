//! `cargo xtask bench`: the load generator, in release, beside binaries of the same kind.

use crate::Outcome;
use crate::run::{build_shipped, command, show, target};

/// Builds the shipped binaries and the generator in release and runs it; arguments go to it.
pub fn run(arguments: &[String]) -> Outcome {
    build_shipped(&["--release"])?;
    show(command(
        "cargo",
        ["build", "--release", "--locked", "--package", "dbal-bench"],
    ))?;
    let mut bench = command(&target().join("release/dbal-bench").to_string_lossy(), arguments);
    bench.env("DBAL_BINARIES", target().join("release").canonicalize()?);
    show(bench)
}
