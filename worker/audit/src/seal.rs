//! Takes records, as they come, into a folder that whoever writes the journal can't reach: what is there can't be changed any more
//! by a worker that is taken later. Run as a user of its own (docs/audit.md).

mod retire;

pub use retire::{Keep, Retired};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dbal_shared::ids::Digest;
use dbal_shared::message::Head;
use dbal_witness::bytes;

use crate::folder::{Lines, files, first_of, is_packed};
use crate::journal::compress::{is_same, pack};
use crate::journal::{AuditError, MODE, ended_ns, lock, made, make_folder, remove_file};
use crate::line::{Hash, LINE_BYTES, Link, parse};
use crate::tail::{self, Tail};
use crate::text::{Text, packed};
use crate::verify::{Kind, stands_at};

/// What is written at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Why nothing more is sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The folder to seal into can't be read or written, or does not end with a sound record.
    #[error(transparent)]
    Sealed(#[from] AuditError),
    /// The journal can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was sealed last does not stand in the journal any more.
    #[error(
        "incident: record {seq} is sealed and does not stand in {}: the journal was cut or written anew. Copy both folders away \
         and compare them (docs/audit.md)",
        path.display()
    )]
    NotAsSealed {
        /// The record's number.
        seq: u64,
        /// Where it belongs.
        path: PathBuf,
    },
    /// What follows does not go on from what is sealed.
    #[error("incident: {}: record {seq} is not sound, or does not go on from the one before it", path.display())]
    Unsound {
        /// The number of the record that belongs there.
        seq: u64,
        /// The file.
        path: PathBuf,
    },
    /// Records were removed from the journal before they were sealed.
    #[error("incident: records {from} to {to} are gone from {} and were never sealed", folder.display())]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// The journal.
        folder: PathBuf,
    },
    /// A sync failed. What the kernel had is unknown (fsync(2)): what the disk has is to be read anew.
    #[error("{}: can't be synced: {source}; what the disk has is to be read anew", path.display())]
    Unsynced {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SealError {
    /// Whether the next [`Sealer::look`] may do better, as when a disk is full and gets room: nothing was found to be wrong with
    /// the records.
    pub fn may_pass(&self) -> bool {
        match self {
            SealError::Unreadable { .. } | SealError::Sealed(AuditError::Io { .. }) => true,
            SealError::Sealed(
                AuditError::InUse { .. }
                | AuditError::NoFolder { .. }
                | AuditError::BrokenTail { .. }
                | AuditError::Unsynced
                | AuditError::NotRemoved { .. }
                | AuditError::Miscompressed { .. }
                | AuditError::Full { .. },
            )
            | SealError::NotAsSealed { .. }
            | SealError::Unsound { .. }
            | SealError::Missing { .. }
            | SealError::Unsynced { .. } => false,
        }
    }

    /// Whether somebody changed, cut or removed records.
    pub fn is_incident(&self) -> bool {
        match self {
            SealError::NotAsSealed { .. } | SealError::Unsound { .. } | SealError::Missing { .. } => true,
            SealError::Sealed(_) | SealError::Unreadable { .. } | SealError::Unsynced { .. } => false,
        }
    }
}

/// What one [`Sealer::look`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// So many records were sealed.
    pub records: u64,
    /// Files that have ended and are compressed.
    pub packed: Vec<PathBuf>,
}

/// A folder that records are taken into. Spent after an error, but for one that [may pass](SealError::may_pass): open it again.
#[derive(Debug)]
pub struct Sealer {
    from: PathBuf,
    to: PathBuf,
    /// Number of the next record, and hash of the last one.
    next: u64,
    prev: Hash,
    /// The same as far as it is written: what was read and could not be written is read again.
    written: (u64, Hash),
    file: Option<Open>,
    /// Whether the kernel has what the disk may not have.
    is_dirty: bool,
    /// Files that ended and are not compressed, oldest first.
    plain: Vec<PathBuf>,
    keep: Keep,
    /// The last record of which the trail says that its file was removed from the journal; none: not looked up yet.
    removed_to: Option<u64>,
    // Opened before the sandbox is in force.
    folder: File,
    // Held, not read.
    _lock: File,
}

/// The file that is written.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    first: u64,
    bytes: u64,
    /// Length of its last line.
    line_bytes: u64,
}

impl Sealer {
    /// Goes on from what `to` holds, making it if need be.
    pub fn open(from: &Path, to: &Path) -> Result<Self, SealError> {
        let failed = |source| AuditError::Io {
            path: to.to_owned(),
            source,
        };
        make_folder(to).map_err(|source| AuditError::NoFolder {
            path: to.to_owned(),
            source,
        })?;
        let lock = lock(to)?;
        let Tail {
            path,
            next,
            prev,
            torn: _,
            older,
        } = tail::recover(to)?;
        let file = Open::at(&path, next).map_err(failed)?;
        Ok(Self {
            from: from.to_owned(),
            next,
            prev,
            written: (next, prev),
            file,
            is_dirty: false,
            keep: Keep::default(),
            removed_to: None,
            plain: older.into_iter().filter(|path| !is_packed(path)).collect(),
            folder: File::open(to).map_err(failed)?,
            to: to.to_owned(),
            _lock: lock,
        })
    }

    /// The last record that is sealed.
    pub fn head(&self) -> Option<Head> {
        let sequence = self.next.checked_sub(1).filter(|last| *last > 0)?;
        let hash = std::str::from_utf8(&self.prev).ok().and_then(bytes::<32>)?;
        Some(Head {
            sequence,
            hash: Digest(hash),
        })
    }

    /// Seals what has come since the last look, and is on the disk. When it returns, the disk has what it sealed.
    pub fn look(&mut self) -> Result<Look, SealError> {
        let before = self.next;
        let files = files(&self.from).map_err(unreadable(&self.from))?;
        let at = files.iter().rposition(|path| first_of(path) <= Some(self.next));
        let Some(at) = at else {
            return self.found_none(&files);
        };
        // A file that has just begun says nothing of the one before it, which holds the last record that is sealed.
        let goes_on_in = first_of(files.get(at).unwrap_or(&self.from));
        let at = if goes_on_in == Some(self.next) {
            at.saturating_sub(1)
        } else {
            at
        };
        for path in files.get(at..).unwrap_or_default() {
            self.take(path)?;
        }
        let mut look = Look {
            records: self.next.saturating_sub(before),
            packed: Vec::new(),
        };
        while let Some(plain) = self.plain.first() {
            look.packed.push(self.pack(plain)?);
            self.plain.remove(0);
        }
        Ok(look)
    }

    /// No file of the journal reaches back to the next record.
    fn found_none(&self, files: &[PathBuf]) -> Result<Look, SealError> {
        if let Some(oldest) = files.first().and_then(|path| first_of(path)) {
            return Err(SealError::Missing {
                from: self.next,
                to: oldest.saturating_sub(1),
                folder: self.from.clone(),
            });
        }
        if self.next == 1 {
            return Ok(Look::default());
        }
        Err(self.not_as_sealed(&self.from))
    }

    /// Seals what one file holds beyond what is sealed.
    fn take(&mut self, path: &Path) -> Result<(), SealError> {
        let taken = self.read(path);
        if taken.is_err() {
            (self.next, self.prev) = self.written;
        }
        taken.and_then(|()| self.sync())
    }

    fn read(&mut self, path: &Path) -> Result<(), SealError> {
        let first = first_of(path).unwrap_or_default();
        let before = self.next;
        // The records of the file that is written stand in that one alone: in an older one, or in one that begins among them, they were
        // written anew.
        let holds = self.file.as_ref().filter(|file| file.bytes > 0);
        if holds.is_some_and(|file| first < file.first || (file.first < first && first < self.next)) {
            return Err(self.not_as_sealed(path));
        }
        let known = self.file.as_ref().filter(|file| file.first == first);
        let is_known = known.is_some();
        let from = known.map_or(0, |file| file.bytes);
        if let Some(file) = known.filter(|file| file.bytes > 0) {
            let last = from.saturating_sub(file.line_bytes);
            if !stands_at(path, last, &self.prev).map_err(unreadable(path))? {
                return Err(self.not_as_sealed(path));
            }
        } else if first > self.next {
            return Err(SealError::Missing {
                from: self.next,
                to: first.saturating_sub(1),
                folder: self.from.clone(),
            });
        }
        let text = Text::open_at(path, from).map_err(unreadable(path))?;
        let most = on_disk(&text).map_err(unreadable(path))?;
        let most = most.map_or(u64::MAX, |bytes| bytes.saturating_sub(from));
        let mut lines = Lines::of(text, most);
        let mut piece = Vec::new();
        let mut line_bytes = 0;
        // Where nothing is known of the file, its lines before `next` are passed by; the last of them is the one that is sealed.
        let mut found = if from > 0 { self.next } else { first };
        while let Some((_, line)) = lines.next().map_err(unreadable(path))? {
            let Some(record) = line.strip_suffix(b"\n") else {
                if line.len() >= LINE_BYTES {
                    return Err(self.unsound(path));
                }
                // Still being written.
                break;
            };
            let link = parse(record).filter(|link| link.hash == link.computed && link.seq == found);
            let link = link.ok_or_else(|| self.unsound(path))?;
            found = found.saturating_add(1);
            if link.seq < self.next {
                let is_last = link.seq.saturating_add(1) == self.next;
                if is_last && link.hash != self.prev {
                    return Err(self.not_as_sealed(path));
                }
                continue;
            }
            let Link { seq, prev, hash, .. } = link;
            // Nothing is added to a file that has ended, which may be compressed: a second one of its name would take its place.
            let is_begun = is_known || self.next > before || seq == first;
            if prev != self.prev || !is_begun {
                return Err(self.unsound(path));
            }
            piece.extend_from_slice(line);
            line_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
            if let Kind::Removed { to, .. } = Kind::of(record) {
                self.removed_to = self.removed_to.map(|known| known.max(to));
            }
            self.prev = hash;
            self.next = self.next.saturating_add(1);
            if piece.len() >= PIECE_BYTES {
                self.write(first, &mut piece, line_bytes)?;
            }
        }
        if found < self.next {
            return Err(self.not_as_sealed(path));
        }
        self.write(first, &mut piece, line_bytes)
    }

    /// Appends whole lines to the file that begins with this record, or begins it.
    fn write(&mut self, first: u64, piece: &mut Vec<u8>, line_bytes: u64) -> Result<(), SealError> {
        if piece.is_empty() {
            return Ok(());
        }
        let path = self.to.join(crate::folder::file_name(first));
        let failed = |source| AuditError::Io {
            path: path.clone(),
            source,
        };
        let is_new = self.file.as_ref().is_none_or(|file| file.first != first);
        let mut options = OpenOptions::new();
        options.append(true).mode(MODE).create_new(is_new);
        let mut to = options.open(&path).map_err(failed)?;
        let before = self
            .file
            .as_ref()
            .filter(|_| !is_new)
            .map_or(0, |file| file.bytes);
        if let Err(full) = to.write_all(piece) {
            // A part of it may stand there. The next attempt begins where this one did.
            if is_new {
                remove_file(&path)?;
            } else {
                to.set_len(before).map_err(failed)?;
            }
            return Err(failed(full).into());
        }
        self.is_dirty = true;
        self.written = (self.next, self.prev);
        if is_new {
            let unsynced = |source| SealError::Unsynced {
                path: path.clone(),
                source,
            };
            to.sync_all().map_err(unsynced)?;
            self.folder.sync_all().map_err(unsynced)?;
            let begun = Open {
                path: path.clone(),
                first,
                bytes: 0,
                line_bytes: 0,
            };
            let ended = self.file.replace(begun);
            self.plain.extend(ended.map(|ended| ended.path));
        }
        if let Some(file) = &mut self.file {
            let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            file.bytes = file.bytes.saturating_add(bytes);
            file.line_bytes = line_bytes;
        }
        piece.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SealError> {
        let Some(Open { path, .. }) = self.file.as_ref().filter(|_| self.is_dirty) else {
            return Ok(());
        };
        let synced = File::open(path).and_then(|file| file.sync_data());
        synced.map_err(|source| SealError::Unsynced {
            path: path.clone(),
            source,
        })?;
        self.is_dirty = false;
        Ok(())
    }

    /// Compresses a file that has ended; both are there until one is whole.
    fn pack(&self, plain: &Path) -> Result<PathBuf, SealError> {
        let compressed = packed(plain);
        let failed = |source| AuditError::Io {
            path: compressed.clone(),
            source,
        };
        // Left by one that was killed.
        remove_file(&compressed)?;
        let at_ns = ended_ns(plain).map_err(failed)?;
        if let Err(full) = pack(plain, &compressed, at_ns, &mut || true) {
            remove_file(&compressed)?;
            return Err(failed(full).into());
        }
        self.folder.sync_all().map_err(failed)?;
        if is_same(plain, &compressed, &mut || true).map_err(failed)? != Some(true) {
            remove_file(&compressed)?;
            return Err(AuditError::Miscompressed {
                path: plain.to_owned(),
            }
            .into());
        }
        remove_file(plain)?;
        Ok(compressed)
    }

    fn not_as_sealed(&self, path: &Path) -> SealError {
        SealError::NotAsSealed {
            seq: self.next.saturating_sub(1),
            path: path.to_owned(),
        }
    }

    fn unsound(&self, path: &Path) -> SealError {
        SealError::Unsound {
            seq: self.next,
            path: path.to_owned(),
        }
    }
}

impl Open {
    /// The file that was written last, if it is there and plain.
    fn at(path: &Path, next: u64) -> io::Result<Option<Self>> {
        let bytes = match fs::metadata(path) {
            Ok(metadata) => {
                made::must_have_one_name(&metadata)?;
                metadata.len()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let first = first_of(path).unwrap_or(next);
        let mut lines = Lines::open_at(
            path,
            bytes.saturating_sub(u64::try_from(LINE_BYTES).unwrap_or(u64::MAX)),
        )?;
        let mut line_bytes = 0;
        while let Some((_, line)) = lines.next()? {
            line_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        }
        Ok(Some(Self {
            path: path.to_owned(),
            first,
            bytes,
            line_bytes,
        }))
    }
}

/// Makes the disk hold all that a file has, and says how much that is; none for a compressed one, which is there as a whole. What
/// only the kernel had could be gone after a crash of the machine, and the journal would go on otherwise than it was sealed.
fn on_disk(text: &Text) -> io::Result<Option<u64>> {
    match text {
        Text::Plain(file) => {
            let bytes = file.metadata()?.len();
            file.sync_data()?;
            Ok(Some(bytes))
        }
        Text::Packed(_) => Ok(None),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SealError {
    move |source| SealError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::file_name;
    use crate::follow::Follow;
    use crate::journal::{Durability, Journal, Terms};
    use crate::record::{Event, Outcome, Record};
    use crate::search::{Wanted, each};
    use crate::verify::{Demands, What, verify, verify_across};

    /// What somebody does to a file.
    type Spoil = fn(&Path);

    pub(super) struct Folders {
        dir: tempfile::TempDir,
        pub(super) from: PathBuf,
        pub(super) to: PathBuf,
    }

    impl Folders {
        pub(super) fn new() -> Self {
            let dir = tempfile::TempDir::new().unwrap();
            let (from, to) = (dir.path().join("journal"), dir.path().join("sealed"));
            Self { dir, from, to }
        }

        pub(super) fn journal(&self) -> Journal {
            let terms = Terms {
                bytes: Some(1_000),
                compress: true,
                ..Terms::default()
            };
            Journal::open(&self.from, Durability::Interval)
                .unwrap()
                .under(terms)
        }

        pub(super) fn sealer(&self) -> Sealer {
            Sealer::open(&self.from, &self.to).unwrap()
        }

        /// The newest file of the journal.
        fn newest(&self) -> PathBuf {
            files(&self.from).unwrap().pop().unwrap()
        }

        /// How many records both folders hold together.
        fn records(&self) -> u64 {
            let both = [self.to.as_path(), self.from.as_path()];
            verify_across(&both, &Demands::default()).unwrap().records
        }
    }

    pub(super) fn write(journal: &Journal, records: usize) {
        for _ in 0..records {
            journal
                .append(&Record::new(
                    jiff::Timestamp::now().as_microsecond(),
                    Event::Call,
                    Outcome::Allowed,
                ))
                .unwrap();
        }
        journal.flush().unwrap();
    }

    fn shorten(file: &Path, lines: usize) {
        let text = fs::read_to_string(file).unwrap();
        let kept: Vec<&str> = text.split_inclusive('\n').take(lines).collect();
        fs::write(file, kept.concat()).unwrap();
    }

    #[test]
    fn what_is_sealed_and_what_comes_after_it_read_as_one_trail() {
        let folders = Folders::new();
        let journal = folders.journal();
        let mut sealer = folders.sealer();
        let mut written = 0;
        for round in 1..=12_usize {
            write(&journal, 3);
            written += 3;
            if round % 3 == 0 {
                journal.tend().unwrap();
                journal.compress(|| true).unwrap();
            }
            if round % 5 == 0 {
                // Another one goes on where this one ended.
                drop(sealer);
                sealer = folders.sealer();
            }
            if round % 2 == 0 {
                let look = sealer.look().unwrap();
                assert!(look.records > 0);
                assert_eq!(sealer.head().unwrap().sequence, written);
                assert_eq!(verify(&folders.to).unwrap().records, written);
                assert_eq!(sealer.look().unwrap(), Look::default());
            }
            assert_eq!(folders.records(), written, "round {round}");
            let both = [folders.to.as_path(), folders.from.as_path()];
            let mut shown = 0;
            each(&both, &Wanted::default(), |found, _| {
                assert!(found.is_sound);
                shown += 1;
                Ok::<_, io::Error>(())
            })
            .unwrap();
            assert_eq!(shown, written);
            assert_eq!(
                Follow::across(&both, 5).unwrap().0.len(),
                5.min(usize::try_from(written).unwrap())
            );
        }
        let kept = files(&folders.to).unwrap();
        assert!(
            kept.len() > 2 && kept.iter().rev().skip(1).all(|file| is_packed(file)),
            "{kept:?}"
        );
        // Text by text the same, whichever of the two has it compressed.
        for file in &kept {
            let name = first_of(file).unwrap();
            let mut texts = Vec::new();
            for folder in [&folders.from, &folders.to] {
                let path = files(folder)
                    .unwrap()
                    .into_iter()
                    .find(|path| first_of(path) == Some(name));
                let mut text = String::new();
                io::Read::read_to_string(&mut Text::open_at(&path.unwrap(), 0).unwrap(), &mut text).unwrap();
                texts.push(text);
            }
            assert!(texts[0].starts_with(&texts[1]));
        }
        drop(folders.dir);
    }

    #[test]
    fn a_journal_that_is_cut_or_written_anew_is_told_and_the_sealed_records_stay() {
        let cases: [(&str, Spoil); 4] = [
            ("cut", |file| shorten(file, 1)),
            ("emptied", |file| fs::write(file, "").unwrap()),
            ("removed", |file| fs::remove_file(file).unwrap()),
            ("written anew", |file| {
                fs::remove_file(file).unwrap();
                let journal = Journal::open(file.parent().unwrap(), Durability::Interval).unwrap();
                write(&journal, 9);
            }),
        ];
        for (what, spoil) in cases {
            for is_again in [false, true] {
                let folders = Folders::new();
                let journal = folders.journal();
                let mut sealer = folders.sealer();
                write(&journal, 3);
                sealer.look().unwrap();
                drop(journal);
                spoil(&folders.newest());
                if is_again {
                    drop(sealer);
                    sealer = folders.sealer();
                }
                let told = sealer.look().unwrap_err();
                assert!(
                    matches!(told, SealError::NotAsSealed { seq: 3, .. }),
                    "{what}: {told}"
                );
                assert_eq!(verify(&folders.to).unwrap().records, 3, "{what}");
                let both = [folders.to.as_path(), folders.from.as_path()];
                let broken = verify_across(&both, &Demands::default())
                    .err()
                    .unwrap_or_else(|| panic!("{what}, and it verifies"));
                assert!(
                    matches!(broken.what, What::NotAsSealed { seq: 3 }),
                    "{what}: {broken}"
                );
            }
        }
    }

    #[test]
    fn an_ended_file_that_is_cut_behind_a_new_one_is_told() {
        let folders = Folders::new();
        let journal = folders.journal();
        let mut sealer = folders.sealer();
        write(&journal, 5);
        sealer.look().unwrap();
        journal.tend().unwrap();
        let ended = files(&folders.from).unwrap().remove(0);
        shorten(&ended, 2);
        let told = sealer.look().unwrap_err();
        assert!(matches!(told, SealError::NotAsSealed { seq: 5, .. }), "{told}");
    }

    #[test]
    fn what_does_not_go_on_is_not_sealed() {
        let folders = Folders::new();
        let journal = folders.journal();
        let mut sealer = folders.sealer();
        write(&journal, 2);
        sealer.look().unwrap();
        write(&journal, 2);
        drop(journal);
        let newest = folders.newest();
        let text = fs::read_to_string(&newest).unwrap();
        let changed = text.replacen("\"seq\":4", "\"seq\":5", 1);
        fs::write(&newest, changed).unwrap();
        let told = sealer.look().unwrap_err();
        drop(sealer);
        assert!(matches!(told, SealError::Unsound { seq: 4, .. }), "{told}");
        assert!(verify(&folders.to).unwrap().records < 4);
        // An unfinished line waits for its end, and one that has none is refused.
        fs::write(&newest, &text[..text.len() - 1]).unwrap();
        assert_eq!(folders.sealer().look().unwrap().records, 1);
        fs::write(&newest, &text).unwrap();
        assert_eq!(folders.sealer().look().unwrap().records, 1);
        fs::write(&newest, text + &"x".repeat(LINE_BYTES)).unwrap();
        assert!(matches!(
            folders.sealer().look().unwrap_err(),
            SealError::Unsound { seq: 5, .. }
        ));
    }

    #[test]
    fn a_file_that_has_ended_takes_no_more_records_and_what_is_sealed_of_it_stays() {
        for is_again in [false, true] {
            for only_packed in [false, true] {
                let folders = Folders::new();
                let journal = folders.journal();
                let mut sealer = folders.sealer();
                write(&journal, 5);
                sealer.look().unwrap();
                journal.tend().unwrap();
                write(&journal, 3);
                sealer.look().unwrap();
                let ended = files(&folders.to).unwrap().remove(0);
                assert!(is_packed(&ended), "{ended:?}");
                let before = fs::read(&ended).unwrap();
                // A taken worker has all of its own records, and can write others after them: here in the name of the first file.
                write(&journal, 2);
                drop(journal);
                let [first, second] = files(&folders.from).unwrap().try_into().unwrap();
                let both = [fs::read(&first).unwrap(), fs::read(&second).unwrap()].concat();
                fs::write(&first, both).unwrap();
                fs::remove_file(&second).unwrap();
                if is_again {
                    drop(sealer);
                    if only_packed {
                        let newest = files(&folders.to).unwrap().pop().unwrap();
                        pack(&newest, &packed(&newest), 0, &mut || true).unwrap();
                        fs::remove_file(&newest).unwrap();
                    }
                    sealer = folders.sealer();
                }
                let told = sealer.look().unwrap_err();
                let is_told = if is_again && only_packed {
                    matches!(told, SealError::Unsound { seq: 9, .. })
                } else {
                    matches!(told, SealError::NotAsSealed { seq: 8, .. })
                };
                assert!(is_told, "{told}");
                assert_eq!(fs::read(&ended).unwrap(), before);
                assert!(!folders.to.join(file_name(1)).exists());
                assert_eq!(verify(&folders.to).unwrap().records, 8);
            }
        }
    }

    #[test]
    fn a_file_that_begins_among_sealed_records_is_told() {
        let folders = Folders::new();
        let journal = folders.journal();
        let mut sealer = folders.sealer();
        write(&journal, 4);
        sealer.look().unwrap();
        write(&journal, 2);
        drop(journal);
        let all = fs::read_to_string(folders.newest()).unwrap();
        let at = all.split_inclusive('\n').take(2).map(str::len).sum();
        let (one, other) = all.split_at(at);
        fs::write(folders.from.join(file_name(1)), one).unwrap();
        fs::write(folders.from.join(file_name(3)), other).unwrap();
        let told = sealer.look().unwrap_err();
        assert!(matches!(told, SealError::NotAsSealed { seq: 4, .. }), "{told}");
        assert_eq!(verify(&folders.to).unwrap().records, 4);
    }

    #[test]
    fn records_that_are_gone_before_they_are_sealed_are_told() {
        let folders = Folders::new();
        let journal = folders.journal();
        for _ in 0..3 {
            write(&journal, 5);
            journal.tend().unwrap();
        }
        fs::remove_file(files(&folders.from).unwrap().remove(0)).unwrap();
        let told = folders.sealer().look().unwrap_err();
        assert!(
            matches!(told, SealError::Missing { from: 1, to: 5, .. }),
            "{told}"
        );
        let one = folders.sealer();
        assert!(matches!(
            Sealer::open(&folders.from, &folders.to),
            Err(SealError::Sealed(AuditError::InUse { .. }))
        ));
        drop(one);
        assert!(!folders.to.join(file_name(1)).exists());
    }

    #[test]
    fn a_sealer_that_was_killed_while_it_wrote_goes_on() {
        let folders = Folders::new();
        let journal = folders.journal();
        write(&journal, 4);
        folders.sealer().look().unwrap();
        let file = files(&folders.to).unwrap().remove(0);
        let text = fs::read(&file).unwrap();
        for cut in [1, text.len() / 2, text.len() - 1] {
            fs::write(&file, &text[..cut]).unwrap();
            // Readers take whole lines of it alone.
            assert_eq!(folders.records(), 4);
            let mut sealer = folders.sealer();
            sealer.look().unwrap();
            assert_eq!(fs::read(&file).unwrap(), text);
        }
    }

    #[test]
    fn what_could_not_be_written_is_sealed_later_with_no_gap_and_nothing_twice() {
        let folders = Folders::new();
        let journal = folders.journal();
        let mut sealer = folders.sealer();
        write(&journal, 3);
        // A name that is taken is refused like a file for which there is no room.
        let name = folders.to.join(file_name(1));
        fs::create_dir(&name).unwrap();
        for _ in 0..2 {
            let told = sealer.look().unwrap_err();
            assert!(told.may_pass() && !told.is_incident(), "{told}");
            assert_eq!(sealer.head(), None, "nothing is sealed");
        }
        fs::remove_dir(&name).unwrap();
        assert_eq!(sealer.look().unwrap().records, 3);
        assert_eq!(verify(&folders.to).unwrap().records, 3);
    }
}
