//! Files that the journal makes and goes on in, never by way of a link, which could lead anywhere, and only if they have no other name.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path),
        done => done,
    }
}

/// Opens a file that is there, to append to or to cut.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let named = fs::symlink_metadata(path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    let opened = file.metadata()?;
    if !named.is_file() || (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link or no file at all, and is left alone",
        ));
    }
    must_have_one_name(&opened)?;
    Ok(file)
}

/// What stands under another name as well may be somebody else's file, or what they take for a copy.
pub(crate) fn must_have_one_name(file: &Metadata) -> io::Result<()> {
    if file.nlink() > 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has another name as well (a hard link), and is left alone: put a copy of it in its place",
        ));
    }
    Ok(())
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

    #[test]
    fn what_has_another_name_is_not_gone_on_in_until_it_has_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let (precious, other) = (dir.path().join("precious"), dir.path().join("other"));
        fs::write(&precious, "x").unwrap();
        fs::hard_link(&precious, &other).unwrap();
        let told = open_or_make(&other, 0o600).unwrap_err().to_string();
        assert!(told.contains("hard link"), "{told}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
        fs::remove_file(precious).unwrap();
        assert!(open_or_make(&other, 0o600).is_ok());
    }
}
