//! The files of a journal and the lines in them: every reader of an audit folder goes through here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use crate::line::{LINE_BYTES, Link, parse};
use crate::text::{PACKED, Text};

/// The files of a journal, oldest first: `audit-<number of its first record, 20 digits>.jsonl`, or `….jsonl.gz` where it is
/// compressed. Where there are both, the compressed one is not finished yet. What has such a name and is no file is an error: a
/// pipe would never end, a link leads to what is no audit trail.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let Some(first) = first_of(&path) else { continue };
        let found = (path, entry.file_type()?.is_file());
        if is_packed(&found.0) {
            files.entry(first).or_insert(found);
        } else {
            files.insert(first, found);
        }
    }
    let regular = files.into_values().map(|(path, is_file)| {
        let odd = || io::Error::other(format!("{} is no regular file", path.display()));
        is_file.then_some(&path).ok_or_else(odd).cloned()
    });
    regular.collect()
}

/// What of a file belongs to a trail that lies in several folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    /// The byte of its text that it begins at: what stands before lies in an earlier folder as well.
    pub(crate) from: u64,
    /// The byte of its text that it ends before; none if that is the text's end.
    pub(crate) to: Option<u64>,
}

impl Part {
    pub(crate) fn whole(path: PathBuf) -> Self {
        Self {
            path,
            from: 0,
            to: None,
        }
    }

    pub(crate) fn lines(&self) -> io::Result<Lines> {
        let most = self.to.map_or(u64::MAX, |to| to.saturating_sub(self.from));
        Lines::open_between(&self.path, self.from, most)
    }
}

/// The parts of one trail, oldest first, where a later folder goes on from what an earlier one holds: files of one name have one
/// text, of which an earlier folder may have the beginning alone ([`crate::Sealer`]).
pub(crate) fn parts(folders: &[&Path]) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for folder in folders {
        let newest = parts.last().and_then(|part| first_of(&part.path));
        for path in files(folder)? {
            let first = first_of(&path);
            let mut from = 0;
            if newest.is_some() {
                if first < newest {
                    continue;
                }
                if first == newest
                    && let Some(before) = parts.last_mut()
                {
                    // Read only so far, since it may grow meanwhile.
                    from = whole_bytes(&before.path)?;
                    before.to = Some(from);
                }
            }
            parts.push(Part {
                from,
                ..Part::whole(path)
            });
        }
    }
    Ok(parts)
}

/// So much of a file's text is whole lines.
fn whole_bytes(path: &Path) -> io::Result<u64> {
    let mut file = match Text::open_at(path, 0)? {
        Text::Plain(file) => file,
        // One that is compressed was whole before.
        mut packed @ Text::Packed(_) => return io::copy(&mut packed, &mut io::sink()),
    };
    let length = file.metadata()?.len();
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    let start = length.saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(length.saturating_sub(start)).read_to_end(&mut end)?;
    let whole = end.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |at| at.saturating_add(1));
    Ok(start.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX)))
}

/// The name of the file that begins with this record.
pub(crate) fn file_name(first: u64) -> String {
    format!("audit-{first:020}.jsonl")
}

/// The number of the first record, as the file's name says it; none if it is no file of a journal.
pub(crate) fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name
        .strip_suffix(PACKED)
        .unwrap_or(name)
        .strip_prefix("audit-")?
        .strip_suffix(".jsonl")?;
    let is_number = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number)
}

/// Whether the file is compressed, as its name says it.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(PACKED.as_bytes())
}

/// The first record of a file; none if there is no whole and sound one.
pub(crate) fn first_link(path: &Path) -> io::Result<Option<Link>> {
    let mut lines = Lines::open(path)?;
    let link = match lines.next()? {
        Some((_, line)) => line.strip_suffix(b"\n").and_then(parse),
        None => None,
    };
    Ok(link.filter(|link| link.hash == link.computed))
}

/// Lines of bounded length: the file may be anybody's.
pub(crate) struct Lines {
    reader: BufReader<Take<Text>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        Self::open_at(file, 0)
    }

    /// From this byte of its text on.
    pub(crate) fn open_at(file: &Path, offset: u64) -> io::Result<Self> {
        Self::open_between(file, offset, u64::MAX)
    }

    /// From this byte of its text on, and not more than so many.
    fn open_between(file: &Path, offset: u64, most: u64) -> io::Result<Self> {
        Ok(Self::of(Text::open_at(file, offset)?, most))
    }

    /// Of an open text, and not more than so many bytes.
    pub(crate) fn of(text: Text, most: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(256 * 1024, text.take(most)),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line with its newline, if it has one, and its number, from 1.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.line.clear();
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        let bytes = (&mut self.reader).take(most).read_until(b'\n', &mut self.line)?;
        self.number = self.number.saturating_add(1);
        Ok((bytes > 0).then_some((self.number, &self.line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_no_file_is_not_opened_and_not_passed_over() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join(file_name(1));
        fs::write(dir.path().join("elsewhere"), "secret\n").unwrap();
        symlink(dir.path().join("elsewhere"), &path).unwrap();
        let told = files(dir.path()).unwrap_err().to_string();
        assert!(told.ends_with("is no regular file"), "{told}");
        fs::remove_file(&path).unwrap();
        // Nobody writes into it: who opened it would wait for ever.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(crate::verify::verify(dir.path()).is_err());
        assert!(crate::follow::Follow::last(dir.path(), 1).is_err());
        assert!(crate::journal::Journal::open(dir.path(), crate::journal::Durability::Interval).is_err());
        // Beside a plain one the compressed one is not read.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::create_dir(dir.path().join("audit-00000000000000000001.jsonl.gz")).unwrap();
        assert_eq!(files(dir.path()).unwrap(), [path]);
    }
}
