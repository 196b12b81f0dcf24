//! `cargo xtask seccomp-record`: runs the end-to-end tests with every system call of both daemons written down, and holds what they made
//! against the lists: what a list lacks, and what on it nobody used.
//!
//! strace(1) writes, from outside. It also answers the last `seccomp` call of each daemon itself, the one that loads the filter that
//! kills: so a call that the list lacks is written down, and the daemon goes on to the next one. All else of the sandbox holds, and
//! no daemon has a switch for it.

mod trace;
mod tally;
mod report;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use dbal_sandbox::Profile;
use dbal_sandbox::filters;

use crate::Outcome;
use crate::run::{SHIPPED, build_shipped, command, needed, say, target};
use crate::test;
use tally::Tally;

/// The daemons that are recorded.
pub(super) const DAEMONS: [&str; 2] = ["dbal-broker", "dbal-worker"];
/// Tests that look for text in the daemons' binaries, which are scripts here, or that measure time or memory.
const LEFT_OUT: [&str; 4] = [
    "nothing_in_the_exposed_process_leads_to",
    "are_not_resident_for_ever",
    "stays_within",
    "in_two_seconds",
];
/// How long a daemon that was killed may take until its last line is written.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Hold every system call of both daemons in the end-to-end tests against their lists.
///
/// A partial run can't tell what is never used, and doesn't fail for it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names of tests, or parts of names; all if none is given.
    tests: Vec<String>,
}

/// Records the tests that the arguments name, or all.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { tests: named } = arguments;
    needed("strace", "strace")?;
    // Who asks for a few tests wants an answer, and not another compiler first.
    let clients = if named.is_empty() {
        test::fetch()?
    } else {
        target().join("clients")
    };
    build_shipped(&[])?;
    let folder = target().join("seccomp-record");
    let _ = fs::remove_dir_all(&folder);
    prepare(&folder)?;
    let mut tests = command(
        "cargo",
        [
            "test",
            "--locked",
            "--package",
            "dbal-tests",
            "--no-fail-fast",
            "--",
            "--test-threads=2",
        ],
    );
    for name in LEFT_OUT {
        tests.args(["--skip", name]);
    }
    tests
        .args(named)
        .env("DBAL_BINARIES", folder.join("bin").canonicalize()?)
        .env("DBAL_CLIENTS", clients);
    say("cargo test --package dbal-tests, each daemon under strace");
    let began = Instant::now();
    // Tests with a clock in them may fail under strace: they are told, and what they made counts all the same.
    let status = tests.status()?;
    let traces = folder.join("traces");
    wait_for_the_last_line(&traces)?;
    let tally = Tally::read(&traces)?;
    let size = trace::size(&traces)?;
    if tally.of.values().all(|seen| seen.lacking.is_empty()) {
        fs::remove_dir_all(&traces)?;
    } else {
        say(&format!(
            "a call is on no line, so the traces stay: {}",
            traces.display()
        ));
    }
    say(&format!(
        "recorded in {:.0} s ({} MB of calls){}",
        began.elapsed().as_secs_f64(),
        size / 1_000_000,
        if status.success() {
            ""
        } else {
            "; SOME TESTS FAILED, see above: what they would have gone on to do is not here"
        }
    ));
    let findings = report::print(&tally, named.is_empty());
    if findings == 0 {
        Ok(())
    } else {
        Err(format!("{findings} findings").into())
    }
}

/// A folder of binaries for the tests in which the daemons are scripts that start the real ones under strace.
fn prepare(folder: &Path) -> Outcome {
    for name in ["bin", "real", "traces"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let folder = folder.canonicalize()?;
    // Everyone may: a daemon may be started as a user of its own, and strace with it.
    fs::set_permissions(folder.join("traces"), Permissions::from_mode(0o1777))?;
    for name in SHIPPED {
        let built = target().join("debug").join(name);
        if !DAEMONS.contains(&name) {
            // Not a link: it looks for the daemons beside the file that it is.
            fs::copy(built, folder.join("bin").join(name))?;
            continue;
        }
        fs::copy(built, folder.join("real").join(name))?;
        let script = folder.join("bin").join(name);
        fs::write(&script, wrapper(&folder, name)?)?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `-DD`: the daemon stays the child of whoever started it, and a signal to their group does not end strace. `-ff`: a file for each thread. Raw arguments: they are compared, not read.
/// `PWD` is the shell's own, which no daemon is told.
fn wrapper(folder: &Path, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let profile = match name {
        "dbal-broker" => Profile::Broker,
        _ => Profile::Worker { network: true },
    };
    let kills = filters::compile_starting()?.count() + filters::compile(profile)?.count();
    let folder = folder.display();
    Ok(format!(
        "#!/bin/sh\nunset PWD\nexec strace -DD -ff -q -e raw=all -e inject=seccomp:retval=0:when={kills} \
         -o {folder}/traces/{name}.$$ {folder}/real/{name} \"$@\"\n"
    ))
}

/// Each thread's file ends with a line that says so.
fn wait_for_the_last_line(traces: &Path) -> Outcome {
    let until = Instant::now() + ENDS_WITHIN;
    loop {
        let open = trace::unended(traces)?;
        if open.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            say(&format!("{} traces have no end: {open:?}", open.len()));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
