//! `kill -9` at any moment, rotations and removals included: what was acknowledged is there, and the chain is whole.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test starts itself as the process that is killed"
)]

use std::collections::HashSet;
use std::env;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use dbal_audit::{Durability, Event, Journal, Outcome, Record, Signer, Terms, verify};
use tempfile::TempDir;

const FOLDER: &str = "DBAL_AUDIT_KILLED_FOLDER";
const ROUNDS: u32 = 60;

/// A process that is being started holds the locks of all that is open here until it has become another program: none may be started
/// by one test while another has a journal open.
fn alone() -> MutexGuard<'static, ()> {
    static STARTING: Mutex<()> = Mutex::new(());
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes on in the journal as the next worker would, and ends.
fn reopen(dir: &Path, keep_files: Option<usize>) {
    let _alone = alone();
    drop(open(dir, keep_files));
}

fn open(dir: &Path, keep_files: Option<usize>) -> Journal {
    let signer = Signer::new(&"1f".repeat(32)).unwrap();
    let journal = Journal::open(dir, Durability::Interval).unwrap();
    journal.signed_by(signer, 7).under(Terms {
        bytes: Some(2_000),
        keep_files,
        ..Terms::default()
    })
}

/// Not a test of its own: what the other test kills. Without the folder there is nothing to do.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = env::var_os(FOLDER) else { return };
    let keep_files = env::var("KEEP").ok().map(|keep| keep.parse().unwrap());
    let journal = open(Path::new(&dir), keep_files);
    let first: u64 = env::var("FIRST").unwrap().parse().unwrap();
    let mut out = std::io::stderr();
    for number in first.. {
        journal
            .append(&Record {
                keys: &[format!("n{number}")],
                ..Record::new(0, Event::Call, Outcome::Allowed)
            })
            .unwrap();
        journal.flush().unwrap();
        // Acknowledged.
        writeln!(out, "n{number};").unwrap();
        if number.is_multiple_of(3) {
            journal.tend().unwrap();
            // Else a fast machine writes more in a round than this test can look through.
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Lets the other test write for some milliseconds, kills it, and returns the number that it acknowledged last.
fn write_and_kill(dir: &Path, first: u64, round: u32, keep: Option<&str>) -> Option<u64> {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "writes_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, dir)
        .env("FIRST", first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(keep) = keep {
        command.env("KEEP", keep);
    }
    let mut child = {
        let _alone = alone();
        command.spawn().unwrap()
    };
    let mut told = child.stderr.take().unwrap();
    let (tell, begun) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut text = vec![0; 16];
        told.read_exact(&mut text).unwrap_or_default();
        // Nobody listens where it is not waited for.
        let _ = tell.send(());
        told.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    // Another moment in each round: after its first words, or while it starts.
    if round % 4 == 3 {
        std::thread::sleep(Duration::from_millis(20));
    } else {
        let _ = begun.recv_timeout(Duration::from_secs(10));
    }
    std::thread::sleep(Duration::from_micros(600).saturating_mul(round));
    child.kill().unwrap();
    child.wait().unwrap();
    let text = reading.join().unwrap();
    assert!(!text.contains("panicked"), "{text}");
    let whole = text.rsplit_once(';')?.0;
    whole.rsplit('n').next()?.parse().ok()
}

fn texts(dir: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn killed_at_any_moment_no_acknowledged_record_is_missing_and_the_chain_is_whole() {
    let dir = TempDir::new().unwrap();
    let mut acknowledged = 0;
    let mut first = 1;
    for round in 0..ROUNDS {
        let Some(last) = write_and_kill(dir.path(), first, round, None) else {
            continue;
        };
        acknowledged += last + 1 - first;
        // Whether the one that it was about to write is there nobody knows.
        reopen(dir.path(), None);
        verify(dir.path()).unwrap();
        let text = texts(dir.path());
        let keys = text
            .split("\"n")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        let written: HashSet<u64> = keys.filter_map(|key| key.parse().ok()).collect();
        for number in first..=last {
            assert!(written.contains(&number), "n{number} in round {round}");
        }
        first = last + 2;
    }
    let verified = verify(dir.path()).unwrap();
    assert!(acknowledged > 100, "{acknowledged}");
    assert!(verified.files > 20, "{verified:?}");
    assert!(verified.records >= acknowledged, "{verified:?}");
}

#[test]
fn killed_in_the_middle_of_removals_the_rest_verifies() {
    let dir = TempDir::new().unwrap();
    let mut first = 1;
    for round in 0..ROUNDS {
        if let Some(last) = write_and_kill(dir.path(), first, round, Some("3")) {
            first = last + 2;
            reopen(dir.path(), Some(3));
            verify(dir.path()).unwrap();
        }
    }
    assert!(verify(dir.path()).unwrap().first > 1);
}
