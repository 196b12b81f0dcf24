//! Finds records by what they say. What it finds is shown to people; whether the trail as a whole is what was written is for
//! `verify` to say.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::folder::{Part, parts};
use crate::line::parse;

/// Most records of one request: a transaction has one for each of its calls, and one for the whole.
const FOUND: usize = 64;

/// A record, as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 if only the file's end was read.
    pub line: u64,
    /// The line's text.
    pub json: String,
    /// Whether its hash is that of its bytes.
    pub is_sound: bool,
}

/// Which records are wanted: those that meet all that is named. Texts are compared as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The earliest, in nanoseconds since 1970-01-01T00:00:00Z.
    pub since_ns: Option<i128>,
    /// The end: records of this moment and later are not wanted.
    pub until_ns: Option<i128>,
    /// What the client saw.
    pub code: Option<u64>,
    /// Fields of this name with this text.
    pub texts: Vec<(&'static str, String)>,
    /// One of the keys.
    pub key: Option<String>,
}

impl Wanted {
    /// Whether a record is wanted.
    pub fn admits(&self, record: &Value) -> bool {
        let Self {
            since_ns,
            until_ns,
            code,
            texts,
            key,
        } = self;
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let at = || {
            let time: Option<jiff::Timestamp> = text("time").and_then(|time| time.parse().ok());
            time.map(jiff::Timestamp::as_nanosecond)
        };
        let keys = record.get("keys").and_then(Value::as_array);
        since_ns.is_none_or(|since| at().is_some_and(|at| at >= since))
            && until_ns.is_none_or(|until| at().is_some_and(|at| at < until))
            && code.is_none_or(|code| record.get("code").and_then(Value::as_u64) == Some(code))
            && texts.iter().all(|(name, wanted)| text(name) == Some(wanted))
            && key.as_deref().is_none_or(|key| {
                keys.is_some_and(|keys| keys.iter().any(|value| value.as_str() == Some(key)))
            })
    }

    /// Whether a line can be such a record: faster than reading it, for the many that can't.
    fn may_admit(&self, line: &str) -> bool {
        self.texts
            .iter()
            .all(|(_, text)| line.contains(&Value::from(text.as_str()).to_string()))
    }
}

/// Shows every record that is wanted, oldest first, in all files of these folders, each of which goes on from the one before, until
/// `show` fails. Returns how many lines are no records.
pub fn each<E: From<io::Error>>(
    folders: &[&Path],
    wanted: &Wanted,
    mut show: impl FnMut(Found, &Value) -> Result<(), E>,
) -> Result<u64, E> {
    let mut unreadable: u64 = 0;
    for part in parts(folders)? {
        let mut lines = part.lines()?;
        let Part {
            path: file,
            from,
            to: _,
        } = part;
        while let Some((number, line)) = lines.next()? {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let text = String::from_utf8_lossy(line);
            if !wanted.may_admit(&text) {
                continue;
            }
            let Ok(record) = serde_json::from_slice::<Value>(line) else {
                unreadable = unreadable.saturating_add(1);
                continue;
            };
            if wanted.admits(&record) {
                let found = Found {
                    file: file.clone(),
                    // Counted from the file's beginning or not at all.
                    line: if from == 0 { number } else { 0 },
                    json: text.into_owned(),
                    is_sound: parse(line).is_some_and(|link| link.hash == link.computed),
                };
                show(found, &record)?;
            }
        }
    }
    Ok(unreadable)
}

/// The records of one request, oldest first, in all files that there are; not more than some dozens.
pub fn of_request(dir: &Path, request: &str) -> io::Result<Vec<Found>> {
    let wanted = Wanted {
        texts: vec![("request", request.to_owned())],
        ..Wanted::default()
    };
    let mut found = Vec::new();
    each(&[dir], &wanted, |record, _| {
        if found.len() < FOUND {
            found.push(record);
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(found)
}
