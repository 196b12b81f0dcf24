//! `dbal audit` on trails that are sound, cut, changed and growing.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dbal_audit::{Durability, Event, Journal, Outcome, Record, Signer, Terms};
use serde_json::Value;
use tempfile::TempDir;

/// 2023-11-14T22:13:20Z.
const BEGIN_NS: i64 = 1_700_000_000_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const FIRST: &str = "audit-00000000000000000001.jsonl";

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbal"));
    command.arg("audit").args(arguments).current_dir(folder);
    command
}

fn dbal(arguments: &[&str], folder: &Path) -> Output {
    command(arguments, folder).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn append(journal: &Journal, number: i64, principal: &str, outcome: Outcome) {
    journal
        .append(&Record {
            principal: Some(principal),
            entity: Some("Note"),
            method: Some("update"),
            keys: &[format!("n{number}")],
            remote: Some("127.0.0.1:40000"),
            ..Record::new(
                BEGIN_NS.saturating_add(MINUTE_NS.saturating_mul(number)),
                Event::Call,
                outcome,
            )
        })
        .unwrap();
}

/// Six records in files of two or so, a minute apart; alice's allowed, mallory's denied.
fn trail() -> TempDir {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(&dir.path().join("audit"), Durability::Interval)
        .unwrap()
        .under(Terms {
            bytes: Some(600),
            ..Terms::default()
        });
    for number in 0..6 {
        if number % 3 == 2 {
            append(&journal, number, "=mallory\u{1b}[2J", Outcome::Denied);
        } else {
            append(&journal, number, "alice", Outcome::Allowed);
        }
        journal.flush().unwrap();
        journal.tend().unwrap();
    }
    dir
}

#[test]
fn who_reads_only_the_beginning_breaks_no_command() {
    let dir = trail();
    let journal = Journal::open(&dir.path().join("audit"), Durability::Interval).unwrap();
    for number in 0..5_000 {
        append(&journal, number, "alice", Outcome::Allowed);
    }
    drop(journal);
    for arguments in [
        &["verify", "audit"][..],
        &["search", "audit"],
        &["export", "audit"],
        &["export", "audit", "--format", "csv"],
        &["tail", "audit", "-n", "5000"],
        &["tail", "audit", "-n", "5000", "-f"],
    ] {
        let mut child = command(arguments, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // For `verify`, which prints less than a pipe holds, nobody reads at all.
        let mut reader = child.stdout.take().unwrap();
        if arguments != ["verify", "audit"] {
            reader.read_exact(&mut [0; 10]).unwrap();
        }
        drop(reader);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(141), "{arguments:?}: {ended:?}");
        assert_eq!(err(&ended), "", "{arguments:?}");
    }
}

#[test]
fn records_are_found_by_what_they_say() {
    let dir = trail();
    for (arguments, found) in [
        (&["--principal", "alice"][..], 4),
        (&["--outcome", "denied"], 2),
        (&["--key", "n3"], 1),
        (&["--entity", "Note", "--event", "call"], 6),
        (
            &[
                "--since",
                "2023-11-14T22:14:20Z",
                "--until",
                "2023-11-14T22:16:20Z",
            ],
            2,
        ),
        (&["--since", "7d"], 0),
        (&["--principal", "ali"], 0),
        (&["--code", "403"], 0),
    ] {
        let output = dbal(&[&["search", "audit"], arguments].concat(), dir.path());
        let lines = String::from_utf8(output.stdout.clone()).unwrap().lines().count();
        assert_eq!(lines, found, "{arguments:?}: {output:?}");
        assert_eq!(output.status.success(), found > 0, "{arguments:?}");
    }
    let shown = out(&dbal(&["search", "audit", "--outcome", "denied"], dir.path()));
    assert!(
        !shown.contains('\u{1b}'),
        "no colour but in a terminal, and none of theirs: {shown}"
    );
    let wrong = dbal(&["search", "audit", "--since", "yesterday"], dir.path());
    assert!(err(&wrong).contains("how long ago"), "{}", err(&wrong));
}

#[test]
fn a_changed_record_is_shown_and_told() {
    let dir = trail();
    let file = dir.path().join("audit").join(FIRST);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("alice", "bobby", 1)).unwrap();
    let found = dbal(&["search", "audit", "--principal", "bobby"], dir.path());
    assert_eq!(out(&found).lines().count(), 1);
    assert!(
        err(&found).contains(&format!("{FIRST}:1: this record was changed")),
        "{}",
        err(&found)
    );
}

#[test]
fn exports_are_what_other_programs_read() {
    let dir = trail();
    let export = |format: &str| out(&dbal(&["export", "audit", "--format", format], dir.path()));
    let json = export("json");
    let files: String = {
        let mut paths: Vec<_> = fs::read_dir(dir.path().join("audit"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    };
    assert_eq!(json, files, "byte for byte");
    let csv = export("csv");
    assert_eq!(csv.split("\r\n").count(), 8, "names, six records, the end: {csv}");
    assert!(csv.contains(",\"'=mallory"), "{csv}");
    let events: Vec<Value> = export("ocsf")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 6);
    assert_eq!(events[0]["class_uid"], 6003);
    assert_eq!(events[2]["status"], "Failure");
    assert_eq!(events[5]["metadata"]["sequence"], 6);
}

#[test]
fn tail_shows_the_last_and_follows_into_other_files() {
    let dir = trail();
    let last = out(&dbal(&["tail", "audit", "-n", "4", "--json"], dir.path()));
    let numbers: Vec<u64> = last
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(numbers, [3, 4, 5, 6]);

    let mut child = command(&["tail", "audit", "-f", "-n", "1"], dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("n5"));
    let journal = Journal::open(&dir.path().join("audit"), Durability::Interval)
        .unwrap()
        .under(Terms {
            bytes: Some(1),
            ..Terms::default()
        });
    for number in 6..9 {
        append(&journal, number, "alice", Outcome::Allowed);
        journal.flush().unwrap();
        journal.tend().unwrap();
        assert!(lines.next().unwrap().unwrap().contains(&format!("n{number}")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_folder_without_a_trail_is_not_called_sound() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("audit")).unwrap();
    let output = dbal(&["verify", "audit"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("audit holds no file of an audit trail"));
    let output = dbal(&["verify", "audit", "--json"], dir.path());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &said["sound"]),
        (Some(1), &Value::Bool(false))
    );
    let output = dbal(&["verify", "elsewhere"], dir.path());
    assert!(err(&output).contains("elsewhere: can't be read"), "{output:?}");
}

#[test]
fn verify_asks_for_the_key_and_the_head_that_it_is_given() {
    let dir = trail();
    let made = Command::new(env!("CARGO_BIN_EXE_dbal"))
        .args(["keygen", "--checkpoints"])
        .output()
        .unwrap();
    let made = out(&made);
    let (public, secret) = made.strip_prefix("# public: ").unwrap().split_once('\n').unwrap();
    let unsigned = dbal(&["verify", "audit", "--key", public], dir.path());
    assert_eq!(unsigned.status.code(), Some(1));
    assert!(
        err(&unsigned).contains("no signed checkpoint"),
        "{}",
        err(&unsigned)
    );

    let journal = Journal::open(&dir.path().join("audit"), Durability::Interval).unwrap();
    let journal = journal.signed_by(Signer::new(secret.trim()).unwrap(), 1);
    append(&journal, 6, "alice", Outcome::Allowed);
    drop(journal);
    let signed = out(&dbal(&["verify", "audit", "--key", public], dir.path()));
    assert!(signed.contains("signed up to record 8; 0 after it"), "{signed}");
    let head = signed
        .lines()
        .find_map(|line| line.strip_prefix("head:  "))
        .unwrap();
    out(&dbal(&["verify", "audit", "--head", head], dir.path()));
    let other = dbal(
        &["verify", "audit", "--head", &head.replace(|_: char| true, "0")],
        dir.path(),
    );
    assert_eq!(other.status.code(), Some(1));
    let wrong = dbal(&["verify", "audit", "--key", "abc"], dir.path());
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
