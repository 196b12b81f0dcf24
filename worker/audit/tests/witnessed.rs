//! A broker countersigns heads. Whoever has taken the worker, its key included, can't cut or write anew what was countersigned.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::path::{Path, PathBuf};

use dbal_audit::{
    Broken, Countersigned, Demands, Durability, Event, Head, Journal, Outcome, PublicKey, Record, Signer,
    Verified, What, verify, verify_as,
};
use dbal_shared::message::Countersignature;
use dbal_witness::Watch;
use tempfile::TempDir;

fn signer(byte: &str) -> Signer {
    Signer::new(&byte.repeat(32)).unwrap()
}

fn file(dir: &Path) -> PathBuf {
    dir.join("audit-00000000000000000001.jsonl")
}

/// A worker's trail.
struct Trail {
    dir: TempDir,
    journal: Journal,
    shown: u64,
}

impl Trail {
    fn new() -> Self {
        Self::in_folder(TempDir::new().unwrap())
    }

    fn in_folder(dir: TempDir) -> Self {
        let journal = Journal::open(dir.path(), Durability::Always).unwrap();
        Self {
            dir,
            journal,
            shown: 0,
        }
    }

    fn write(&self, principal: &str, records: usize) {
        for _ in 0..records {
            let record = Record {
                principal: Some(principal),
                ..Record::new(1_700_000_000_000_000_000, Event::Call, Outcome::Allowed)
            };
            self.journal.append(&record).unwrap();
        }
        self.journal.flush().unwrap();
    }

    fn head(&mut self) -> Option<Head> {
        let head = self.journal.head_beyond(self.shown)?;
        self.shown = head.sequence;
        Some(head)
    }

    /// Shows the head to a broker and writes down what it says.
    fn show(&mut self, broker: &mut Watch) -> Head {
        let head = self.head().unwrap();
        broker.see(head).unwrap();
        self.note(&broker.countersigned().unwrap());
        head
    }

    fn note(&self, countersignature: &Countersignature) {
        let record = Record {
            countersigned: Some(countersignature),
            ..Record::new(0, Event::Countersigned, Outcome::Allowed)
        };
        self.journal.append(&record).unwrap();
        self.journal.flush().unwrap();
    }

    fn verified_by(&self, brokers: &[PublicKey]) -> Result<Verified, Broken> {
        let demands = Demands {
            brokers,
            ..Demands::default()
        };
        verify_as(self.dir.path(), &demands)
    }
}

fn what(verified: Result<Verified, Broken>) -> What {
    verified.unwrap_err().what
}

#[test]
fn what_a_broker_countersigned_verifies_and_is_told() {
    let mut trail = Trail::new();
    let key = signer("1f").public();
    let mut broker = Watch::new(Some(signer("1f")));
    assert_eq!(trail.head(), None, "there is nothing to show");
    trail.write("alice", 3);
    trail.show(&mut broker);
    assert_eq!(trail.head(), None, "a countersignature alone is nothing to show");
    trail.write("alice", 10);
    trail.show(&mut broker);
    // The broker is started again.
    let mut broker = Watch::new(Some(signer("1f")));
    trail.write("alice", 2);
    let last = trail.show(&mut broker);
    let verified = trail.verified_by(&[signer("2e").public(), key]).unwrap();
    let expected = Countersigned {
        last: last.sequence,
        begun: 2,
        longest: 11,
    };
    assert_eq!(verified.countersigned, Some(expected));
    assert_eq!((verified.last, last.sequence), (18, 17));
    assert_eq!(verify(trail.dir.path()).unwrap().countersigned, None);
}

#[test]
fn a_trail_over_which_the_brokers_key_was_changed_verifies_by_both_keys_and_by_neither_alone() {
    let mut trail = Trail::new();
    let keys = ["1f", "2e"].map(|key| signer(key).public());
    for key in ["1f", "2e"] {
        // The broker is started again, with another key.
        trail.write("alice", 3);
        trail.show(&mut Watch::new(Some(signer(key))));
    }
    let verified = trail.verified_by(&keys).unwrap();
    assert_eq!(
        verified.countersigned.map(|countersigned| countersigned.begun),
        Some(2)
    );
    for (key, seq) in keys.into_iter().zip([8, 4]) {
        let told = what(trail.verified_by(&[key]));
        assert!(
            matches!(told, What::NotCountersigned { seq: named } if named == seq),
            "{told:?}"
        );
    }
}

#[test]
fn without_a_countersignature_or_by_another_key_it_does_not_verify() {
    let mut trail = Trail::new();
    trail.write("alice", 3);
    let key = signer("1f").public();
    assert!(matches!(
        what(trail.verified_by(&[key])),
        What::NoCountersignature
    ));
    trail.show(&mut Watch::new(Some(signer("2e"))));
    assert!(matches!(
        what(trail.verified_by(&[key])),
        What::NotCountersigned { seq: 4 }
    ));
}

/// The worker is taken and writes everything anew, by its own code. The broker, which is not, goes on.
#[test]
fn a_trail_that_is_written_anew_is_found_by_the_next_countersignature_that_it_gets() {
    let mut broker = Watch::new(Some(signer("1f")));
    let key = signer("1f").public();
    let mut honest = Trail::new();
    honest.write("mallory", 3);
    let seen = honest.show(&mut broker);

    let mut forged = Trail::new();
    forged.write("nobody", 3);
    // It can't show what it made of the old record, nor anything older.
    let head = forged.head().unwrap();
    assert_eq!(head.sequence, seen.sequence);
    let mut other_broker = Watch::new(Some(signer("1f")));
    other_broker.see(seen).unwrap();
    assert!(other_broker.see(head).is_err());
    // It waits until it is longer.
    forged.write("nobody", 3);
    forged.show(&mut broker);
    let found = forged.verified_by(&[key]).unwrap_err();
    assert!(
        matches!(found.what, What::Rewritten { seq: 3, by: Some(7) }),
        "{found}"
    );
    assert_eq!(found.line, 3);
    verify(forged.dir.path()).unwrap();
}

#[test]
fn an_old_countersignature_does_not_vouch_for_another_trail() {
    let mut broker = Watch::new(Some(signer("1f")));
    let key = signer("1f").public();
    let mut honest = Trail::new();
    honest.write("mallory", 3);
    honest.show(&mut broker);
    let forged = Trail::new();
    forged.write("nobody", 3);
    forged.note(&broker.countersigned().unwrap());
    assert!(matches!(
        what(forged.verified_by(&[key])),
        What::Rewritten { seq: 3, .. }
    ));
    // Nor for what does not stand there yet.
    let early = Trail::new();
    early.note(&broker.countersigned().unwrap());
    assert!(matches!(
        what(early.verified_by(&[key])),
        What::NotCountersigned { seq: 1 }
    ));
}

#[test]
fn a_countersignature_is_no_other_once_a_digit_of_it_is_changed() {
    let mut trail = Trail::new();
    trail.write("alice", 3);
    trail.show(&mut Watch::new(Some(signer("1f"))));
    let path = file(trail.dir.path());
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace("\"countersigned\":{\"seq\":3", "\"countersigned\":{\"seq\":2");
    assert_ne!(text, changed);
    fs::write(&path, changed).unwrap();
    let found = trail.verified_by(&[signer("1f").public()]);
    assert!(matches!(what(found), What::Changed { seq: 4 }));
}

#[test]
fn a_cut_end_is_missed_by_a_head_that_was_kept_elsewhere() {
    let mut broker = Watch::new(Some(signer("1f")));
    let mut trail = Trail::new();
    trail.write("alice", 3);
    trail.show(&mut broker);
    let cut = fs::read(file(trail.dir.path())).unwrap();
    trail.write("mallory", 3);
    let kept = trail.show(&mut broker);
    let with = |heads: &[Head]| {
        let demands = Demands {
            heads,
            ..Demands::default()
        };
        verify_as(trail.dir.path(), &demands)
    };
    with(&[kept]).unwrap();
    let other = Head {
        sequence: kept.sequence - 1,
        ..kept
    };
    assert!(matches!(
        what(with(&[other, kept])),
        What::Rewritten { seq: 6, by: None }
    ));
    fs::write(file(trail.dir.path()), cut).unwrap();
    trail.verified_by(&[signer("1f").public()]).unwrap();
    assert!(matches!(what(with(&[kept])), What::CutOff { from: 5, to: 7 }));
}

/// A worker that is started on a cut trail writes on, and shows a head beyond the one that the broker knows.
#[test]
fn a_cut_trail_that_has_grown_again_is_found_too() {
    let mut broker = Watch::new(Some(signer("1f")));
    let key = signer("1f").public();
    let mut trail = Trail::new();
    trail.write("alice", 3);
    trail.show(&mut broker);
    let cut = fs::read(file(trail.dir.path())).unwrap();
    trail.write("mallory", 3);
    let kept = trail.show(&mut broker);
    let Trail { dir, journal, .. } = trail;
    drop(journal);
    fs::write(file(dir.path()), cut).unwrap();
    let mut trail = Trail::in_folder(dir);
    trail.write("alice", 9);
    trail.show(&mut broker);
    assert!(matches!(
        what(trail.verified_by(&[key])),
        What::Rewritten { seq, by: Some(_) } if seq == kept.sequence
    ));
}
