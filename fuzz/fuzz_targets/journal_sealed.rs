//! A journal whose worker may be taken, and the keeper that seals it (`dbal audit seal`): what is sealed is one chain and stays as it
//! is, whatever the worker does to its own folder between two looks; and as long as it does nothing but its work, all of it is sealed.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dbal_audit::{Demands, SealError, Sealer, What, verify_across};
use dbal_fuzz::journal::{chained, gz, is_chain, text_of};
use libfuzzer_sys::fuzz_target;

static FOLDERS: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = dbal_fuzz::scratch::folder("sealed");
    (folder.join("journal"), folder.join("sealed"))
});

/// Most steps of one input.
const STEPS: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let [count, rest @ ..] = bytes else {
        return;
    };
    let (steps, bodies) = rest.split_at((usize::from(*count) % STEPS * 2).min(rest.len()));
    let (from, to) = &*FOLDERS;
    for folder in [from, to] {
        let _ = fs::remove_dir_all(folder);
    }
    fs::create_dir_all(from).expect("a folder");
    let trail = chained(bodies);
    let mut worker = Worker {
        folder: from,
        left: trail.split_inclusive(|byte| *byte == b'\n').collect(),
        written: Vec::new(),
        is_honest: true,
    };
    let mut sealer = Sealer::open(from, to).expect("nothing is there yet");
    let mut sealed = Vec::new();
    for step in steps.chunks_exact(2) {
        let (what, how) = (step[0], step[1]);
        if what % 16 == 15 {
            drop(sealer);
            sealer = Sealer::open(from, to).expect("what is sealed is sound");
        } else {
            worker.step(what % 16, how, bodies);
        }
        let looked = sealer.look();
        let before = std::mem::replace(&mut sealed, text_of(to));
        assert!(sealed.starts_with(&before), "what was sealed has changed");
        assert!(is_chain(&sealed), "what is sealed is no chain");
        if worker.is_honest {
            assert!(looked.is_ok(), "{looked:?}");
            assert!(sealed == worker.written, "it was not all sealed");
        }
        let both = verify_across(&[to, from], &Demands::default());
        let is_as_sealed = !matches!(&both, Err(broken) if matches!(broken.what, What::NotAsSealed { .. }));
        match looked {
            Ok(_) => assert!(is_as_sealed, "the keeper saw nothing: {both:?}"),
            Err(error) => {
                assert!(!matches!(error, SealError::Sealed(_)), "its own folder: {error}");
                // As an operator starts it again.
                drop(sealer);
                sealer = Sealer::open(from, to).expect("what is sealed is sound");
            }
        }
    }
});

/// What writes the journal.
struct Worker<'a> {
    folder: &'a Path,
    /// Its next records.
    left: Vec<&'a [u8]>,
    /// All that it wrote.
    written: Vec<u8>,
    /// It only added records, began files and compressed those that had ended.
    is_honest: bool,
}

impl Worker<'_> {
    fn step(&mut self, what: u8, how: u8, anything: &[u8]) {
        let at = usize::from(how);
        let files = files(self.folder);
        let newest = files.last().cloned();
        match (what, &newest) {
            (0..=3, Some(newest)) if !is_packed(newest) => self.write(newest, at % 4 + 1),
            (0..=6, _) if !self.left.is_empty() => {
                let next = self.written.split_inclusive(|byte| *byte == b'\n').count() + 1;
                self.write(&self.folder.join(name(next)), at % 4 + 1);
            }
            // One that has ended.
            (7, Some(_)) if files.len() > 1 => {
                let file = &files[at % (files.len() - 1)];
                if !is_packed(file) {
                    let text = fs::read(file).expect("a file");
                    put(&file.with_extension("jsonl.gz"), &gz(&text));
                    fs::remove_file(file).expect("a file");
                }
            }
            (8..=14, Some(_)) => {
                self.is_honest = false;
                self.spoil(what, at, &files, anything);
            }
            _ => {}
        }
    }

    fn spoil(&self, what: u8, at: usize, files: &[PathBuf], anything: &[u8]) {
        let file = &files[at % files.len()];
        let mut bytes = fs::read(file).expect("a file");
        let place = (at * 16).min(bytes.len());
        match what {
            8 => bytes.truncate(place),
            9 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1;
                }
            }
            10 => return fs::remove_file(file).expect("a file"),
            // All in one, of any name.
            11 => {
                bytes = text_of(self.folder);
                for file in files {
                    fs::remove_file(file).expect("a file");
                }
                return put(&self.folder.join(name(at % 8)), &bytes);
            }
            12 => bytes = anything.to_vec(),
            13 => return put(&self.folder.join(name(at % 8)), &bytes),
            // Another past.
            _ => bytes = chained(&anything[anything.len() / 2..]),
        }
        put(file, &bytes);
    }

    fn write(&mut self, file: &Path, records: usize) {
        let rest = self.left.split_off(records.min(self.left.len()));
        let records = std::mem::replace(&mut self.left, rest).concat();
        let mut text = fs::read(file).unwrap_or_default();
        text.extend_from_slice(&records);
        put(file, &text);
        self.written.extend_from_slice(&records);
    }
}

fn name(first: usize) -> String {
    format!("audit-{first:020}.jsonl")
}

fn is_packed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "gz")
}

fn put(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).expect("a file");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}
