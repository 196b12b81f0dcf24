//! Runs commands from the workspace's root, saying what and how long.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Outcome;

/// The binaries that we ship, each built for itself: a workspace build would unify their features.
pub const SHIPPED: [&str; 3] = ["dbal-broker", "dbal-worker", "dbal"];

/// The workspace's root.
pub fn root() -> PathBuf {
    // Not `join("..")`: the path is shown to people.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Where cargo puts what it builds: it is started in the root, so a relative `CARGO_TARGET_DIR` is meant from there.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Prints a line that stands out between cargo's own.
pub fn say(text: &str) {
    println!("==> {text}");
}

/// A command that runs in the root.
pub fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    // What `cargo run` has set for this program. ring's build script watches these names: with them, a build by xtask and one by
    // hand would each build ring, rustls and all above them anew.
    for (name, _) in std::env::vars_os() {
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_ours {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it, showing what it says; fails when it fails.
pub fn show(mut command: Command) -> Outcome {
    let line = shown(&command);
    say(&line);
    let began = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("`{line}` could not start: {error}"))?;
    if status.success() {
        println!("    done in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    } else {
        Err(format!("`{line}` failed: {status}").into())
    }
}

/// Runs it silently and gives what it wrote to stdout.
pub fn output(mut command: Command) -> Result<String, Box<dyn std::error::Error>> {
    let line = shown(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`{line}`: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("`{line}` failed: {}", output.status).into())
    }
}

/// Whether a program can be started at all.
pub fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Installs the database servers that tests and bench start for themselves, unless they are there; none of the system's is needed.
pub fn install_servers() -> Result<(), String> {
    let servers = [
        ("postgresql", "postgres", "/usr/lib/postgresql"),
        ("mariadb-server", "mariadbd", "/usr/sbin/mariadbd"),
    ];
    for (package, program, place) in servers {
        let is_here = || is_there(program) || Path::new(place).exists();
        if !is_here() {
            install_debian(&[package]);
        }
        if !is_here() {
            return Err(format!("{program} is missing: apt-get install {package}"));
        }
    }
    Ok(())
}

/// Installs Debian's packages; says so if that fails, and leaves it to who needs them to look.
pub fn install_debian(packages: &[&str]) {
    let installed = show(command("apt-get", ["update", "-qq"])).and_then(|()| {
        show(command(
            "apt-get",
            ["install", "-qq", "-y", "--no-install-recommends"]
                .iter()
                .chain(packages),
        ))
    });
    if let Err(error) = installed {
        say(&format!("WARNING: {error}"));
    }
}

/// Whether a program is there; in CI it is installed if it is not. Else what to do about it.
pub fn needed(program: &str, package: &str) -> Result<(), String> {
    if !is_there(program) && std::env::var_os("CI").is_some() {
        install_debian(&[package]);
    }
    if is_there(program) {
        Ok(())
    } else {
        Err(format!(
            "{program} is missing, so nothing was checked: apt-get install {package}"
        ))
    }
}

/// Builds the shipped binaries, one after another.
pub fn build_shipped(profile: &[&str]) -> Outcome {
    for package in SHIPPED {
        let mut arguments = vec!["build", "--locked", "--package", package];
        arguments.extend(profile);
        show(command("cargo", arguments))?;
    }
    Ok(())
}

/// Builds them with one call of cargo: what they share is compiled once, with the features that any of them asks for. For a look,
/// not for others: a fifth less to compile, and a broker with features that it does not ask for.
pub fn build_together() -> Outcome {
    let packages = SHIPPED.iter().flat_map(|package| ["--package", package]);
    show(command(
        "cargo",
        ["build", "--locked"].into_iter().chain(packages),
    ))
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
