//! Whether a profile is of the programs that were built by it. The compiler says nothing about a function that it does not find in there,
//! and takes it for one that is never used: by a profile of other programs it lays out everything for the worse.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::llvm::Tools;
use crate::run::{command, output, say};

/// Of the functions that were counted so many are in the programs, in percent. Of their own profile two thirds are (the others have become
/// part of those that call them), of that of the same source with other settings of the release less than one.
const AT_LEAST: usize = 25;

/// The functions that were counted, by the linker's names; fails for a file that is no profile, or of another version of LLVM.
pub(super) fn counted(tools: &Tools, profile: &Path) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let profile = profile
        .canonicalize()
        .map_err(|error| format!("{}: {error}", profile.display()))?;
    let mut show = command(&tools.profdata, ["show", "--all-functions"]);
    show.arg(&profile);
    let functions = functions(&output(show)?);
    if functions.is_empty() {
        return Err(format!("nothing was counted in {}", profile.display()).into());
    }
    Ok(functions)
}

/// Fails unless the programs have enough of what was counted.
pub(super) fn check(tools: &Tools, profile: &Path, programs: &[PathBuf]) -> Outcome {
    let counted = counted(tools, profile)?;
    let mut there = BTreeSet::new();
    for program in programs {
        let program = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
        there.extend(found(&counted, &program));
    }
    let told = format!(
        "of {} functions that were counted {} are in the programs",
        counted.len(),
        there.len()
    );
    if there.len().saturating_mul(100) < counted.len().saturating_mul(AT_LEAST) {
        return Err(format!(
            "{told}: {} is of others (another compiler, Cargo.lock or setting of the release), or these have no symbols. \
             `cargo xtask train` without --profile counts anew",
            profile.display()
        )
        .into());
    }
    say(&told);
    Ok(())
}

/// Of llvm-profdata's page the lines `  NAME:`, or `  FILE;NAME:` for a function that only one file knows.
fn functions(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| !name.starts_with(' '))
        .filter_map(|name| name.rsplit(';').next())
        .map(str::to_owned)
        .collect()
}

/// Those of them whose names are in a program: the names of its symbols end with a zero each.
fn found<'a>(counted: &'a BTreeSet<String>, program: &[u8]) -> Vec<&'a String> {
    program
        .split(|byte| *byte == 0)
        .filter_map(|name| counted.get(std::str::from_utf8(name).ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{found, functions};

    const PAGE: &str = "\
Counters:
  hyper.65-cgu.0;_ZN4next17h1aE:
    Hash: 0x014c19c9e83c3152
    Counters: 6
  _ZN11dbal_broker4read17h10E:
    Hash: 0x05e1875a5612a78f
    Counters: 41
Instrumentation level: IR  entry_first = 0
Functions shown: 2
";

    #[test]
    fn functions_are_read_as_llvm_writes_them_and_looked_for_among_symbols() {
        let counted = functions(PAGE);
        let names: Vec<&str> = counted.iter().map(String::as_str).collect();
        assert_eq!(names, ["_ZN11dbal_broker4read17h10E", "_ZN4next17h1aE"]);
        let program = b"\x7fELF\xff\0_ZN11dbal_broker4read17h10E\0_ZN4next17h1bE\0";
        assert_eq!(found(&counted, program), ["_ZN11dbal_broker4read17h10E"]);
    }
}
