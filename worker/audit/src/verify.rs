//! Reads a journal from its first record to its last and names the first that is not what it was.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::line::{Hash, LINE_BYTES, NONE_BEFORE, parse};
use crate::tail::files;

/// What a sound journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Files.
    pub files: u64,
    /// Hash of the last record. Kept elsewhere, it shows later whether the end was cut off.
    pub head: String,
}

/// The first place where a journal is not sound.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {what}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The record's number, as the chain expects it.
    pub seq: u64,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a record.
#[derive(Debug)]
pub enum What {
    /// It can't be read.
    Unreadable(io::Error),
    /// It was changed after it was written.
    Changed {
        /// Its number.
        seq: u64,
    },
    /// Records are missing before this one.
    Removed {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// A record stands at another place than it was written.
    Moved {
        /// The record that belongs here.
        expected: u64,
        /// The one that stands here.
        found: u64,
    },
    /// The record before this one was replaced, its own hash made to fit.
    Replaced {
        /// The number of the replaced record.
        seq: u64,
    },
    /// The line is no record.
    NotARecord {
        /// The number of the record that belongs here.
        seq: u64,
    },
    /// The last record is unfinished: a crash, or a cut. The worker sets it aside when it starts.
    Torn {
        /// The number that it would have.
        seq: u64,
    },
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Unreadable(error) => write!(out, "can't be read: {error}"),
            What::Changed { seq } => write!(out, "record {seq} was changed"),
            What::Removed { from, to } if from == to => write!(out, "record {from} was removed"),
            What::Removed { from, to } => write!(out, "records {from} to {to} were removed"),
            What::Moved { expected, found } => {
                write!(out, "record {found} stands where record {expected} belongs")
            }
            What::Replaced { seq } => write!(out, "record {seq} was replaced by another"),
            What::NotARecord { seq } => write!(out, "is no audit record; record {seq} belongs here"),
            What::Torn { seq } => write!(out, "record {seq} is unfinished"),
        }
    }
}

/// Verifies the journal in `dir`.
pub fn verify(dir: &Path) -> Result<Verified, Broken> {
    let unreadable = |file: &Path, error| Broken {
        file: file.to_owned(),
        line: 0,
        seq: 0,
        what: What::Unreadable(error),
    };
    let files = files(dir).map_err(|error| unreadable(dir, error))?;
    let mut expected: u64 = 1;
    let mut prev: Hash = NONE_BEFORE;
    for file in &files {
        let mut lines = Lines::open(file).map_err(|error| unreadable(file, error))?;
        while let Some((number, line)) = lines.next().map_err(|error| unreadable(file, error))? {
            let broken = |what| Broken {
                file: file.clone(),
                line: number,
                seq: expected,
                what,
            };
            let Some(record) = line.strip_suffix(b"\n") else {
                return Err(broken(What::Torn { seq: expected }));
            };
            let Some(link) = parse(record) else {
                return Err(broken(What::NotARecord { seq: expected }));
            };
            if link.hash != link.computed {
                return Err(broken(What::Changed { seq: expected }));
            }
            if link.seq != expected {
                return Err(broken(displaced(&files, expected, link.seq)));
            }
            if link.prev != prev {
                return Err(broken(What::Replaced {
                    seq: expected.saturating_sub(1).max(1),
                }));
            }
            prev = link.hash;
            expected = expected.saturating_add(1);
        }
    }
    Ok(Verified {
        records: expected.saturating_sub(1),
        files: u64::try_from(files.len()).unwrap_or(u64::MAX),
        head: String::from_utf8_lossy(&prev).into_owned(),
    })
}

/// Another record stands where `expected` belongs. If that one is elsewhere, records were moved, else removed.
fn displaced(files: &[PathBuf], expected: u64, found: u64) -> What {
    let stands_elsewhere = files.iter().any(|file| holds(file, expected).unwrap_or(false));
    if found < expected || stands_elsewhere {
        What::Moved { expected, found }
    } else {
        What::Removed {
            from: expected,
            to: found.saturating_sub(1),
        }
    }
}

fn holds(file: &Path, seq: u64) -> io::Result<bool> {
    let mut lines = Lines::open(file)?;
    while let Some((_, line)) = lines.next()? {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        if parse(record).is_some_and(|link| link.seq == seq && link.hash == link.computed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lines of bounded length: the file may be anybody's.
pub(crate) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(256 * 1024, File::open(file)?),
            line: Vec::new(),
            number: 0,
        })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.line.clear();
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        let bytes = (&mut self.reader).take(most).read_until(b'\n', &mut self.line)?;
        self.number = self.number.saturating_add(1);
        Ok((bytes > 0).then_some((self.number, &self.line)))
    }
}
