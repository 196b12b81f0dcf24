//! An audit folder that anybody may have written in, opened by a worker that goes on in it: as it stands, cut anywhere, chained as a
//! worker would, or compressed. The first byte says which, the second where the second file begins.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dbal_audit::{Durability, Event, Follow, Journal, Outcome, Record, Terms, What, verify};
use dbal_fuzz::journal::{chained, gz};
use flate2::read::MultiGzDecoder;
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| dbal_fuzz::scratch::folder("opened"));

/// Records that are written after it was opened.
const WRITTEN: u64 = 3;

fuzz_target!(|bytes: &[u8]| {
    let [how, at, rest @ ..] = bytes else {
        return;
    };
    let folder = FOLDER.as_path();
    for (name, content) in files(*how, *at, rest) {
        fs::write(folder.join(name), content).expect("a file");
    }
    let before = all(folder);
    let sound = verify(folder);
    // What is only called compressed can't be read.
    let follow = Follow::last(folder, 2);
    let opened = Journal::open(folder, Durability::Interval);
    assert!(
        opened.is_ok() || !sound.as_ref().is_ok_and(|sound| sound.records > 0),
        "a sound journal was not opened: {:?}",
        opened.err()
    );
    match opened {
        Ok(journal) => {
            let torn = all(folder);
            kept(&before, &torn);
            go_on(journal.under(terms(*how)));
            // What was compressed or has ended reads as it was, and what was sound is so with all that came.
            for (name, text) in &torn {
                let now = all(folder);
                let now = now
                    .get(name)
                    .or_else(|| now.get(&format!("{name}.gz")))
                    .expect("no file was removed");
                assert!(now.starts_with(text), "{name}");
            }
            let after = verify(folder);
            match sound {
                Ok(sound) => {
                    let after = after.expect("a sound journal stays so");
                    assert_eq!(after.records, sound.records + WRITTEN);
                }
                // It was cut in the middle of its last record, which is set aside and told of.
                Err(broken) if matches!(broken.what, What::Torn { .. }) => {
                    assert!(
                        !is_last(&broken.file, &before) || after.is_ok(),
                        "{broken}, and then {after:?}"
                    );
                }
                Err(_) => {}
            }
            if let Ok((last, mut follow)) = follow {
                assert!(last.len() <= 2);
                for _ in 0..4 {
                    follow.more().expect("it can be followed");
                }
            }
        }
        // What it can't go on in is left as it is, but for what was set aside.
        Err(_) => kept(&before, &all(folder)),
    }
    for entry in fs::read_dir(folder).expect("a folder") {
        fs::remove_file(entry.expect("a file").path()).expect("a file");
    }
});

/// One file or two, and their names.
fn files(how: u8, at: u8, rest: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = if how & 1 == 1 {
        chained(rest)
    } else {
        rest.to_vec()
    };
    let at = usize::from(at).saturating_mul(16).min(text.len());
    let cut = if how & 2 == 2 {
        // Where a line ends.
        let end = text[at..].iter().position(|byte| *byte == b'\n');
        end.map_or(text.len(), |end| at + end + 1)
    } else {
        text.len()
    };
    let (one, two) = text.split_at(cut);
    // A worker that was killed.
    let two = if how & 4 == 4 { &two[..two.len() / 2] } else { two };
    let next = one.iter().filter(|byte| **byte == b'\n').count() + 1;
    let name = |first: usize| format!("audit-{first:020}.jsonl");
    let mut files = match how >> 3 & 3 {
        0 | 1 => vec![(name(1), one.to_vec())],
        2 => vec![(name(1) + ".gz", gz(one))],
        // Its bytes are those of the file itself, compressed or not.
        _ => vec![(name(1) + ".gz", one.to_vec())],
    };
    if how & 2 == 2 && next > 1 {
        files.push((name(next), two.to_vec()));
    }
    files
}

fn terms(how: u8) -> Terms {
    Terms {
        bytes: (how & 32 == 32).then_some(200),
        compress: how & 64 == 64,
        ..Terms::default()
    }
}

/// A worker's life, short.
fn go_on(journal: Journal) {
    for _ in 0..WRITTEN {
        journal
            .append(&Record::new(1, Event::Call, Outcome::Allowed))
            .expect("there is room");
        journal.flush().expect("the disk takes it");
        journal.tend().expect("the disk takes it");
        // What somebody else compressed may be no text.
        let _ = journal.compress(|| true);
    }
}

/// All files by name, with their text.
fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut text = Vec::new();
        let is_text = name.ends_with(".gz") && MultiGzDecoder::new(&*bytes).read_to_end(&mut text).is_ok();
        all.insert(name, if is_text { text } else { bytes });
    }
    all
}

/// Nothing is lost: what is not in its file any more stands in the file of what was torn.
fn kept(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    let torn = after.iter().find(|(name, _)| name.starts_with("torn-"));
    for (name, text) in before {
        let now = &after[name];
        let is_whole = now.starts_with(text);
        let is_parted = torn.is_some_and(|(_, torn)| {
            text.ends_with(torn) && now.starts_with(&text[..text.len() - torn.len()])
        });
        assert!(is_whole || is_parted, "{name} has lost something");
    }
}

fn is_last(file: &Path, files: &BTreeMap<String, Vec<u8>>) -> bool {
    let last = files.keys().next_back().map(String::as_str);
    file.file_name().and_then(|name| name.to_str()) == last && !last.is_some_and(|name| name.ends_with(".gz"))
}
