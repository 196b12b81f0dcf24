//! `cargo xtask train`: a release that was told by a run of the bench which of its code is used, so that the compiler lays that out
//! together. A call by itself finds the caches cold, and most of what it takes is to fetch code (docs/performance.md).

mod fit;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::bench::build_generator;
use crate::llvm::{Tools, host};
use crate::run::{SHIPPED, command, install_servers, output, say, show, target};

/// Those that serve calls. The third is for people, who wait for other things.
const TRAINED: [&str; 2] = ["dbal-broker", "dbal-worker"];
/// Every database that the bench can be run on.
const DATABASES: [&str; 3] = ["postgresql", "mariadb", "sqlite"];
/// For each call and number of clients: what is counted is where code goes, not how long it takes.
const SECONDS: &str = "0.5";
/// Of what a call is given only where it goes is counted, not with which values: those are written when a program ends, and a locked-in
/// one may write no file then.
const WITHOUT_VALUES: &str = "-Cllvm-args=-disable-vp";

/// A release whose broker and worker are laid out by what a run of the bench used of them: `target/trained`.
///
/// Builds both twice and runs the bench on PostgreSQL, MariaDB and SQLite in between: two to three times as long as a release, and
/// 4 GB in `target`. Needs rustup's llvm-tools (or Debian's llvm of the compiler's version) and both database servers, which it
/// installs if it can. One that was interrupted is begun again, and what was built stays built. Flags in RUSTFLAGS are kept, those of
/// cargo's configuration are not seen.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What an earlier run has counted (`target/trained/dbal.profdata`), for the same programs again; else the bench is run.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Builds it and says where it is.
pub fn run(arguments: &Arguments) -> Outcome {
    let trained = target().join("trained");
    folder(&trained)?;
    // A run that ends early leaves nothing of an earlier one that could be packed for its own.
    for name in SHIPPED {
        forget(&trained.join(name))?;
    }
    // What may be missing or wrong is told before minutes of building.
    let host = host()?;
    let tools = Tools::find(&host)?;
    match &arguments.profile {
        Some(kept) => drop(fit::counted(&tools, kept)?),
        None => install_servers()?,
    }
    show(command(
        "cargo",
        ["build", "--release", "--locked", "--package", "dbal"],
    ))?;
    let own = target().join("release/dbal");
    let counts = match &arguments.profile {
        Some(kept) => kept.clone(),
        None => count(&tools, &host, &own)?,
    };
    let profile = trained.join("dbal.profdata");
    take(&counts, &profile)?;
    let flags = [
        format!("-Cprofile-use={}", profile.display()),
        WITHOUT_VALUES.to_owned(),
    ];
    let built = build(&trained.join("build"), &host, &flags)?;
    fit::check(&tools, &profile, &TRAINED.map(|name| built.join(name)))?;
    for name in SHIPPED {
        let from = if TRAINED.contains(&name) {
            built.join(name)
        } else {
            own.clone()
        };
        copy(&from, &trained.join(name))?;
    }
    say(&format!(
        "{0}: `DBAL_BINARIES={0} cargo xtask bench` measures them, `cargo xtask deb --binaries {0}` packs them",
        trained.display()
    ));
    Ok(())
}

/// Runs the bench with programs that count, and says where what they counted is.
fn count(tools: &Tools, host: &str, own: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    build_generator()?;
    let training = target().join("training");
    folder(&training)?;
    // The counts are kept in a file that is mapped before the program locks itself in.
    let flags = [
        format!("-Cprofile-generate={}", training.display()),
        "-Cllvm-args=-runtime-counter-relocation".to_owned(),
        WITHOUT_VALUES.to_owned(),
    ];
    let built = build(&training.join("build"), host, &flags)?;
    let counts = training.join("counts");
    if counts.exists() {
        fs::remove_dir_all(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    }
    folder(&counts)?;
    // As for /tmp: the daemons run as users of their own.
    fs::set_permissions(&counts, fs::Permissions::from_mode(0o1777))?;
    let programs = training.join("programs");
    folder(&programs)?;
    copy(own, &programs.join("dbal"))?;
    for name in TRAINED {
        stand_in(&programs.join(name), &built.join(name), &counts)?;
    }
    for database in DATABASES {
        let generator = target().join("release/dbal-bench");
        let mut bench = command(&generator, ["--database", database, "--seconds", SECONDS]);
        bench.env("DBAL_BINARIES", &programs);
        show(bench)?;
    }
    merge(tools, &counts, &training.join("dbal.profdata"))
}

/// A script that starts a program with a place for its counts: `dbal dev` gives the daemons no variable of its own environment.
fn stand_in(at: &Path, program: &Path, counts: &Path) -> Outcome {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let script = format!(
        "#!/bin/sh\nLLVM_PROFILE_FILE='{}/{name}-%p%c.profraw' exec '{}' \"$@\"\n",
        counts.display(),
        program.display()
    );
    fs::write(at, script).map_err(|error| format!("{}: {error}", at.display()))?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn merge(tools: &Tools, counts: &Path, profile: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(counts)? {
        files.push(entry?.path());
    }
    for program in TRAINED {
        let is_its = |file: &&PathBuf| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(program))
        };
        let left = files.iter().filter(is_its).count();
        if left < DATABASES.len() {
            return Err(format!(
                "on {} databases {left} processes of {program} left counts in {}: it can't write there, or did not start",
                DATABASES.len(),
                counts.display()
            )
            .into());
        }
    }
    let mut merge = command(&tools.profdata, ["merge", "--sparse", "-o"]);
    merge.arg(profile).args(&files);
    output(merge)?;
    say(&format!(
        "what {} processes counted: {}",
        files.len(),
        profile.display()
    ));
    Ok(profile.to_owned())
}

/// Puts the counts where the build looks for them, at once. If they are there the file stays as old as it is: cargo builds all anew for a younger one.
fn take(counts: &Path, profile: &Path) -> Outcome {
    let new = fs::read(counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    if fs::read(profile).is_ok_and(|known| known == new) {
        return Ok(());
    }
    let part = profile.with_extension("part");
    fs::write(&part, new).map_err(|error| format!("{}: {error}", part.display()))?;
    fs::rename(part, profile)?;
    Ok(())
}

/// Builds the trained programs with flags of their own. For a named target, so that build scripts and macros don't get them.
fn build(folder: &Path, host: &str, own: &[String]) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let encoded = std::env::var("CARGO_ENCODED_RUSTFLAGS").ok();
    let plain = std::env::var("RUSTFLAGS").ok();
    let flags = joined(encoded.as_deref(), plain.as_deref(), own);
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
        build
            .arg("--target-dir")
            .arg(folder)
            .env("CARGO_ENCODED_RUSTFLAGS", &flags);
        show(build)?;
    }
    Ok(folder.join(host).join("release"))
}

/// The flags that cargo would take from the environment, then our own, in the form in which one may have a blank (a path may).
fn joined(encoded: Option<&str>, plain: Option<&str>, own: &[String]) -> String {
    let given: Vec<&str> = match (encoded, plain) {
        (Some(encoded), _) => encoded.split('\x1f').filter(|flag| !flag.is_empty()).collect(),
        (None, plain) => plain.unwrap_or_default().split_whitespace().collect(),
    };
    let all = given.into_iter().chain(own.iter().map(String::as_str));
    all.collect::<Vec<_>>().join("\x1f")
}

fn folder(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Not over what is there: a program that still runs can't be written.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    forget(to)?;
    let copied = fs::copy(from, to);
    copied.map_or_else(
        |error| Err(format!("{} to {}: {error}", from.display(), to.display())),
        |_| Ok(()),
    )
}

fn forget(file: &Path) -> Result<(), String> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn a_builders_own_flags_stay_in_the_order_in_which_cargo_would_take_them() {
        let own = ["-Cprofile-use=/a folder/p".to_owned()];
        let told = |encoded, plain| joined(encoded, plain, &own);
        assert_eq!(told(None, None), "-Cprofile-use=/a folder/p");
        assert_eq!(
            told(None, Some("-Ctarget-cpu=native  -g")),
            "-Ctarget-cpu=native\x1f-g\x1f-Cprofile-use=/a folder/p"
        );
        assert_eq!(
            told(Some("-Cx=a b"), Some("-g")),
            "-Cx=a b\x1f-Cprofile-use=/a folder/p"
        );
        assert_eq!(told(Some(""), None), "-Cprofile-use=/a folder/p");
    }
}
