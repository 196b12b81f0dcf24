//! Files that the journal makes and goes on in, never by way of a link, which could lead anywhere.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Makes the folder of a journal, if it is not there.
pub(crate) fn make_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes a file that must not be there yet; open(2) follows no link then.
pub(crate) fn make(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Opens a file to append to, and makes it if need be.
pub(super) fn open_or_make(path: &Path, mode: u32) -> io::Result<File> {
    match make(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => return done,
    }
    let named = fs::symlink_metadata(path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    let opened = file.metadata()?;
    if named.is_file() && (named.dev(), named.ino()) == (opened.dev(), opened.ino()) {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link or no file at all, and is left alone",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_written_to() {
        let dir = tempfile::TempDir::new().unwrap();
        let (precious, link) = (dir.path().join("precious"), dir.path().join("link"));
        fs::write(&precious, "x").unwrap();
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        assert!(open_or_make(&link, 0o600).is_err());
        assert!(make(&link, 0o600).is_err());
        assert!(open_or_make(&precious, 0o600).is_ok());
        assert_eq!(fs::read_to_string(precious).unwrap(), "x");
    }
}
