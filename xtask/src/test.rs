//! `cargo xtask test`: everything, with what it needs fetched first.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::mysql;
use crate::run::{
    build_shipped, command, install_debian, install_servers, is_there, root, say, show, target,
};

const BRIDGE: &str = "clients/prisma-bridge";
const TYPESCRIPT: &str = "clients/typescript";

/// Build the binaries, fetch the foreign clients and servers, run every test.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// For `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Runs every test of the workspace, doc tests included. `CI=true` makes a missing foreign client an error.
pub fn run(arguments: &Arguments) -> Outcome {
    let arguments = &arguments.more;
    let clients = fetch()?;
    build_shipped(&[])?;
    let mut tests = command("cargo", ["test", "--workspace", "--locked", "--no-fail-fast"]);
    tests.args(arguments).env("DBAL_CLIENTS", clients);
    let (ran, failed) = counted(tests)?;
    say(&format!("{ran} tests passed, {failed} failed"));
    if ran == 0 && arguments.is_empty() {
        return Err("not one test ran".into());
    }
    if arguments.is_empty() {
        test_bridge()?;
        test_typescript()?;
    }
    Ok(())
}

/// Fetches what the tests use beside our own programs, and says where the foreign clients are (`DBAL_CLIENTS`).
pub fn fetch() -> Result<PathBuf, Box<dyn Error>> {
    let is_ci = std::env::var_os("CI").is_some();
    let missed = |missing: String| {
        if is_ci {
            return Err(missing);
        }
        say(&format!("WARNING: {missing}; its tests will fail"));
        Ok(())
    };
    let clients = target().join("clients");
    for missing in fetch_clients(&clients) {
        missed(missing)?;
    }
    if let Err(missing) = install_servers() {
        missed(missing)?;
    }
    if !is_there("man") {
        install_debian(&["man-db"]);
    }
    if let Err(error) = mysql::fetch() {
        missed(format!("MySQL could not be had: {error}"))?;
    }
    fetch_bridge()?;
    build_typescript()?;
    Ok(clients.canonicalize()?)
}

/// `clients/prisma-bridge` on a real Prisma client and a PostgreSQL of its own.
fn test_bridge() -> Outcome {
    if !Path::new("/usr/lib/postgresql").exists() {
        install_debian(&["postgresql"]);
    }
    show(npm(BRIDGE, &["--silent", "test"]))
}

/// `clients/typescript` and its tests, which the compiler judges.
fn build_typescript() -> Outcome {
    if !root().join(TYPESCRIPT).join("node_modules/typescript").exists() {
        show(npm(TYPESCRIPT, &["ci", "--no-audit", "--no-fund", "--silent"]))?;
    }
    show(npm(TYPESCRIPT, &["run", "--silent", "pretest"]))
}

/// `clients/typescript` with daemons of its own.
fn test_typescript() -> Outcome {
    let mut test = npm(TYPESCRIPT, &["--silent", "test"]);
    test.env("DBAL_BINARIES", target().canonicalize()?.join("debug"));
    show(test)
}

/// Prisma and the client that it generates: the worker's tests start the bridge, too.
fn fetch_bridge() -> Outcome {
    if root()
        .join(BRIDGE)
        .join("node_modules/.prisma/client/index.js")
        .exists()
    {
        return Ok(());
    }
    show(npm(BRIDGE, &["ci", "--no-audit", "--no-fund", "--silent"]))?;
    let mut generate = npm(BRIDGE, &["run", "--silent", "generate"]);
    // Prisma would download a program that it needs for migrations only.
    generate.env("PRISMA_SCHEMA_ENGINE_BINARY", "/bin/true");
    show(generate)
}

fn npm(package: &str, arguments: &[&str]) -> Command {
    let mut npm = command("npm", arguments.iter().copied());
    npm.current_dir(root().join(package));
    npm
}

/// Node's `ws`, Python's `websockets` and websocat, into a folder of ours; returns what could not be had.
fn fetch_clients(folder: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    if let Err(error) = std::fs::create_dir_all(folder) {
        return vec![format!("{} can't be made: {error}", folder.display())];
    }
    if !is_there("node") || !is_there("npm") {
        install_debian(&["nodejs", "npm"]);
    }
    if !is_there("python3") {
        install_debian(&["python3", "python3-pip"]);
    }
    let manifest = root().join("tests/clients");
    if !folder.join("node_modules/ws/package.json").exists() {
        let copied = std::fs::copy(manifest.join("package.json"), folder.join("package.json"));
        let mut npm = command(
            "npm",
            ["install", "--no-audit", "--no-fund", "--silent", "--prefix"],
        );
        npm.arg(folder);
        if copied.is_err() || show(npm).is_err() {
            missing.push("Node's `ws` could not be installed".to_owned());
        }
    }
    if !folder.join("python/websockets").exists() {
        let mut pip = command("python3", ["-m", "pip", "install", "--quiet", "--target"]);
        pip.arg(folder.join("python"))
            .arg("--requirement")
            .arg(manifest.join("requirements.txt"));
        if show(pip).is_err() {
            missing.push("Python's `websockets` could not be installed".to_owned());
        }
    }
    if !folder.join("websocat/bin/websocat").exists() {
        if !is_there("pkg-config") || show(command("pkg-config", ["--exists", "openssl"])).is_err() {
            install_debian(&["pkg-config", "libssl-dev"]);
        }
        let mut cargo = command(
            "cargo",
            [
                "install",
                "websocat",
                "--version",
                "1.14.1",
                "--locked",
                "--quiet",
                "--root",
            ],
        );
        cargo.arg(folder.join("websocat"));
        if show(cargo).is_err() {
            missing.push("websocat could not be built".to_owned());
        }
    }
    missing
}

/// Runs cargo test, shows its lines as they come and adds up its own counts.
fn counted(mut tests: Command) -> Result<(u64, u64), Box<dyn Error>> {
    say("cargo test --workspace");
    let mut child = tests.stdout(Stdio::piped()).spawn()?;
    let (mut passed, mut failed) = (0, 0);
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(counts) = line.strip_prefix("test result: ") {
                passed += count(counts, " passed");
                failed += count(counts, " failed");
            }
            println!("{line}");
        }
    }
    if child.wait()?.success() {
        Ok((passed, failed))
    } else {
        Err(format!("{passed} tests passed, {failed} failed").into())
    }
}

/// The number before `what` in a line such as `ok. 12 passed; 0 failed; 0 ignored`.
fn count(line: &str, what: &str) -> u64 {
    line.split(what)
        .next()
        .and_then(|before| before.rsplit([' ', ';']).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn cargos_own_counts_are_read_from_its_line() {
        let line = "ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!((count(line, " passed"), count(line, " failed")), (12, 3));
    }
}
