//! `cargo xtask bench`: the load generator, in release, beside binaries of the same kind.

use crate::Outcome;
use crate::run::{build_shipped, command, show, target};

/// The generator's own command line, read here as well: its help and its mistakes come before anything is built.
#[path = "../../bench/src/arguments.rs"]
mod arguments;

pub use arguments::Arguments;

/// Builds the shipped binaries and the generator in release and runs it with the arguments of this process.
pub fn run(_: &Arguments) -> Outcome {
    build_shipped(&["--release"])?;
    show(command(
        "cargo",
        ["build", "--release", "--locked", "--package", "dbal-bench"],
    ))?;
    let own = std::env::args()
        .skip(1)
        .skip_while(|word| word != "bench")
        .skip(1);
    let mut bench = command(&target().join("release/dbal-bench").to_string_lossy(), own);
    bench.env("DBAL_BINARIES", target().join("release").canonicalize()?);
    show(bench)
}
