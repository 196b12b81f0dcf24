//! Finds the end of the chain on disk, and sets aside what a crash left half written.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::folder::{file_name, files, first_of, is_packed};
use crate::journal::AuditError;
use crate::journal::made;
use crate::line::{Hash, LINE_BYTES, NONE_BEFORE, parse};
use crate::text::{Text, regular};

/// Where the chain goes on.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The file to go on in.
    pub(crate) path: PathBuf,
    /// Number of the next record.
    pub(crate) next: u64,
    /// Hash of the last one.
    pub(crate) prev: Hash,
    /// The unfinished record that was set aside, if there was one.
    pub(crate) torn: Option<Torn>,
    /// The files before it, oldest first.
    pub(crate) older: Vec<PathBuf>,
}

/// An unfinished record.
#[derive(Debug)]
pub(crate) struct Torn {
    /// Its length.
    pub(crate) bytes: usize,
    /// The file that it was moved to.
    pub(crate) kept: PathBuf,
}

/// Finds the end of the chain in `dir`; an unfinished record there is copied aside, then cut off.
pub(crate) fn recover(dir: &Path) -> Result<Tail, AuditError> {
    let unreadable = |source| AuditError::Io {
        path: dir.to_owned(),
        source,
    };
    let mut older = files(dir).map_err(unreadable)?;
    // One that is compressed has ended, whatever became of the one after it.
    let path = older.pop_if(|newest| !is_packed(newest));
    let end = path.as_deref().map(End::read).transpose()?;
    let torn = match (&path, &end) {
        (Some(path), Some(end)) if !end.torn.is_empty() => Some(set_aside(dir, path, end)?),
        _ => None,
    };
    let (next, prev) = match end.and_then(|end| end.last) {
        Some(last) => last,
        // No file yet, or an empty one: the one before it holds the end of the chain.
        None => match older.last() {
            Some(before) => End::read(before)?
                .last
                .ok_or_else(|| AuditError::BrokenTail { path: before.clone() })?,
            None => (1, NONE_BEFORE),
        },
    };
    Ok(Tail {
        path: path.unwrap_or_else(|| dir.join(file_name(next))),
        next,
        prev,
        torn,
        older,
    })
}

/// The end of one file.
struct End {
    /// Number that follows, and hash of, the last whole record; none if there is none.
    last: Option<(u64, Hash)>,
    /// What stands after it.
    torn: Vec<u8>,
    /// Where that begins.
    torn_at: u64,
}

impl End {
    fn read(path: &Path) -> Result<Self, AuditError> {
        let broken = || AuditError::BrokenTail {
            path: path.to_owned(),
        };
        let (bytes, is_whole_file, length) = match read_end(path) {
            Ok(end) => end,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), true, 0),
            Err(source) => {
                return Err(AuditError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let after_newline = |bytes: &[u8]| {
            let newline = bytes.iter().rposition(|byte| *byte == b'\n');
            newline.map_or(0, |at| at.saturating_add(1))
        };
        let (lines, torn) = bytes.split_at_checked(after_newline(&bytes)).ok_or_else(broken)?;
        let last = match lines.strip_suffix(b"\n") {
            // A crash leaves less than one record behind, not megabytes without a newline.
            None if !is_whole_file || torn.len() > LINE_BYTES => return Err(broken()),
            None => None,
            Some(lines) => {
                let line = lines.get(after_newline(lines)..).unwrap_or_default();
                let record = parse(line)
                    .filter(|link| link.hash == link.computed)
                    .ok_or_else(broken)?;
                Some((record.seq.checked_add(1).ok_or_else(broken)?, record.hash))
            }
        };
        let torn_bytes = u64::try_from(torn.len()).unwrap_or(u64::MAX);
        Ok(Self {
            last,
            torn: torn.to_vec(),
            torn_at: length.saturating_sub(torn_bytes),
        })
    }
}

/// The last two lines' worth of a file, whether that is all of it, and its length.
fn read_end(path: &Path) -> io::Result<(Vec<u8>, bool, u64)> {
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX).saturating_mul(2);
    if is_packed(path) {
        return read_packed_end(path, most);
    }
    let mut file = regular(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, start == 0, length))
}

/// The same where the way to the end leads through all of it.
fn read_packed_end(path: &Path, most: u64) -> io::Result<(Vec<u8>, bool, u64)> {
    let mut text = Text::open_at(path, 0)?;
    let mut end = VecDeque::new();
    let mut length: u64 = 0;
    loop {
        let mut piece = Vec::new();
        let read = (&mut text).take(most).read_to_end(&mut piece)?;
        if read == 0 {
            break;
        }
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        end.push_back(piece);
        // The last whole piece and the rest after it hold at least `most`.
        if end.len() > 2 {
            end.pop_front();
        }
    }
    let bytes: Vec<u8> = end.into_iter().flatten().collect();
    let is_whole = u64::try_from(bytes.len()).is_ok_and(|bytes| bytes == length);
    Ok((bytes, is_whole, length))
}

fn set_aside(dir: &Path, path: &Path, end: &End) -> Result<Torn, AuditError> {
    // A file whose first record is torn tells by its name which one that is.
    let next = end
        .last
        .map_or_else(|| first_of(path).unwrap_or(1), |(next, _)| next);
    let kept = dir.join(format!("torn-{next:020}-at-{}.partial", end.torn_at));
    let move_aside = || -> io::Result<()> {
        // Left by a worker that was killed here: what it had copied still stands where it was.
        match fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut aside = made::make(&kept, 0o600)?;
        aside.write_all(&end.torn)?;
        aside.sync_all()?;
        let file = made::open(path)?;
        file.set_len(end.torn_at)?;
        file.sync_all()
    };
    move_aside().map_err(|source| AuditError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(Torn {
        bytes: end.torn.len(),
        kept,
    })
}
