//! The audit log as a test reads it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::files_below;

/// Every record, oldest first.
pub fn records(folder: &Path) -> Vec<Value> {
    let mut files = files_below(folder);
    files.sort();
    let texts = files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    texts
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("the journal is readable");
            text.lines()
                .map(|line| serde_json::from_str(line).expect("a record is JSON"))
                .collect::<Vec<Value>>()
        })
        .collect()
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
