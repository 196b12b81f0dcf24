//! Where the programs under test are: beside the test, or where `DBAL_BINARIES` says.

use std::path::PathBuf;
use std::process::Command;

/// The path of one of our programs. Panics, and says what to do, when nobody has built it.
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("DBAL_BINARIES").map_or_else(beside_the_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` builds it first",
        path.display()
    );
    path
}

/// A command that runs one of our programs.
pub fn command(name: &str) -> Command {
    Command::new(path(name))
}

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Tests run from `target/<profile>/deps`, the programs lie one folder up.
fn beside_the_test() -> PathBuf {
    let mut folder = std::env::current_exe().expect("a running test has a path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}
