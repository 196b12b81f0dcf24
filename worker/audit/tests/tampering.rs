//! Whatever is done to the bytes of a journal, short of cutting its end off, `verify` finds it and names the first place.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dbal_audit::{Broken, Durability, Event, Journal, Outcome, Record, What, verify, verify_end};
use proptest::prelude::*;
use tempfile::TempDir;

const RECORDS: u8 = 12;

fn journal() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path(), Durability::Interval).unwrap();
    for number in 0..RECORDS {
        append(&journal, number);
    }
    journal.flush().unwrap();
    drop(journal);
    let file = only_file(dir.path());
    (dir, file)
}

fn append(journal: &Journal, number: u8) {
    let key = [format!("row-{number}")];
    let record = Record {
        principal: Some("alice"),
        entity: Some("Note"),
        keys: &key,
        rows: Some(number.into()),
        ..Record::new(1_700_000_000_000_000_000, Event::Call, Outcome::Allowed)
    };
    journal.append(&record).unwrap();
}

fn only_file(dir: &Path) -> PathBuf {
    dir.join("audit-00000000000000000001.jsonl")
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn rewrite(file: &Path, lines: &[String]) {
    fs::write(file, [lines, &[String::new()]].concat().join("\n")).unwrap();
}

fn broken(dir: &TempDir) -> Broken {
    verify(dir.path()).unwrap_err()
}

#[test]
fn the_end_of_a_journal_is_verified_by_itself_and_what_stands_before_is_left_alone() {
    let (dir, file) = journal();
    let whole = verify(dir.path()).unwrap();
    let bytes = fs::metadata(&file).unwrap().len();
    for most in 0..=bytes {
        let end = verify_end(dir.path(), most).unwrap();
        assert!(
            end.records <= whole.records && (end.records > 0 || most < bytes / 2),
            "{most}"
        );
        assert!(end.records == 0 || end.head == whole.head);
    }
    assert_eq!(verify_end(dir.path(), bytes).unwrap(), whole);
    assert_eq!(verify_end(dir.path(), u64::MAX).unwrap(), whole);

    let sound = lines(&file);
    let changed = |at: usize| {
        let mut lines = sound.clone();
        lines[at] = lines[at].replacen("\"event\":\"", "\"event\":\"x", 1);
        rewrite(&file, &lines);
        verify_end(dir.path(), bytes / 2).is_err()
    };
    assert!(!changed(0), "the first is out of reach");
    assert!(changed(sound.len() - 1));
}

#[test]
fn an_untouched_journal_is_sound_and_tells_its_head() {
    let (dir, file) = journal();
    let verified = verify(dir.path()).unwrap();
    assert_eq!((verified.records, verified.files), (RECORDS.into(), 1));
    let last = lines(&file).pop().unwrap();
    assert!(last.ends_with(&format!("\"hash\":\"{}\"}}", verified.head)));
}

#[test]
fn a_changed_record_is_named() {
    let (dir, file) = journal();
    let mut all = lines(&file);
    all[4] = all[4].replace("alice", "mallory");
    rewrite(&file, &all);
    let broken = broken(&dir);
    assert_eq!(broken.line, 5);
    assert_eq!(broken.what.to_string(), "record 5 was changed");
}

#[test]
fn a_record_that_was_replaced_with_a_fitting_hash_is_named() {
    let (dir, file) = journal();
    let mut all = lines(&file);
    // The forger knows the format and computes the hash anew, but the next record names the old one.
    let other = TempDir::new().unwrap();
    {
        let forged = Journal::open(other.path(), Durability::Interval).unwrap();
        for number in 0..4 {
            append(&forged, number);
        }
        append(&forged, 99);
        forged.flush().unwrap();
    }
    all[4] = lines(&only_file(other.path())).pop().unwrap();
    rewrite(&file, &all);
    let broken = broken(&dir);
    assert!(matches!(broken.what, What::Replaced { seq: 5 }), "{broken}");
}

#[test]
fn missing_records_are_counted() {
    let (dir, file) = journal();
    let mut all = lines(&file);
    all.drain(3..6);
    rewrite(&file, &all);
    assert_eq!(broken(&dir).what.to_string(), "records 4 to 6 were removed");
}

#[test]
fn a_missing_beginning_is_found() {
    let (dir, file) = journal();
    rewrite(&file, &lines(&file)[1..]);
    assert_eq!(broken(&dir).what.to_string(), "record 1 was removed");
}

#[test]
fn records_that_changed_places_are_named() {
    let (dir, file) = journal();
    let mut all = lines(&file);
    all.swap(2, 7);
    rewrite(&file, &all);
    assert_eq!(
        broken(&dir).what.to_string(),
        "record 8 stands where record 3 belongs"
    );
}

#[test]
fn a_record_that_stands_twice_is_named() {
    let (dir, file) = journal();
    let mut all = lines(&file);
    all.insert(3, all[2].clone());
    rewrite(&file, &all);
    assert_eq!(
        broken(&dir).what.to_string(),
        "record 3 stands where record 4 belongs"
    );
}

/// docs/audit.md gives this line to those who trust no tool of ours.
#[test]
#[expect(clippy::disallowed_methods, reason = "a shell stands for the auditor's own")]
fn sha256sum_agrees_with_us() {
    let (_dir, file) = journal();
    let script = r#"sed -n 7p "$1" | sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum"#;
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&file)
        .output()
        .unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    let hash = hash.split_whitespace().next().unwrap();
    assert!(
        lines(&file)[6].ends_with(&format!("\"hash\":\"{hash}\"}}")),
        "{hash}"
    );
}

/// docs/audit.md says so, and says what to do about it.
#[test]
fn an_end_that_was_cut_off_between_records_is_not_found_but_the_head_differs() {
    let (dir, file) = journal();
    let head = verify(dir.path()).unwrap().head;
    let mut all = lines(&file);
    all.pop();
    rewrite(&file, &all);
    let verified = verify(dir.path()).unwrap();
    assert_eq!(verified.records, u64::from(RECORDS) - 1);
    assert_ne!(verified.head, head);
}

proptest! {
    #[test]
    fn any_changed_byte_is_found_at_its_own_line(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let (dir, file) = journal();
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        bytes[at] ^= flip;
        fs::write(&file, bytes).unwrap();
        let broken = broken(&dir);
        prop_assert_eq!(usize::try_from(broken.line), Ok(line), "{}", broken);
    }

    #[test]
    fn any_removed_line_but_the_last_is_found(at in 0..RECORDS - 1) {
        let (dir, file) = journal();
        let mut all = lines(&file);
        all.remove(usize::from(at));
        rewrite(&file, &all);
        let number = u64::from(at) + 1;
        let broken = broken(&dir);
        prop_assert!(matches!(broken.what, What::Removed { from, to } if from == number && to == number), "{}", broken);
    }

    #[test]
    fn any_two_swapped_lines_are_found(one in 0..RECORDS, other in 0..RECORDS) {
        prop_assume!(one != other);
        let (dir, file) = journal();
        let mut all = lines(&file);
        all.swap(one.into(), other.into());
        rewrite(&file, &all);
        let broken = broken(&dir);
        prop_assert_eq!(broken.line, u64::from(one.min(other)) + 1);
        prop_assert!(matches!(broken.what, What::Moved { .. }), "{}", broken);
    }

    #[test]
    fn any_removed_byte_is_found(at in any::<prop::sample::Index>()) {
        let (dir, file) = journal();
        let mut bytes = fs::read(&file).unwrap();
        bytes.remove(at.index(bytes.len()));
        fs::write(&file, bytes).unwrap();
        prop_assert!(verify(dir.path()).is_err());
    }
}
