//! The last records, and then those that come, across files.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::folder::{Part, files, first_of, parts};
use crate::line::LINE_BYTES;
use crate::text::Text;

/// Most that one look takes in.
const LOOK_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of the last records together: somebody may have written a file whose every line is as long as one may be.
const LAST_BYTES: usize = 64 * 1024 * 1024;

/// A reader at the end of a journal that somebody else writes.
#[derive(Debug)]
pub struct Follow {
    dir: PathBuf,
    /// The number that the name of the file that is read begins with; none before there is one.
    first: Option<u64>,
    /// Held open: what is compressed or removed meanwhile is read to its end all the same.
    text: Option<Text>,
    /// The beginning of a line whose end has not been written.
    partial: Vec<u8>,
}

impl Follow {
    /// The last `most` whole records of a journal, oldest first, and a reader that stands behind them. Fewer where they are longer
    /// than 64 MiB together.
    pub fn last(dir: &Path, most: usize) -> io::Result<(Vec<String>, Self)> {
        Self::across(&[dir], most)
    }

    /// The same where the journal lies in several folders, each of which goes on from the one before. What comes is read in the last.
    pub fn across(folders: &[&Path], most: usize) -> io::Result<(Vec<String>, Self)> {
        let parts = parts(folders)?;
        let mut last = VecDeque::new();
        let mut room = LAST_BYTES;
        let mut follow = Self {
            dir: folders.last().map_or_else(PathBuf::new, |dir| (*dir).to_owned()),
            first: None,
            text: None,
            partial: Vec::new(),
        };
        for part in parts.iter().rev() {
            let Last {
                lines,
                bytes,
                is_whole,
                end,
            } = Last::of(part, most.saturating_sub(last.len()), room)?;
            if follow.first.is_none() {
                follow.text = Some(Text::open_at(&part.path, end)?);
                follow.first = first_of(&part.path);
            }
            room = room.saturating_sub(bytes);
            for line in lines.into_iter().rev() {
                last.push_front(line);
            }
            if !is_whole || last.len() >= most {
                break;
            }
        }
        Ok((last.into(), follow))
    }

    /// The whole records that have come since the last look; none if there are none.
    pub fn more(&mut self) -> io::Result<Vec<String>> {
        loop {
            // Listed before the look: what is found to have a successor gets no more records.
            let files = files(&self.dir)?;
            let (is_at_end, lines) = self.look()?;
            if !is_at_end {
                return Ok(lines);
            }
            let next = files
                .into_iter()
                .find(|file| self.first.is_none_or(|first| first_of(file) > Some(first)));
            let Some(next) = next else {
                return Ok(lines);
            };
            self.text = match Text::open_at(&next, 0) {
                Ok(text) => Some(text),
                // Past its time, and removed: the next one has more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            self.first = first_of(&next);
            self.partial.clear();
        }
    }

    /// Whether there was nothing to be read, and the lines that ended in what was.
    fn look(&mut self) -> io::Result<(bool, Vec<String>)> {
        let Some(text) = &mut self.text else {
            return Ok((true, Vec::new()));
        };
        let mut bytes = std::mem::take(&mut self.partial);
        let is_at_end = text.take(LOOK_BYTES).read_to_end(&mut bytes)? == 0;
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let rest = end.map_or(0, |end| end.saturating_add(1));
        let (whole, partial) = bytes.split_at_checked(rest).unwrap_or((&bytes, &[]));
        if partial.len() > LINE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "megabytes without the end of a record",
            ));
        }
        self.partial = partial.to_vec();
        let lines = whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned());
        Ok((is_at_end, lines.collect()))
    }
}

/// The last whole lines of one file.
struct Last {
    lines: VecDeque<String>,
    /// Their bytes.
    bytes: usize,
    /// Whether lines before them were left out for their length alone.
    is_whole: bool,
    /// Where they end.
    end: u64,
}

impl Last {
    /// At most so many, and of so many bytes together.
    fn of(part: &Part, most: usize, room: usize) -> io::Result<Self> {
        let mut last = Self {
            lines: VecDeque::new(),
            bytes: 0,
            is_whole: true,
            end: part.from,
        };
        let mut lines = part.lines()?;
        while let Some((_, line)) = lines.next()? {
            let Some(record) = line.strip_suffix(b"\n") else {
                break;
            };
            last.end = last
                .end
                .saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
            let record = String::from_utf8_lossy(record).into_owned();
            last.bytes = last.bytes.saturating_add(record.len());
            last.lines.push_back(record);
            while last.lines.len() > most || last.bytes > room {
                last.is_whole &= last.lines.len() > most;
                let gone = last.lines.pop_front();
                last.bytes = last.bytes.saturating_sub(gone.map_or(0, |gone| gone.len()));
            }
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::file_name;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn add(file: &Path, text: &str) {
        let mut open = OpenOptions::new().append(true).create(true).open(file).unwrap();
        open.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_last_records_and_those_that_come_are_read_across_files_and_never_in_part() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = |first| dir.path().join(file_name(first));
        let (none, mut from_nothing) = Follow::last(dir.path(), 3).unwrap();
        assert_eq!((none, from_nothing.more().unwrap()), (vec![], vec![]));
        add(&file(1), "1\n2\n3\n");
        add(&file(4), "4\n5\n6");
        assert_eq!(from_nothing.more().unwrap(), ["1", "2", "3"]);
        assert_eq!(from_nothing.more().unwrap(), ["4", "5"]);
        let (last, mut follow) = Follow::last(dir.path(), 3).unwrap();
        assert_eq!(last, ["3", "4", "5"]);
        assert_eq!(follow.more().unwrap(), Vec::<String>::new());
        add(&file(4), "6\n7");
        assert_eq!(follow.more().unwrap(), ["66"]);
        add(&file(4), "\n");
        add(&file(8), "8\n");
        assert_eq!(follow.more().unwrap(), ["7"]);
        assert_eq!(follow.more().unwrap(), ["8"]);
        fs::remove_file(file(8)).unwrap();
        assert_eq!(follow.more().unwrap(), Vec::<String>::new());
        add(&file(9), "9\n");
        assert_eq!(follow.more().unwrap(), ["9"]);
        let (last, _) = Follow::last(dir.path(), 1).unwrap();
        assert_eq!(last, ["9"]);
    }

    #[test]
    fn lines_without_anything_hide_nothing_that_comes_after_them() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join(file_name(1));
        add(&file, "");
        let (_, mut follow) = Follow::last(dir.path(), 1).unwrap();
        let many = usize::try_from(LOOK_BYTES).unwrap();
        add(&file, &("\n".repeat(many) + "1\n"));
        add(&dir.path().join(file_name(2)), "2\n");
        let seen: Vec<String> = (0..3).flat_map(|_| follow.more().unwrap()).collect();
        assert_eq!(seen, ["1", "2"]);
    }

    #[test]
    fn long_lines_of_a_stranger_take_no_more_memory_than_there_is_for_them() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = |first| dir.path().join(file_name(first));
        add(&file(1), "0\n");
        add(&file(2), "1111\n2222\n3333\n");
        let Last { lines, is_whole, .. } = Last::of(&Part::whole(file(2)), 9, 8).unwrap();
        assert_eq!(
            (Vec::from(lines), is_whole),
            (vec!["2222".to_owned(), "3333".to_owned()], false)
        );
        let Last { lines, is_whole, .. } = Last::of(&Part::whole(file(2)), 2, 99).unwrap();
        assert_eq!((lines.len(), is_whole), (2, true));
        // Most that is kept, and a line more.
        let line = "x".repeat(LINE_BYTES - 1) + "\n";
        let lines = LAST_BYTES / line.len() + 1;
        add(&file(3), &line.repeat(lines));
        let (last, _) = Follow::last(dir.path(), usize::MAX).unwrap();
        assert!(last.iter().all(|line| line.len() == LINE_BYTES - 1), "no gap");
        assert!(last.iter().map(String::len).sum::<usize>() <= LAST_BYTES);
    }
}
