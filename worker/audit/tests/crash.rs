//! A worker that dies in the middle of a record, and one that starts after it.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use dbal_audit::{AuditError, Durability, Event, Journal, Outcome, Record, What, verify};
use tempfile::TempDir;

fn record() -> Record<'static> {
    Record::new(1_700_000_000_000_000_000, Event::Call, Outcome::Allowed)
}

fn write(dir: &Path, records: usize) {
    let journal = Journal::open(dir, Durability::Always).unwrap();
    for _ in 0..records {
        journal.append(&record()).unwrap();
    }
    journal.flush().unwrap();
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("audit-00000000000000000001.jsonl")
}

#[test]
fn a_chain_goes_on_across_restarts() {
    let dir = TempDir::new().unwrap();
    for _ in 0..3 {
        write(dir.path(), 4);
    }
    assert_eq!(verify(dir.path()).unwrap().records, 12);
}

#[test]
fn a_record_torn_at_any_byte_is_set_aside_and_the_chain_goes_on_with_a_note() {
    let whole = TempDir::new().unwrap();
    write(whole.path(), 3);
    let bytes = fs::read(file(&whole)).unwrap();
    let second_ends = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;

    for cut in second_ends + 1..bytes.len() {
        let dir = TempDir::new().unwrap();
        fs::write(file(&dir), &bytes[..cut]).unwrap();
        let broken = verify(dir.path()).unwrap_err();
        assert!(matches!(broken.what, What::Torn { seq: 3 }), "{broken}");

        write(dir.path(), 1);

        // Two that were whole, the note, the new one.
        assert_eq!(verify(dir.path()).unwrap().records, 4);
        let text = fs::read_to_string(file(&dir)).unwrap();
        assert!(
            text.lines().nth(2).unwrap().contains("\"event\":\"recovered\""),
            "{text}"
        );
        let kept = format!("torn-00000000000000000003-at-{second_ends}.partial");
        assert_eq!(fs::read(dir.path().join(kept)).unwrap(), &bytes[second_ends..cut]);
    }
}

#[test]
fn a_torn_first_record_is_set_aside_too() {
    let dir = TempDir::new().unwrap();
    fs::write(file(&dir), b"{\"seq\":1,\"pre").unwrap();
    write(dir.path(), 1);
    assert_eq!(verify(dir.path()).unwrap().records, 2);
}

#[test]
fn a_journal_whose_last_record_was_changed_is_not_continued() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), 2);
    let text = fs::read_to_string(file(&dir)).unwrap();
    fs::write(file(&dir), text.replace("allowed", "denied")).unwrap();
    let error = Journal::open(dir.path(), Durability::Interval).unwrap_err();
    assert!(matches!(error, AuditError::BrokenTail { .. }), "{error}");
    assert!(error.to_string().contains("dbal audit verify"));
}

#[test]
fn megabytes_without_a_record_are_not_taken_for_a_torn_one() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), 2);
    let mut open = OpenOptions::new().append(true).open(file(&dir)).unwrap();
    open.write_all(&vec![0; 3 * 1024 * 1024]).unwrap();
    let error = Journal::open(dir.path(), Durability::Interval).unwrap_err();
    assert!(matches!(error, AuditError::BrokenTail { .. }), "{error}");
}

#[test]
fn two_workers_can_not_write_one_chain() {
    let dir = TempDir::new().unwrap();
    let first = Journal::open(dir.path(), Durability::Interval).unwrap();
    let error = Journal::open(dir.path(), Durability::Interval).unwrap_err();
    assert!(matches!(error, AuditError::InUse { .. }), "{error}");
    drop(first);
    assert!(Journal::open(dir.path(), Durability::Interval).is_ok());
}

#[test]
fn an_empty_new_file_continues_the_chain_of_the_one_before() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), 2);
    fs::write(dir.path().join("audit-00000000000000000003.jsonl"), "").unwrap();
    write(dir.path(), 2);
    let verified = verify(dir.path()).unwrap();
    assert_eq!((verified.records, verified.files), (4, 2));
}

#[test]
fn nobody_else_may_read_the_trail_until_somebody_opens_the_folder_to_its_group() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("audit");
    write(&dir, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    // For who seals them (`dbal audit seal`); the folder decides whether its group comes in.
    assert_eq!(mode(&dir.join("audit-00000000000000000001.jsonl")), 0o640);
}
