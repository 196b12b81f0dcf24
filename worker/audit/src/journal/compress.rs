//! Compresses files that ended. At every moment one of both is whole: the plain one goes only when the other is on the disk
//! and was read back, and as long as both are there, readers take the plain one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use super::tend::remove_file;
use super::{AuditError, Journal, MODE, now_ns, owned};
use crate::folder::is_packed;
use crate::text::{Text, packed};

/// What is compressed at a time: a few milliseconds of work.
const PIECE_BYTES: usize = 128 * 1024;
/// How long it is not tried again after it failed: a disk that is full stays so for a while.
const AGAIN_NS: i64 = 60_000_000_000;

impl Journal {
    /// Compresses the oldest file that has ended and is not compressed yet (of those that failed least often), if [`Journal::under`] says so, and names it. Takes
    /// seconds; records are written meanwhile. `goes_on` is asked between pieces of some hundred kilobytes, and may wait a
    /// little; when it says no, all is left as it was.
    pub fn compress(&self, goes_on: impl FnMut() -> bool) -> Result<Option<PathBuf>, AuditError> {
        let now = now_ns();
        let plain = {
            let files = owned(&self.files);
            let ended = files.ended.iter().filter(|ended| !is_packed(&ended.path));
            let is_due = self.terms.compress && now >= files.compress_ns;
            // One that can't be read shall not keep the others waiting for ever.
            let oldest = ended.min_by_key(|ended| ended.failures).filter(|_| is_due);
            oldest.map(|oldest| (oldest.path.clone(), oldest.at_ns))
        };
        let Some((plain, at_ns)) = plain else {
            return Ok(None);
        };
        let compressed = packed(&plain);
        let whole = self.write_packed(&plain, &compressed, at_ns, goes_on);
        let is_whole = whole.as_ref().is_ok_and(|is_whole| *is_whole);
        let mut files = owned(&self.files);
        let mut entry = files.ended.iter_mut().find(|ended| ended.path == plain);
        if let Some(entry) = &mut entry
            && whole.is_err()
        {
            entry.failures = entry.failures.saturating_add(1);
        }
        let Some(entry) = entry.filter(|_| is_whole) else {
            if whole.is_err() {
                files.compress_ns = now.saturating_add(AGAIN_NS);
            }
            // Given up, failed, or past its time and removed meanwhile.
            return remove_file(&compressed).and(whole).map(|_is_whole| None);
        };
        entry.path.clone_from(&compressed);
        remove_file(&plain)?;
        Ok(Some(compressed))
    }

    /// Whether it is whole, on the disk, and reads as it should; not if it was given up.
    fn write_packed(
        &self,
        plain: &Path,
        compressed: &Path,
        at_ns: i64,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, AuditError> {
        // Left by a worker that was killed.
        remove_file(compressed)?;
        let failed = |source| AuditError::Io {
            path: compressed.to_owned(),
            source,
        };
        if !pack(plain, compressed, at_ns, &mut goes_on).map_err(failed)? {
            return Ok(false);
        }
        self.folder.sync_all().map_err(failed)?;
        match is_same(plain, compressed, &mut goes_on).map_err(failed)? {
            Some(true) => Ok(true),
            None => Ok(false),
            Some(false) => Err(AuditError::Miscompressed {
                path: plain.to_owned(),
            }),
        }
    }
}

/// False if it was given up.
pub(crate) fn pack(
    plain: &Path,
    compressed: &Path,
    at_ns: i64,
    goes_on: &mut impl FnMut() -> bool,
) -> io::Result<bool> {
    let mut from = File::open(plain)?;
    let to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(compressed)?;
    // The age of its last record has to outlast this: files are removed by it.
    let seconds = u32::try_from(at_ns.div_euclid(1_000_000_000)).unwrap_or_default();
    let mut encoder = GzBuilder::new().mtime(seconds).write(to, Compression::fast());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            encoder.finish()?.sync_all()?;
            return Ok(true);
        }
        encoder.write_all(piece.get(..read).unwrap_or_default())?;
        if !goes_on() {
            return Ok(false);
        }
    }
}

/// Whether both hold the same text; none if it was given up.
pub(crate) fn is_same(
    plain: &Path,
    compressed: &Path,
    goes_on: &mut impl FnMut() -> bool,
) -> io::Result<Option<bool>> {
    let mut expected = BufReader::with_capacity(PIECE_BYTES, File::open(plain)?);
    let mut found = Text::open_at(compressed, 0)?;
    let (mut one, mut other) = (vec![0; PIECE_BYTES], Vec::new());
    loop {
        let read = expected.read(&mut one)?;
        let most = u64::try_from(read.max(1)).unwrap_or(u64::MAX);
        other.clear();
        (&mut found).take(most).read_to_end(&mut other)?;
        if one.get(..read) != Some(other.as_slice()) {
            return Ok(Some(false));
        }
        if read == 0 {
            return Ok(Some(true));
        }
        if !goes_on() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::{Lines, files};
    use crate::follow::Follow;
    use crate::journal::{Durability, Terms};
    use crate::record::{Event, Outcome, Record};
    use crate::search::of_request;
    use crate::verify::{What, verify, verify_end};
    use dbal_shared::ids::RequestId;
    use std::fs;
    use std::time::Duration;

    fn terms() -> Terms {
        Terms {
            bytes: Some(1_000),
            compress: true,
            ..Terms::default()
        }
    }

    fn write(journal: &Journal, files: u64) {
        for number in 0..files {
            for _ in 0..5 {
                let request = RequestId {
                    boot: 1,
                    sequence: number,
                };
                let record = Record::new(now_ns(), Event::Call, Outcome::Allowed);
                journal
                    .append(&Record {
                        request: Some(request),
                        ..record
                    })
                    .unwrap();
            }
            journal.flush().unwrap();
            journal.tend().unwrap();
        }
    }

    fn open(dir: &Path) -> Journal {
        Journal::open(dir, Durability::Interval).unwrap().under(terms())
    }

    fn endings(dir: &Path) -> Vec<bool> {
        files(dir).unwrap().iter().map(|file| is_packed(file)).collect()
    }

    #[test]
    fn what_is_compressed_reads_verifies_and_goes_on_as_before_also_after_a_restart() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = open(dir.path());
        write(&journal, 3);
        let before = verify(dir.path()).unwrap();
        let kept: Vec<Vec<u8>> = files(dir.path())
            .unwrap()
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect();
        let (_, mut behind) = Follow::last(dir.path(), 0).unwrap();
        for _ in 0..3 {
            assert!(journal.compress(|| true).unwrap().is_some());
        }
        assert_eq!(journal.compress(|| true).unwrap(), None);
        assert_eq!(endings(dir.path()), [true, true, true, false]);
        assert_eq!(verify(dir.path()).unwrap(), before);
        for (file, kept) in files(dir.path()).unwrap().iter().zip(kept) {
            let mut text = Vec::new();
            Text::open_at(file, 0).unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text, kept);
        }
        assert_eq!(of_request(dir.path(), "00000001-1").unwrap().len(), 5);
        assert_eq!(Follow::last(dir.path(), 12).unwrap().0.len(), 12);
        assert_eq!(behind.more().unwrap(), Vec::<String>::new());
        drop(journal);

        // With an empty newest file, and with none: the end of the chain is in a compressed one.
        for is_gone in [false, true] {
            if is_gone {
                fs::remove_file(files(dir.path()).unwrap().pop().unwrap()).unwrap();
            }
            let journal = open(dir.path());
            write(&journal, 1);
            while journal.compress(|| true).unwrap().is_some() {}
        }
        assert_eq!(verify(dir.path()).unwrap().records, before.records + 10);
        assert_eq!(behind.more().unwrap().len(), 5);
        assert_eq!(behind.more().unwrap().len(), 5);
        assert!(verify_end(dir.path(), 1).is_ok());
    }

    /// What each step leaves when the worker is killed after it.
    #[test]
    fn a_crash_in_the_middle_loses_no_record_and_the_next_worker_compresses_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = open(dir.path());
        write(&journal, 1);
        let plain = files(dir.path()).unwrap().remove(0);
        let text = fs::read(&plain).unwrap();
        let written = fs::metadata(&plain).unwrap().modified().unwrap();
        let compressed = journal.compress(|| true).unwrap().unwrap();
        let whole = fs::read(&compressed).unwrap();
        drop(journal);
        for cut in [0, 1, whole.len() / 2, whole.len()] {
            fs::write(&plain, &text).unwrap();
            let file = File::options().append(true).open(&plain).unwrap();
            file.set_modified(written).unwrap();
            fs::write(&compressed, &whole[..cut]).unwrap();
            assert_eq!(verify(dir.path()).unwrap().records, 5, "cut at {cut}");
            let journal = open(dir.path());
            assert_eq!(journal.compress(|| true).unwrap(), Some(compressed.clone()));
            drop(journal);
            assert!(!plain.exists());
            assert_eq!(fs::read(&compressed).unwrap(), whole);
        }
        // Cut when the plain one is gone: not by a crash of ours.
        fs::write(&compressed, &whole[..whole.len() / 2]).unwrap();
        let broken = verify(dir.path()).unwrap_err();
        assert!(
            matches!(broken.what, What::Unreadable(_) | What::Torn { .. }),
            "{broken}"
        );
    }

    #[test]
    fn given_up_or_failed_it_leaves_all_as_it_was() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = open(dir.path());
        write(&journal, 1);
        assert_eq!(journal.compress(|| false).unwrap(), None);
        assert_eq!(endings(dir.path()), [false, false]);
        let plain = files(dir.path()).unwrap().remove(0);
        // A folder in its place can't be removed like a file.
        fs::create_dir(packed(&plain)).unwrap();
        assert!(journal.compress(|| true).is_err());
        assert_eq!(journal.compress(|| true).unwrap(), None, "not again at once");
        assert_eq!(verify(dir.path()).unwrap().records, 5);
    }

    #[test]
    fn a_file_that_can_not_be_compressed_keeps_no_other_waiting() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = open(dir.path());
        write(&journal, 3);
        let oldest = files(dir.path()).unwrap().remove(0);
        fs::create_dir(packed(&oldest)).unwrap();
        let mut compressed = 0;
        for _minute in 0..3 {
            owned(&journal.files).compress_ns = i64::MIN;
            compressed += usize::from(matches!(journal.compress(|| true), Ok(Some(_))));
        }
        assert_eq!(compressed, 2);
        fs::remove_dir(packed(&oldest)).unwrap();
        owned(&journal.files).compress_ns = i64::MIN;
        assert_eq!(journal.compress(|| true).unwrap(), Some(packed(&oldest)));
    }

    #[test]
    fn the_age_of_a_file_outlasts_its_compression_and_it_is_removed_by_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let journal = open(dir.path());
        write(&journal, 2);
        while journal.compress(|| true).unwrap().is_some() {}
        let ended = owned(&journal.files).ended[0].at_ns;
        drop(journal);
        let journal = Journal::open(dir.path(), Durability::Interval)
            .unwrap()
            .under(Terms {
                keep_files: Some(1),
                keep: Some(Duration::from_hours(24)),
                ..terms()
            });
        let read = owned(&journal.files).ended[0].at_ns;
        assert_eq!(read, ended - ended.rem_euclid(1_000_000_000));
        assert_eq!(journal.tend().unwrap().removed.len(), 1);
        assert_eq!(endings(dir.path()).len(), 2);
    }

    #[test]
    fn a_compressed_file_of_a_stranger_takes_no_memory_for_what_it_promises() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("audit-00000000000000000001.jsonl.gz");
        // 16 MiB of zeros, without an end of a line, in some 70 kB.
        let mut encoder = GzBuilder::new().write(File::create(&file).unwrap(), Compression::fast());
        for _ in 0..16 {
            encoder.write_all(&vec![0; 1024 * 1024]).unwrap();
        }
        encoder.finish().unwrap();
        let mut lines = Lines::open(&file).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().1.len(), crate::line::LINE_BYTES);
        assert!(matches!(
            verify(dir.path()).unwrap_err().what,
            What::Torn { seq: 1 }
        ));
        assert!(Journal::open(dir.path(), Durability::Interval).is_err());
    }
}
