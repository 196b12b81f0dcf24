//! Finds records by the name of their request. What it finds is shown to people; whether the trail as a whole is what was
//! written is for `verify` to say.

use std::io;
use std::path::{Path, PathBuf};

use crate::folder::{Lines, files};
use crate::line::parse;

/// Most records of one request: a transaction has one for each of its calls, and one for the whole.
const FOUND: usize = 64;

/// A record, as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The line's text.
    pub json: String,
    /// Whether its hash is that of its bytes.
    pub is_sound: bool,
}

/// The records of one request, oldest first, in all files that there are.
pub fn of_request(dir: &Path, request: &str) -> io::Result<Vec<Found>> {
    // Names of requests are hexadecimal; anything else could stand in another member's text.
    if request.is_empty()
        || !request
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    {
        return Ok(Vec::new());
    }
    let sought = format!(",\"request\":\"{request}\"");
    let mut found = Vec::new();
    for file in files(dir)? {
        let mut lines = Lines::open(&file)?;
        while let Some((number, line)) = lines.next()? {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let Ok(text) = std::str::from_utf8(line) else {
                continue;
            };
            if text.contains(&sought) && found.len() < FOUND {
                found.push(Found {
                    file: file.clone(),
                    line: number,
                    json: text.to_owned(),
                    is_sound: parse(line).is_some_and(|link| link.hash == link.computed),
                });
            }
        }
    }
    Ok(found)
}
