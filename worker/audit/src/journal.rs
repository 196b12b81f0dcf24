//! The open journal: records are chained in memory, written together, synced together.

pub(crate) mod compress;
pub(crate) mod made;
mod tend;

pub(crate) use made::make_folder;
pub use tend::{Tended, Terms};
pub(crate) use tend::{ended_ns, remove_file};

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dbal_shared::ids::Digest;
use dbal_shared::message::Head;
use dbal_witness::{Signer, bytes};

use crate::checkpoint;
use crate::folder::first_of;
use crate::line::{Hash, LINE_BYTES, push};
use crate::record::{Event, Outcome, Record};
use crate::seconds::Seconds;
use crate::tail::{self, Tail};

use tend::Files;

/// When records reach the disk. They reach the kernel with each [`Journal::flush`], in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When somebody calls [`Journal::sync`], on a timer.
    Interval,
    /// Before [`Journal::flush`] returns.
    Always,
}

/// Why the journal can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The folder or a file can't be read or written.
    #[error("audit: {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is not there and can't be made by whom it is to belong to.
    #[error(
        "audit: {} is not there, and whoever is to write it can't make it: {source}; make it as root: \
         install -d -m 700 -o USER -g GROUP {}",
        path.display(), path.display()
    )]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another worker writes this journal.
    #[error("audit: {} is in use by another worker; two can't write one chain", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The last record is not what the chain says.
    #[error(
        "audit: {} does not end with a sound record; `dbal audit verify` tells more. \
         Move the folder away (keep it: it is evidence) and start with a new one",
        path.display()
    )]
    BrokenTail {
        /// The file.
        path: PathBuf,
    },
    /// A sync failed once. What the kernel had is unknown (fsync(2)), so nothing more is promised.
    #[error("audit: an earlier sync failed, so what is on the disk is not known; restart the worker")]
    Unsynced,
    /// A file past its time is not removed, since what stands after it does not go on from it.
    #[error(
        "audit: {} does not go on where the files before it end, so they are kept; `dbal audit verify` tells more",
        path.display()
    )]
    NotRemoved {
        /// The file after those that were to be removed.
        path: PathBuf,
    },
    /// What was compressed does not read as it was: it is removed again, and the file stays as it is.
    #[error("audit: {} reads otherwise once it is compressed; it stays as it is", path.display())]
    Miscompressed {
        /// The file.
        path: PathBuf,
    },
    /// Too much waits to be written.
    #[error("audit: {bytes} bytes wait to be written; records are being lost")]
    Full {
        /// How much.
        bytes: usize,
    },
}

/// Most bytes that may wait to be written: minutes of a full disk under load, and still far from the worker's memory.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// Its group may read a file where the umask lets it: whoever seals (docs/audit.md) is another user. The folder says who gets there.
pub(crate) const MODE: u32 = 0o640;

/// An open journal. Cheap to append to from any thread; all I/O is in `flush` and `sync`.
#[derive(Debug)]
pub struct Journal {
    chain: Mutex<Chain>,
    disk: Mutex<Disk>,
    /// Held during a sync, so that `disk` is not: records are written while the disk still works on earlier ones.
    syncing: Mutex<()>,
    /// The files before the one that is written. Locked first of all.
    files: Mutex<Files>,
    durability: Durability,
    terms: Terms,
    dir: PathBuf,
    // Opened before the sandbox is in force: a name in it lasts when this is synced.
    folder: File,
    // Held, not read: the lock ends with the process.
    _lock: File,
}

/// The end of the chain and the records that are not written yet.
#[derive(Debug)]
struct Chain {
    next: u64,
    prev: Hash,
    waiting: Vec<u8>,
    seconds: Seconds,
    lost: u64,
    /// Bytes that [`Disk::unwritten`] still holds, so that both together stay bounded.
    stuck: usize,
    signing: Option<Signing>,
    /// Number of the last record that says anything but what was signed of others.
    telling: u64,
}

/// How far the trail reaches at some place on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Number of the next record.
    next: u64,
    /// Hash of the last one.
    head: Hash,
    /// See [`Chain::telling`].
    telling: u64,
}

/// Who signs, and what is not signed yet.
#[derive(Debug)]
struct Signing {
    signer: Signer,
    /// Records from one checkpoint to the next.
    each: u64,
    unsigned: u64,
    signed_ns: i64,
}

#[derive(Debug)]
struct Disk {
    file: Arc<File>,
    path: PathBuf,
    /// Number of the file's first record.
    first: u64,
    /// Length of the file.
    bytes: u64,
    /// When its first record was written; none while it is empty.
    began_ns: Option<i64>,
    /// What a failed write left over. It goes first next time, so that the chain has no gap.
    unwritten: Vec<u8>,
    is_dirty: bool,
    is_unsynced: bool,
    /// What the kernel has.
    written: Reach,
    /// What the disk has.
    synced: Reach,
}

impl Journal {
    /// Opens the journal in `dir`, making it if need be, and goes on where the chain ends. To be called with the rights of whom the
    /// folder belongs to, not with root's.
    pub fn open(dir: &Path, durability: Durability) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Io {
            path: dir.to_owned(),
            source,
        };
        make_folder(dir).map_err(|source| AuditError::NoFolder {
            path: dir.to_owned(),
            source,
        })?;
        let lock = lock(dir)?;
        let Tail {
            path,
            next,
            prev,
            torn,
            older,
        } = tail::recover(dir)?;
        let file = made::open_or_make(&path, MODE).map_err(failed)?;
        // A worker that was killed may have left what only the kernel has.
        file.sync_data().map_err(failed)?;
        // The file's name must survive a crash too.
        let folder = File::open(dir).map_err(failed)?;
        folder.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let began_ns = tend::began(&path).map_err(failed)?;
        let files = Files::of(older).map_err(failed)?;
        let reach = Reach {
            next,
            head: prev,
            telling: next.saturating_sub(1),
        };

        let journal = Self {
            chain: Mutex::new(Chain {
                next,
                prev,
                waiting: Vec::with_capacity(64 * 1024),
                seconds: Seconds::default(),
                lost: 0,
                stuck: 0,
                signing: None,
                telling: reach.telling,
            }),
            disk: Mutex::new(Disk {
                file: Arc::new(file),
                first: first_of(&path).unwrap_or(next),
                path,
                bytes,
                began_ns,
                unwritten: Vec::new(),
                is_dirty: false,
                is_unsynced: false,
                written: reach,
                synced: reach,
            }),
            syncing: Mutex::new(()),
            files: Mutex::new(files),
            durability,
            terms: Terms::default(),
            dir: dir.to_owned(),
            folder,
            _lock: lock,
        };
        if let Some(torn) = torn {
            let detail = format!(
                "an unfinished record of {} bytes was moved to {}",
                torn.bytes,
                torn.kept.file_name().unwrap_or_default().display()
            );
            journal.append(&Record {
                detail: Some(&detail),
                ..Record::new(now_ns(), Event::Recovered, Outcome::Allowed)
            })?;
            journal.flush()?;
        }
        Ok(journal)
    }

    /// Goes by these terms from here on; without, one file grows and stays.
    #[must_use]
    pub fn under(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// Signs a checkpoint after each `each` records, and what is left when [`Journal::tend`] finds it a minute old.
    #[must_use]
    pub fn signed_by(self, signer: Signer, each: u64) -> Self {
        owned(&self.chain).signing = Some(Signing {
            signer,
            each: each.max(1),
            unsigned: 0,
            signed_ns: now_ns(),
        });
        self
    }

    /// Numbers, chains and buffers a record. No I/O.
    pub fn append(&self, record: &Record<'_>) -> Result<(), AuditError> {
        let mut chain = owned(&self.chain);
        let bytes = chain.waiting.len().saturating_add(chain.stuck);
        if bytes > WAITING_BYTES {
            chain.lost = chain.lost.saturating_add(1);
            return Err(AuditError::Full { bytes });
        }
        if chain.lost > 0 {
            let rows = std::mem::take(&mut chain.lost);
            chain.push(&Record {
                detail: Some("records could not be written and are missing here"),
                rows: Some(rows),
                ..Record::new(record.time_ns, Event::Lost, Outcome::Failed)
            });
        }
        chain.push(record);
        Ok(())
    }

    /// Writes everything appended so far. When it returns `Ok`, the kernel has every record whose `append` came before;
    /// with [`Durability::Always`] the disk has it.
    pub fn flush(&self) -> Result<(), AuditError> {
        self.write_waiting(&mut owned(&self.disk))?;
        match self.durability {
            Durability::Interval => Ok(()),
            Durability::Always => self.sync(),
        }
    }

    /// Makes the disk hold everything that was flushed before.
    pub fn sync(&self) -> Result<(), AuditError> {
        // Who waits here finds that the sync before has covered it, or that there is more and does the next one for all
        // who have come meanwhile.
        let _turn = owned(&self.syncing);
        let (file, written) = {
            let mut disk = owned(&self.disk);
            if disk.is_unsynced {
                return Err(AuditError::Unsynced);
            }
            if !std::mem::take(&mut disk.is_dirty) {
                return Ok(());
            }
            (Arc::clone(&disk.file), disk.written)
        };
        let synced = file.sync_data();
        let mut disk = owned(&self.disk);
        match synced {
            Ok(()) => {
                disk.synced = written;
                Ok(())
            }
            Err(source) => {
                // After a failed fsync the kernel may have dropped the pages: a later success would prove nothing.
                disk.is_unsynced = true;
                Err(disk.failed(source))
            }
        }
    }

    /// Records appended and not yet known to be on the disk.
    pub fn lag(&self) -> u64 {
        let synced = owned(&self.disk).synced.next;
        owned(&self.chain).next.saturating_sub(synced)
    }

    fn write_waiting(&self, disk: &mut Disk) -> Result<(), AuditError> {
        if disk.is_unsynced {
            return Err(AuditError::Unsynced);
        }
        let reach = self.take_waiting(disk);
        let written = disk.write();
        owned(&self.chain).stuck = disk.unwritten.len();
        written.map_err(|source| disk.failed(source))?;
        disk.written = reach;
        Ok(())
    }

    /// The last record on the disk, if any record after number `shown` says more than what was signed of others.
    pub fn head_beyond(&self, shown: u64) -> Option<Head> {
        let Reach { next, head, telling } = owned(&self.disk).synced;
        let hash = std::str::from_utf8(&head).ok().and_then(bytes::<32>)?;
        let sequence = next.checked_sub(1)?;
        (telling > shown).then_some(Head {
            sequence,
            hash: Digest(hash),
        })
    }

    /// Moves the buffered records to the disk's side; returns how far the trail reaches with them.
    fn take_waiting(&self, disk: &mut Disk) -> Reach {
        let mut chain = owned(&self.chain);
        if disk.unwritten.is_empty() {
            // The two buffers change places, so that neither is allocated again.
            std::mem::swap(&mut disk.unwritten, &mut chain.waiting);
        } else {
            disk.unwritten.append(&mut chain.waiting);
        }
        Reach {
            next: chain.next,
            head: chain.prev,
            telling: chain.telling,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        owned(&self.chain).sign(now_ns());
        // Best effort: whoever needs to know has called `flush` and `sync` and looked at the answer.
        let _ = self.flush().and_then(|()| self.sync());
    }
}

impl Chain {
    fn push(&mut self, record: &Record<'_>) {
        self.link(record);
        let is_due = self.signing.as_mut().is_some_and(|signing| {
            signing.unsigned = signing.unsigned.saturating_add(1);
            signing.unsigned >= signing.each
        });
        if is_due {
            self.sign(record.time_ns);
        }
    }

    /// A checkpoint over all that is not signed yet, if there is such, and a key to do it with.
    fn sign(&mut self, now: i64) {
        let Some(signing) = self.signing.as_mut().filter(|signing| signing.unsigned > 0) else {
            return;
        };
        signing.unsigned = 0;
        signing.signed_ns = now;
        let checkpoint = checkpoint::sign(&signing.signer, self.next, &self.prev);
        self.link(&Record {
            checkpoint: Some(&checkpoint),
            ..Record::new(now, Event::Checkpoint, Outcome::Allowed)
        });
    }

    fn link(&mut self, record: &Record<'_>) {
        self.prev = push(
            &mut self.waiting,
            &mut self.seconds,
            self.next,
            &self.prev,
            record,
        );
        if !matches!(record.event, Event::Checkpoint | Event::Countersigned) {
            self.telling = self.next;
        }
        self.next = self.next.saturating_add(1);
    }
}

impl Disk {
    /// Writes all that is unwritten; what could not be written stays, cut exactly where the kernel stopped.
    fn write(&mut self) -> io::Result<()> {
        let mut done: usize = 0;
        let result = loop {
            let rest = self.unwritten.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match (&*self.file).write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => done = done.saturating_add(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.is_dirty |= done > 0;
        self.bytes = self.bytes.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        if done > 0 {
            self.began_ns.get_or_insert_with(now_ns);
        }
        if result.is_ok() {
            self.unwritten.clear();
            // One burst of long records shall not be paid for ever after.
            self.unwritten.shrink_to(LINE_BYTES);
        } else {
            self.unwritten.drain(..done);
        }
        result
    }

    fn failed(&self, source: io::Error) -> AuditError {
        AuditError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// A thread that panicked while it held one of these left no half-made state: every change is made in one step.
fn owned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A journal has one writer.
pub(crate) fn lock(dir: &Path) -> Result<File, AuditError> {
    let path = dir.join("lock");
    let file = made::open_or_make(&path, 0o600);
    let file = file.map_err(|source| AuditError::Io { path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(AuditError::InUse { path: dir.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(AuditError::Io {
            path: dir.to_owned(),
            source,
        }),
    }
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::verify;
    use std::fs::OpenOptions;

    fn record() -> Record<'static> {
        Record::new(now_ns(), Event::Call, Outcome::Allowed)
    }

    /// A journal whose file is replaced by one that can't take a byte.
    fn with_full_disk(dir: &Path) -> (Journal, Arc<File>) {
        let journal = Journal::open(dir, Durability::Always).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let real = std::mem::replace(&mut owned(&journal.disk).file, Arc::new(full));
        (journal, real)
    }

    #[test]
    fn what_a_full_disk_refused_is_written_later_without_a_gap() {
        let dir = tempfile::TempDir::new().unwrap();
        let (journal, real) = with_full_disk(dir.path());
        journal.append(&record()).unwrap();
        assert!(journal.flush().is_err());
        journal.append(&record()).unwrap();
        assert!(journal.flush().is_err());
        assert_eq!(journal.lag(), 2);

        owned(&journal.disk).file = real;
        journal.append(&record()).unwrap();
        journal.flush().unwrap();
        assert_eq!(journal.lag(), 0);
        assert_eq!(verify(dir.path()).unwrap().records, 3);
    }

    #[test]
    fn what_does_not_fit_the_buffer_is_counted_and_the_count_is_written() {
        let dir = tempfile::TempDir::new().unwrap();
        let (journal, real) = with_full_disk(dir.path());
        let mut refused: u64 = 0;
        while refused < 3 {
            if journal.append(&record()).is_err() {
                refused += 1;
            }
        }
        assert!(journal.flush().is_err());
        assert!(matches!(journal.append(&record()), Err(AuditError::Full { .. })));

        owned(&journal.disk).file = real;
        journal.flush().unwrap();
        journal.append(&record()).unwrap();
        journal.flush().unwrap();
        verify(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("audit-00000000000000000001.jsonl")).unwrap();
        let note = text.lines().rev().nth(1).unwrap();
        assert!(
            note.contains("\"event\":\"lost\"") && note.contains("\"rows\":4"),
            "{note}"
        );
    }

    #[test]
    fn records_of_many_threads_stand_in_one_chain_and_are_written_when_flush_returns() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Interval).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        journal.append(&record()).unwrap();
                        journal.flush().unwrap();
                    }
                });
            }
        });
        assert_eq!(verify(dir.path()).unwrap().records, 4_000);
    }

    #[test]
    fn flush_does_not_wait_for_a_sync_under_way() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Interval).unwrap();
        // As long as this is held, somebody's sync is under way.
        let _turn = owned(&journal.syncing);
        journal.append(&record()).unwrap();
        journal.flush().unwrap();
        assert_eq!(journal.lag(), 1);
        assert_eq!(verify(dir.path()).unwrap().records, 1);
    }

    #[test]
    fn with_always_every_thread_finds_its_record_synced() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Always).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        journal.append(&record()).unwrap();
                        let next = owned(&journal.chain).next;
                        journal.flush().unwrap();
                        assert!(owned(&journal.disk).synced.next >= next);
                    }
                });
            }
        });
        assert_eq!(journal.lag(), 0);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_promised_any_more() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(dir.path(), Durability::Always).unwrap();
        // A pipe takes bytes and can't be synced.
        let (_reader, writer) = io::pipe().unwrap();
        owned(&journal.disk).file = Arc::new(File::from(std::os::fd::OwnedFd::from(writer)));
        journal.append(&record()).unwrap();
        assert!(matches!(journal.flush(), Err(AuditError::Io { .. })));
        assert!(matches!(journal.flush(), Err(AuditError::Unsynced)));
    }
}
