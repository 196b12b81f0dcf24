//! The text of one file, compressed or not. Compressed ones are gzip (RFC 1952), so that `zcat` reads them, too.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::read::MultiGzDecoder;

use crate::folder::is_packed;

/// What the name of a compressed file ends with.
pub(crate) const PACKED: &str = ".gz";

/// An open file. Reading a compressed one takes some ten kilobytes of memory, whatever it holds.
#[derive(Debug)]
pub(crate) enum Text {
    /// As it was written.
    Plain(File),
    /// Compressed.
    Packed(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Text {
    /// From this byte of the text on.
    pub(crate) fn open_at(path: &Path, offset: u64) -> io::Result<Self> {
        let mut text = Self::open(path)?;
        match &mut text {
            Text::Plain(file) => {
                file.seek(SeekFrom::Start(offset))?;
            }
            Text::Packed(decoder) => {
                io::copy(&mut decoder.take(offset), &mut io::sink())?;
            }
        }
        Ok(text)
    }

    fn open(path: &Path) -> io::Result<Self> {
        if is_packed(path) {
            return Self::packed(path);
        }
        match regular(path) {
            Ok(file) => Ok(Text::Plain(file)),
            // Compressed since the folder was looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::packed(&packed(path)).map_err(|_neither| error)
            }
            Err(error) => Err(error),
        }
    }

    fn packed(path: &Path) -> io::Result<Self> {
        let file = BufReader::new(regular(path)?);
        Ok(Text::Packed(Box::new(MultiGzDecoder::new(file))))
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Text::Plain(file) => file.read(buffer),
            Text::Packed(decoder) => decoder.read(buffer),
        }
    }
}

/// Opens a file of a folder that somebody else may write: where a link or a pipe has taken its place since the folder was looked
/// at, it is neither followed nor waited for (open(2), O_NOFOLLOW and O_NONBLOCK).
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is no regular file", path.display())))
}

/// Where a file lies once it is compressed.
pub(crate) fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PACKED);
    PathBuf::from(name)
}

/// When the text of a compressed file was written, in seconds since 1970; none if it is not compressed or does not say.
pub(crate) fn packed_at(path: &Path) -> io::Result<Option<u32>> {
    if !is_packed(path) {
        return Ok(None);
    }
    let decoder = GzDecoder::new(BufReader::new(regular(path)?));
    let seconds = decoder.header().map(flate2::GzHeader::mtime);
    Ok(seconds.filter(|seconds| *seconds > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_the_place_of_a_file_is_neither_followed_nor_waited_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert!(regular(&file).is_ok());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(Text::open_at(&link, 0).is_err());
        for name in ["pipe", "pipe.gz"] {
            let pipe = dir.path().join(name);
            nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
            // Nobody writes into it: who waited would do so for ever.
            let told = Text::open_at(&pipe, 0).unwrap_err().to_string();
            assert!(told.ends_with("is no regular file"), "{told}");
        }
    }
}
