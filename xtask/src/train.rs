//! `cargo xtask train`: a release that was told by a run of the bench which of its code is used, so that the compiler lays that out
//! together. A call by itself finds the caches cold, and most of what it takes is to fetch code (docs/performance.md).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::bench::build_generator;
use crate::llvm::{Tools, host};
use crate::run::{SHIPPED, command, output, say, show, target};

/// Those that serve calls. The third is for people, who wait for other things.
const TRAINED: [&str; 2] = ["dbal-broker", "dbal-worker"];
/// Every database that the bench can be run on.
const DATABASES: [&str; 3] = ["postgresql", "mariadb", "sqlite"];
/// For each call and number of clients: what is counted is where code goes, not how long it takes.
const SECONDS: &str = "0.5";
/// Of what a call is given only where it goes is counted, not with which values: those are written when a program ends, and a locked-in
/// one may write no file then.
const WITHOUT_VALUES: &str = "-Cllvm-args=-disable-vp";

/// A release whose broker and worker are laid out by what a run of the bench used of them: `target/trained`. Builds both twice.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What an earlier run has counted (`target/trained/dbal.profdata`), for the same programs again; else the bench is run.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Builds it and says where it is.
pub fn run(arguments: &Arguments) -> Outcome {
    let host = host()?;
    let trained = target().join("trained");
    fs::create_dir_all(&trained)?;
    let trained = trained.canonicalize()?;
    let profile = trained.join("dbal.profdata");
    show(command(
        "cargo",
        ["build", "--release", "--locked", "--package", "dbal"],
    ))?;
    let own = target().join("release/dbal");
    match &arguments.profile {
        Some(kept) => {
            if kept.canonicalize()? != profile {
                fs::copy(kept, &profile)?;
            }
        }
        None => count(&host, &own, &profile)?,
    }
    let flags = format!("-Cprofile-use={} {WITHOUT_VALUES}", profile.display());
    let built = build(&trained.join("build"), &host, &flags)?;
    for name in SHIPPED {
        let from = if TRAINED.contains(&name) {
            built.join(name)
        } else {
            own.clone()
        };
        fs::copy(from, trained.join(name))?;
    }
    say(&format!(
        "{0}: `DBAL_BINARIES={0} cargo xtask bench` measures them, `cargo xtask deb --binaries {0}` packs them",
        trained.display()
    ));
    Ok(())
}

/// Runs the bench with programs that count.
fn count(host: &str, own: &Path, profile: &Path) -> Outcome {
    let tools = Tools::find(host)?;
    build_generator()?;
    let folder = target().join("training");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    // The counts are kept in a file that is mapped before the program locks itself in.
    let counting = format!(
        "-Cprofile-generate={} -Cllvm-args=-runtime-counter-relocation {WITHOUT_VALUES}",
        folder.display()
    );
    let built = build(&folder.join("build"), host, &counting)?;
    let counts = folder.join("counts");
    if counts.exists() {
        fs::remove_dir_all(&counts)?;
    }
    fs::create_dir(&counts)?;
    // As for /tmp: the daemons run as users of their own.
    fs::set_permissions(&counts, fs::Permissions::from_mode(0o1777))?;
    let programs = folder.join("programs");
    fs::create_dir_all(&programs)?;
    fs::copy(own, programs.join("dbal"))?;
    for name in TRAINED {
        stand_in(&programs.join(name), &built.join(name), &counts)?;
    }
    for database in DATABASES {
        let generator = target().join("release/dbal-bench");
        let mut bench = command(
            &generator.to_string_lossy(),
            ["--database", database, "--seconds", SECONDS],
        );
        bench.env("DBAL_BINARIES", &programs);
        show(bench)?;
    }
    merge(&tools, &counts, profile)
}

/// A script that starts a program with a place for its counts: `dbal dev` gives the daemons no variable of its own environment.
fn stand_in(at: &Path, program: &Path, counts: &Path) -> Outcome {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let script = format!(
        "#!/bin/sh\nLLVM_PROFILE_FILE='{}/{name}-%p%c.profraw' exec '{}' \"$@\"\n",
        counts.display(),
        program.display()
    );
    fs::write(at, script)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn merge(tools: &Tools, counts: &Path, profile: &Path) -> Outcome {
    let mut merge = command(&tools.profdata.to_string_lossy(), ["merge", "--sparse", "-o"]);
    merge.arg(profile);
    let mut found = 0_usize;
    for entry in fs::read_dir(counts)? {
        merge.arg(entry?.path());
        found = found.saturating_add(1);
    }
    // Two programs on three databases.
    if found < TRAINED.len().saturating_mul(DATABASES.len()) {
        return Err(format!(
            "{found} programs left counts in {}: they can't write there, or did not start",
            counts.display()
        )
        .into());
    }
    output(merge)?;
    say(&format!("what {found} processes counted: {}", profile.display()));
    Ok(())
}

/// Builds the trained programs with flags of their own. For a named target, so that build scripts and macros don't get them.
fn build(folder: &Path, host: &str, flags: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    for package in TRAINED {
        let mut build: Command = command(
            "cargo",
            [
                "build",
                "--release",
                "--locked",
                "--target",
                host,
                "--package",
                package,
            ],
        );
        build.arg("--target-dir").arg(folder).env("RUSTFLAGS", flags);
        show(build)?;
    }
    Ok(folder.join(host).join("release"))
}
