//! Changed copies of the kept inputs, the same ones each time whatever the code: libFuzzer's own depend on what the code does with
//! those before, so that any change of code draws others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What parsers stumble over, whatever they parse.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\xed\xa0\x80",
    "\u{202e}".as_bytes(),
    "\u{85}".as_bytes(),
    b"\r\n",
    b"\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"(",
    b",",
    b": ",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"null",
    b"true",
    b"/*",
    b"&a *a",
    b"%00",
];
/// Most changes of one copy. Few leave it what it was enough to get far.
const CHANGES: u64 = 4;
/// Longest range that is cut, copied or moved.
const RANGE: usize = 64;

/// Puts so many changed copies of the inputs of a folder into another, which is emptied first. Each input has copies of its own, so
/// that another beside it changes none of them.
pub fn write(inputs: &Path, into: &Path, count: usize) -> io::Result<()> {
    match fs::remove_dir_all(into) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(into)?;
    let files = files(inputs)?;
    let mut left = count;
    for (nth, file) in files.iter().enumerate() {
        let input = fs::read(file)?;
        let share = left.div_ceil(files.len() - nth);
        left -= share;
        let mut chance = Chance::of(&input);
        for copy in 0..share {
            fs::write(into.join(format!("{nth}-{copy}")), changed(&input, &mut chance))?;
        }
    }
    Ok(())
}

/// The files of a folder, in the order of their names.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn changed(input: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(CHANGES) {
        let at = chance.place(bytes.len());
        let end = (at + 1 + chance.place(RANGE)).min(bytes.len());
        let to = chance.place(bytes.len());
        let piece = PIECES[chance.place(PIECES.len() - 1)];
        match chance.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, piece.iter().copied())),
            2 => drop(bytes.splice(at..end, piece.iter().copied())),
            3 => {
                let range = bytes[at..end].to_vec();
                drop(bytes.splice(to..to, range));
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = chance.next().to_le_bytes()[0];
                }
            }
        }
    }
    // libFuzzer passes files by that hold nothing.
    if bytes.is_empty() {
        bytes.push(0);
    }
    bytes
}

/// SplitMix64 (Steele, Lea and Flood, 2014), begun with a hash (FNV-1a) of an input.
struct Chance(u64);

impl Chance {
    fn of(input: &[u8]) -> Self {
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(input.iter().fold(0xcbf2_9ce4_8422_2325, add))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From 0 to the end of so many bytes.
    fn place(&mut self, length: usize) -> usize {
        let end = u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1);
        usize::try_from(self.below(end)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copies_of_an_input_are_the_same_each_time_and_whatever_stands_beside_it() {
        let folder = std::env::temp_dir().join(format!("dbal-xtask-changed-{}", std::process::id()));
        let (inputs, into) = (folder.join("inputs"), folder.join("into"));
        fs::create_dir_all(&inputs).unwrap();
        fs::write(inputs.join("a"), "model A {\n  id Int @id\n}\n").unwrap();
        fs::write(inputs.join("b"), "").unwrap();
        let copies = |count| {
            write(&inputs, &into, count).unwrap();
            let files = files(&into).unwrap();
            let read = |file: &PathBuf| (file.file_name().unwrap().to_owned(), fs::read(file).unwrap());
            files.iter().map(read).collect::<Vec<_>>()
        };
        let first = copies(100);
        assert_eq!(first.len(), 100);
        assert!(first.iter().all(|(_, bytes)| !bytes.is_empty()));
        let distinct: std::collections::HashSet<_> = first.iter().map(|(_, bytes)| bytes).collect();
        assert!(distinct.len() > 60, "{}", distinct.len());
        assert_eq!(copies(100), first);
        fs::write(inputs.join("c"), "x").unwrap();
        let more = copies(150);
        fs::remove_dir_all(&folder).unwrap();
        assert!(first.iter().all(|copy| more.contains(copy)));
    }
}
