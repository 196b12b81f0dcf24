//! The audit log as a test reads it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::daemon::files_below;

/// Every record, oldest first, compressed files included.
pub fn records(folder: &Path) -> Vec<Value> {
    // Begun again when a file is compressed or removed in the middle.
    let texts = loop {
        if let Some(texts) = texts(folder) {
            break texts;
        }
    };
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str(line).expect("a record is JSON"))
        .collect()
}

fn texts(folder: &Path) -> Option<Vec<String>> {
    let files = files_below(folder);
    let is_plain = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "jsonl");
    let plain: Vec<&PathBuf> = files.iter().filter(is_plain).collect();
    let packed = files.iter().filter(|path| {
        let is_packed = path.to_string_lossy().ends_with(".jsonl.gz");
        // Where there are both, the compressed one is not finished.
        is_packed && !plain.contains(&&path.with_extension(""))
    });
    let mut texts: Vec<(String, String)> = Vec::new();
    for path in plain.iter().copied().chain(packed) {
        let mut file = File::open(path).ok()?;
        let mut text = String::new();
        if is_plain(&path) {
            file.read_to_string(&mut text).expect("the journal is readable");
        } else {
            GzDecoder::new(file)
                .read_to_string(&mut text)
                .expect("what is compressed is whole");
        }
        let name = path.file_name()?.to_string_lossy().into_owned();
        texts.push((name, text));
    }
    texts.sort();
    Some(texts.into_iter().map(|(_, text)| text).collect())
}

/// Waits until a record of this kind stands there: answers wait for their record, but a closed channel answers nobody.
pub fn wait_for(folder: &Path, is_it: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let records = records(folder);
        if let Some(found) = records.iter().find(|record| is_it(record)) {
            return found.clone();
        }
        assert!(
            Instant::now() < until,
            "no such record; the last of {}: {:#?}",
            records.len(),
            records.last()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
