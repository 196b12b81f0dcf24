//! Rotation and retention: the chain goes on in a new file, and files past their time are removed, on record.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::{AuditError, Disk, Journal, MODE, Reach, now_ns, owned};
use crate::folder::{Lines, file_name, first_link, first_of};
use crate::line::Hash;
use crate::record::{Event, Outcome, Record, Removed};
use crate::text;

/// When a file ends, and how long files are kept. What is `None` never happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Bytes after which the chain goes on in a new file. It may grow a little longer: until the next [`Journal::tend`].
    pub bytes: Option<u64>,
    /// Age of its first record after which the chain goes on in a new file.
    pub age: Option<Duration>,
    /// Most files that are kept beside the one that is written.
    pub keep_files: Option<usize>,
    /// How long files are kept after their last record.
    pub keep: Option<Duration>,
    /// Whether files that ended are compressed, by [`Journal::compress`].
    pub compress: bool,
}

/// What [`Journal::tend`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// The file that ended, and the hash of its last record.
    pub ended: Option<(PathBuf, String)>,
    /// Number and hash of the last record that is on the disk, once a minute if there are others than before.
    pub head: Option<(u64, String)>,
    /// The files that were removed.
    pub removed: Vec<PathBuf>,
}

/// How often files are looked at for their age, beside each rotation.
const LOOK_NS: i64 = 3_600_000_000_000;
/// How long records may stay unsigned while fewer come than a checkpoint is due for.
const UNSIGNED_NS: i64 = 60_000_000_000;

/// How often the head is told.
const TOLD_NS: i64 = 60_000_000_000;

/// The files that have ended, oldest first.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) ended: VecDeque<Ended>,
    /// When their age was looked at last; none: it is due.
    looked_ns: Option<i64>,
    /// When the head was told last, and which.
    told: Option<(i64, Hash)>,
    /// When compressing may be tried again after it failed.
    pub(super) compress_ns: i64,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) path: PathBuf,
    /// Number of its first record.
    pub(super) first: u64,
    /// When its last record was written.
    pub(super) at_ns: i64,
    /// How often it could not be compressed.
    pub(super) failures: u32,
}

impl Files {
    pub(super) fn of(older: Vec<PathBuf>) -> io::Result<Self> {
        let mut ended = VecDeque::with_capacity(older.len());
        for path in older {
            ended.push_back(Ended {
                first: first_of(&path).unwrap_or_default(),
                at_ns: ended_ns(&path)?,
                failures: 0,
                path,
            });
        }
        Ok(Self {
            ended,
            looked_ns: None,
            told: None,
            compress_ns: i64::MIN,
        })
    }

    /// How many of the oldest files are past their time.
    fn past(&self, terms: &Terms, now: i64) -> usize {
        let too_many = terms
            .keep_files
            .map_or(0, |most| self.ended.len().saturating_sub(most));
        let too_old = terms.keep.map_or(0, |keep| {
            let is_old = |ended: &&Ended| now.saturating_sub(ended.at_ns) > ns(keep);
            self.ended.iter().take_while(is_old).count()
        });
        too_many.max(too_old)
    }
}

impl Disk {
    fn is_due(&self, terms: &Terms, now: i64) -> bool {
        let Some(began) = self.began_ns else {
            return false;
        };
        // What a full disk has cut goes on in its own file.
        self.unwritten.is_empty()
            && (terms.bytes.is_some_and(|most| self.bytes >= most)
                || terms.age.is_some_and(|age| now.saturating_sub(began) >= ns(age)))
    }
}

impl Journal {
    /// Does what is due by [`Journal::under`] and [`Journal::signed_by`]. Waits for the disk; records can be appended
    /// meanwhile. After an error the journal goes on in the file it has, but for [`AuditError::Unsynced`].
    pub fn tend(&self) -> Result<Tended, AuditError> {
        self.tend_at(now_ns())
    }

    fn tend_at(&self, now: i64) -> Result<Tended, AuditError> {
        let mut files = owned(&self.files);
        {
            let mut chain = owned(&self.chain);
            let signed = chain.signing.as_ref().map(|signing| signing.signed_ns);
            if signed.is_some_and(|signed| now.saturating_sub(signed) >= UNSIGNED_NS) {
                chain.sign(now);
            }
        }
        let mut tended = Tended {
            head: self.head(&mut files, now),
            ..Tended::default()
        };
        if owned(&self.disk).is_due(&self.terms, now) {
            tended.ended = Some(self.rotate(&mut files, now)?);
            files.looked_ns = None;
        }
        if files
            .looked_ns
            .is_none_or(|looked| now.saturating_sub(looked) >= LOOK_NS)
        {
            tended.removed = self.remove(&mut files, now)?;
        }
        Ok(tended)
    }

    fn head(&self, files: &mut Files, now: i64) -> Option<(u64, String)> {
        let disk = owned(&self.disk);
        let Reach { next, head, .. } = disk.synced;
        let (told_ns, told) = *files.told.get_or_insert((now, head));
        if now.saturating_sub(told_ns) < TOLD_NS || told == head {
            return None;
        }
        files.told = Some((now, head));
        Some((
            next.saturating_sub(1),
            String::from_utf8_lossy(&head).into_owned(),
        ))
    }

    fn rotate(&self, files: &mut Files, now: i64) -> Result<(PathBuf, String), AuditError> {
        owned(&self.chain).sign(now);
        let _turn = owned(&self.syncing);
        let mut disk = owned(&self.disk);
        self.write_waiting(&mut disk)?;
        let first = disk.written.next;
        let path = self.dir.join(file_name(first));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(MODE)
            .open(&path)
            .map_err(|source| AuditError::Io {
                path: path.clone(),
                source,
            })?;
        // The end of the old file must not be missing when the new one is there after a crash of the machine.
        if let Err(source) = disk.file.sync_data().and_then(|()| self.folder.sync_all()) {
            disk.is_unsynced = true;
            return Err(disk.failed(source));
        }
        disk.synced = disk.written;
        disk.is_dirty = false;
        let ended = Ended {
            path: std::mem::replace(&mut disk.path, path),
            first: std::mem::replace(&mut disk.first, first),
            at_ns: now,
            failures: 0,
        };
        disk.file = Arc::new(file);
        disk.bytes = 0;
        disk.began_ns = None;
        let told = (
            ended.path.clone(),
            String::from_utf8_lossy(&disk.written.head).into_owned(),
        );
        files.ended.push_back(ended);
        Ok(told)
    }

    /// Removes the files that are past their time. The record of it reaches the disk first, so that after a crash in between
    /// it says more than was done, never less.
    fn remove(&self, files: &mut Files, now: i64) -> Result<Vec<PathBuf>, AuditError> {
        let past = files.past(&self.terms, now);
        let Some(from) = files
            .ended
            .front()
            .map(|oldest| oldest.first)
            .filter(|_| past > 0)
        else {
            files.looked_ns = Some(now);
            return Ok(Vec::new());
        };
        let (stays, first) = if let Some(ended) = files.ended.get(past) {
            (ended.path.clone(), ended.first)
        } else {
            let disk = owned(&self.disk);
            if disk.began_ns.is_none() {
                // Nothing names the last record yet. The next record does, and then it is this one's turn.
                return Ok(Vec::new());
            }
            (disk.path.clone(), disk.first)
        };
        let link = first_link(&stays).map_err(|source| AuditError::Io {
            path: stays.clone(),
            source,
        })?;
        let link = link
            .filter(|link| link.seq == first)
            .ok_or(AuditError::NotRemoved { path: stays })?;
        let range = Removed {
            from,
            to: first.saturating_sub(1),
            head: String::from_utf8_lossy(&link.prev).into_owned(),
        };
        // Not again soon, if it fails: each attempt leaves a record.
        files.looked_ns = Some(now);
        self.append(&Record {
            removed: Some(&range),
            ..Record::new(now, Event::Removed, Outcome::Allowed)
        })?;
        // Where checkpoints are asked for, a removal has to be signed.
        owned(&self.chain).sign(now);
        self.flush()?;
        self.sync()?;
        let mut removed = Vec::new();
        for _ in 0..past {
            let Some(oldest) = files.ended.front() else { break };
            remove_file(&oldest.path)?;
            removed.extend(files.ended.pop_front().map(|ended| ended.path));
        }
        Ok(removed)
    }
}

/// Removes a file. That somebody else has is as well.
pub(crate) fn remove_file(path: &Path) -> Result<(), AuditError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(AuditError::Io {
            path: path.to_owned(),
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// When the last record of a file was written: when the file was, or what stands in it if it was compressed since.
pub(crate) fn ended_ns(path: &Path) -> io::Result<i64> {
    if let Some(seconds) = text::packed_at(path)? {
        return Ok(i64::from(seconds).saturating_mul(1_000_000_000));
    }
    let modified = fs::metadata(path)?.modified()?;
    Ok(ns(modified.duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// When the first record of a file was written, as it says itself; none if there is none.
pub(super) fn began(path: &Path) -> io::Result<Option<i64>> {
    let mut lines = Lines::open(path)?;
    let Some((_, line)) = lines.next()? else {
        return Ok(None);
    };
    let record: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    let time = record
        .as_ref()
        .and_then(|record| record.get("time")?.as_str()?.parse::<jiff::Timestamp>().ok());
    let ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    // A file that says nothing of its age is old.
    Ok(Some(ns.unwrap_or_default()))
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Durability;
    use crate::verify::{Demands, What, verify, verify_as};
    use dbal_witness::{PublicKey, Signer};

    const DAY_NS: i64 = 86_400_000_000_000;
    const DAY: Duration = Duration::from_hours(24);

    fn write(journal: &Journal, records: usize) {
        for _ in 0..records {
            journal
                .append(&Record::new(now_ns(), Event::Call, Outcome::Allowed))
                .unwrap();
        }
        journal.flush().unwrap();
    }

    fn small() -> Terms {
        Terms {
            bytes: Some(1_000),
            ..Terms::default()
        }
    }

    fn names(dir: &Path) -> Vec<u64> {
        let files = crate::folder::files(dir).unwrap();
        files.iter().filter_map(|path| first_of(path)).collect()
    }

    #[test]
    fn the_chain_goes_on_across_files_and_restarts() {
        let dir = tempfile::TempDir::new().unwrap();
        for _ in 0..3 {
            let journal = Journal::open(dir.path(), Durability::Interval)
                .unwrap()
                .under(small());
            for _ in 0..4 {
                write(&journal, 5);
                let Tended {
                    ended,
                    removed,
                    head: _,
                } = journal.tend().unwrap();
                let (_, head) = ended.unwrap();
                assert_eq!(head, verify(dir.path()).unwrap().head);
                assert_eq!(removed, Vec::<PathBuf>::new());
                assert_eq!(
                    journal.tend().unwrap(),
                    Tended::default(),
                    "an empty file is not full"
                );
            }
        }
        let verified = verify(dir.path()).unwrap();
        assert_eq!((verified.first, verified.records, verified.files), (1, 60, 13));
    }

    #[test]
    fn a_file_whose_first_record_is_old_ends_also_after_a_restart() {
        let dir = tempfile::TempDir::new().unwrap();
        let terms = Terms {
            age: Some(DAY),
            ..Terms::default()
        };
        let journal = Journal::open(dir.path(), Durability::Interval).unwrap();
        write(&journal, 1);
        drop(journal);
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(terms);
        assert_eq!(journal.tend_at(now_ns() + DAY_NS / 2).unwrap().ended, None);
        assert!(journal.tend_at(now_ns() + DAY_NS).unwrap().ended.is_some());
        assert_eq!(names(dir.path()), [1, 2]);
    }

    #[test]
    fn what_is_removed_by_number_is_on_record_and_the_rest_verifies() {
        let dir = tempfile::TempDir::new().unwrap();
        let terms = Terms {
            keep_files: Some(2),
            ..small()
        };
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(terms);
        for _ in 0..8 {
            write(&journal, 5);
            journal.tend().unwrap();
            write(&journal, 1);
            journal.tend().unwrap();
        }
        assert_eq!(names(dir.path()).len(), 3, "two, and the one that is written");
        let verified = verify(dir.path()).unwrap();
        assert!(verified.first > 1);
        assert_eq!(verified.last, verified.first + verified.records - 1);

        // One more, and nobody has said so.
        let oldest = crate::folder::files(dir.path()).unwrap().remove(0);
        fs::remove_file(oldest).unwrap();
        let gone = names(dir.path())[0] - 1;
        let broken = verify(dir.path()).unwrap_err();
        assert!(
            matches!(broken.what, What::Removed { from: 1, to } if to == gone),
            "{broken}"
        );
    }

    #[test]
    fn what_is_removed_by_age_is_what_is_old_and_never_the_file_that_is_written() {
        let dir = tempfile::TempDir::new().unwrap();
        let terms = Terms {
            keep: Some(DAY * 30),
            ..small()
        };
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(terms);
        write(&journal, 5);
        journal.tend().unwrap();
        write(&journal, 5);
        let now = now_ns();
        journal.tend_at(now).unwrap();
        assert_eq!(journal.tend_at(now + DAY_NS * 29).unwrap().removed.len(), 0);
        assert_eq!(names(dir.path()), [1, 6, 11]);
        // Nothing stands in the third file that would name the last record of the second.
        assert_eq!(journal.tend_at(now + DAY_NS * 31).unwrap().removed.len(), 0);
        write(&journal, 1);
        assert_eq!(journal.tend_at(now + DAY_NS * 31).unwrap().removed.len(), 2);
        assert_eq!(names(dir.path()), [11]);
        assert_eq!(verify(dir.path()).unwrap().first, 11);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_removal_leaves_a_trail_that_verifies() {
        let dir = tempfile::TempDir::new().unwrap();
        let terms = Terms {
            keep_files: Some(1),
            ..small()
        };
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(small());
        for _ in 0..4 {
            write(&journal, 5);
            journal.tend().unwrap();
        }
        write(&journal, 1);
        drop(journal);
        let files = crate::folder::files(dir.path()).unwrap();
        let before: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(terms);
        assert_eq!(journal.tend().unwrap().removed, files[..3]);
        // As if it had died after the record, after the first, and after the second file.
        for at in (0..3).rev() {
            fs::write(&files[at], &before[at]).unwrap();
            assert_eq!(verify(dir.path()).unwrap().first, first_of(&files[at]).unwrap());
        }
    }

    #[test]
    fn files_are_kept_when_what_follows_them_does_not_go_on_from_them() {
        let dir = tempfile::TempDir::new().unwrap();
        let terms = Terms {
            keep_files: Some(1),
            ..small()
        };
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(terms);
        write(&journal, 5);
        journal.tend().unwrap();
        write(&journal, 5);
        fs::write(dir.path().join(file_name(6)), "{}\n").unwrap();
        let error = journal.tend().unwrap_err();
        assert!(matches!(error, AuditError::NotRemoved { .. }), "{error}");
        assert!(names(dir.path()).contains(&1));
    }

    #[test]
    fn a_file_is_not_left_while_a_part_of_a_record_waits_for_room_in_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(small());
        write(&journal, 5);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let real = std::mem::replace(&mut owned(&journal.disk).file, Arc::new(full));
        journal
            .append(&Record::new(0, Event::Call, Outcome::Allowed))
            .unwrap();
        assert!(journal.flush().is_err());
        assert_eq!(journal.tend().unwrap().ended, None);
        owned(&journal.disk).file = real;
        journal.flush().unwrap();
        assert!(journal.tend().unwrap().ended.is_some());
        assert_eq!(verify(dir.path()).unwrap().records, 6);
    }

    #[test]
    fn a_name_that_is_taken_is_not_written_to_and_the_trail_goes_on_where_it_is() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(small());
        write(&journal, 5);
        let elsewhere = dir.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, dir.path().join(file_name(6))).unwrap();
        assert!(journal.tend().is_err());
        write(&journal, 5);
        assert!(!elsewhere.exists());
        fs::remove_file(dir.path().join(file_name(6))).unwrap();
        assert!(journal.tend().unwrap().ended.is_some());
        assert_eq!(verify(dir.path()).unwrap().records, 10);
    }

    fn signed(dir: &Path, each: u64) -> (Journal, PublicKey) {
        let signer = Signer::new(&"1f".repeat(32)).unwrap();
        let key = signer.public();
        let journal = Journal::open(dir, Durability::Interval).unwrap();
        (journal.under(small()).signed_by(signer, each), key)
    }

    #[test]
    fn checkpoints_come_by_number_by_time_and_at_the_end() {
        let dir = tempfile::TempDir::new().unwrap();
        let (journal, key) = signed(dir.path(), 10);
        let demands = Demands {
            keys: &[key],
            ..Demands::default()
        };
        write(&journal, 9);
        let broken = verify_as(dir.path(), &demands).unwrap_err();
        assert!(matches!(broken.what, What::NoCheckpoint), "{broken}");
        write(&journal, 1);
        assert_eq!(verify_as(dir.path(), &demands).unwrap().checkpoint, Some(11));
        write(&journal, 1);
        journal.tend_at(now_ns() + UNSIGNED_NS).unwrap();
        write(&journal, 1);
        assert_eq!(verify_as(dir.path(), &demands).unwrap().checkpoint, Some(13));
        drop(journal);
        let verified = verify_as(dir.path(), &demands).unwrap();
        assert_eq!((verified.checkpoint, verified.last), (Some(15), 15));
    }

    #[test]
    fn a_trail_that_somebody_else_has_written_anew_does_not_bear_the_signature() {
        let dir = tempfile::TempDir::new().unwrap();
        let (journal, key) = signed(dir.path(), 3);
        write(&journal, 7);
        drop(journal);
        let forger = tempfile::TempDir::new().unwrap();
        let other = Signer::new(&"2e".repeat(32)).unwrap();
        let theirs = other.public();
        let journal = Journal::open(forger.path(), Durability::Interval)
            .unwrap()
            .signed_by(other, 3);
        write(&journal, 7);
        drop(journal);
        verify(forger.path()).unwrap();
        let of = |dir: &Path, keys: &[PublicKey]| {
            verify_as(
                dir,
                &Demands {
                    keys,
                    ..Demands::default()
                },
            )
        };
        assert!(of(dir.path(), &[theirs, key]).is_ok(), "one of them");
        let broken = of(forger.path(), &[key]).unwrap_err();
        assert!(matches!(broken.what, What::NotSigned { seq: 4 }), "{broken}");
        assert_eq!(broken.line, 4);
    }

    #[test]
    fn the_head_on_the_disk_is_told_once_a_minute_if_it_is_another() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Always).unwrap();
        let now = now_ns();
        let head = |minutes: i64| journal.tend_at(now + minutes * TOLD_NS).unwrap().head;
        assert_eq!(head(0), None);
        write(&journal, 3);
        assert_eq!(head(0), None);
        assert_eq!(head(1), Some((3, verify(dir.path()).unwrap().head)));
        assert_eq!(head(2), None);
        write(&journal, 1);
        assert_eq!(head(3).unwrap().0, 4);
    }

    #[test]
    fn a_removal_that_the_key_did_not_sign_excuses_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let (journal, key) = signed(dir.path(), 100);
        for _ in 0..3 {
            write(&journal, 5);
            journal.tend().unwrap();
        }
        write(&journal, 1);
        drop(journal);
        let demands = Demands {
            keys: &[key],
            ..Demands::default()
        };
        verify_as(dir.path(), &demands).unwrap();

        // Somebody who can write the folder, without the key, by the worker's own code.
        let unsigned = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(Terms {
                keep_files: Some(1),
                ..small()
            });
        assert_eq!(unsigned.tend().unwrap().removed.len(), 2);
        drop(unsigned);
        verify(dir.path()).unwrap();
        let broken = verify_as(dir.path(), &demands).unwrap_err();
        assert!(matches!(broken.what, What::Removed { from: 1, .. }), "{broken}");
        assert_eq!(broken.line, 1);

        let (journal, _) = signed(dir.path(), 100);
        let journal = journal.under(Terms {
            keep_files: Some(0),
            ..small()
        });
        // The first may begin a file, in which nothing names the last record of the one before it yet.
        journal.tend().unwrap();
        write(&journal, 1);
        journal.tend().unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        verify_as(dir.path(), &demands).unwrap();
    }

    #[test]
    fn a_head_that_was_seen_before_is_found_or_missed() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(small());
        write(&journal, 3);
        let earlier = verify(dir.path()).unwrap().head;
        let kept = fs::read(dir.path().join(file_name(1))).unwrap();
        write(&journal, 3);
        let later = verify(dir.path()).unwrap().head;
        let asked = |head: &str| {
            verify_as(
                dir.path(),
                &Demands {
                    head: Some(head),
                    ..Demands::default()
                },
            )
        };
        assert!(asked(&earlier).is_ok() && asked(&later).is_ok());
        fs::write(dir.path().join(file_name(1)), kept).unwrap();
        assert!(asked(&earlier).is_ok());
        assert!(matches!(asked(&later).unwrap_err().what, What::HeadMissing));
    }
}
