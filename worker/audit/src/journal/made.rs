//! Files that the journal makes and goes on in, perhaps while the worker is still root: given to whom it becomes, and never by way
//! of a link, which could lead root anywhere.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Whom files are made for by a worker that is still root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Makes a file that must not be there yet; open(2) follows no link then.
pub(crate) fn make(path: &Path, mode: u32, owner: Option<Owner>) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    // Where the folder gives its group to what is made in it, that is whom the operator lets read (inode(7), S_ISGID).
    let folder = path.parent().map(fs::metadata).transpose()?;
    let has_group = folder.is_some_and(|folder| folder.mode() & 0o2000 != 0);
    if let Some(Owner { uid, gid }) = owner {
        fchown(&file, Some(uid), (!has_group).then_some(gid))?;
    }
    Ok(file)
}

/// Opens a file to append to, and makes it if need be.
pub(super) fn open_or_make(path: &Path, mode: u32, owner: Option<Owner>) -> io::Result<File> {
    match make(path, mode, owner) {
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
        assert!(open_or_make(&link, 0o600, None).is_err());
        assert!(make(&link, 0o600, None).is_err());
        assert!(open_or_make(&precious, 0o600, None).is_ok());
        assert_eq!(fs::read_to_string(precious).unwrap(), "x");
    }
}
