//! Reads the files of a folder: sorted, bounded, nothing but regular files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::error::SchemaError;
use crate::source::Source;
use crate::yaml::FILE_BYTES;

/// Deepest folder. Also what ends a symbolic link that leads back up.
const DEPTH: usize = 16;
/// Most files and folders: four for each of the most entities.
const ENTRIES: usize = 4_096;

/// Every `*.yaml` and `*.yml` under `folder`; what begins with a dot is left alone, as editors keep copies there.
pub(crate) fn read(folder: &Path) -> Result<Vec<Source>, SchemaError> {
    let mut files = Vec::new();
    let mut entries = ENTRIES;
    walk(folder, DEPTH, &mut entries, &mut files)?;
    files
        .iter()
        .map(|path| read_file(path).map_err(|source| unreadable(path, source)))
        .collect()
}

fn walk(
    folder: &Path,
    depth: usize,
    entries: &mut usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), SchemaError> {
    let failed = |source| unreadable(folder, source);
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| failed(io::Error::other("folders are nested too deep")))?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        *entries = entries
            .checked_sub(1)
            .ok_or_else(|| failed(io::Error::other("too many files")))?;
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        if path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        {
            continue;
        }
        // Follows links: a mounted configuration is often nothing but links.
        let metadata = fs::metadata(&path).map_err(|source| unreadable(&path, source))?;
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if metadata.is_dir() {
            walk(&path, depth, entries, files)?;
        } else if is_yaml && metadata.is_file() {
            files.push(path);
        } else if is_yaml {
            return Err(unreadable(&path, io::Error::other("not a regular file")));
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> io::Result<Source> {
    // One byte more than allowed, so that the parser sees that it is too long and says so.
    let limit = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

fn unreadable(path: &Path, source: io::Error) -> SchemaError {
    SchemaError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Result<Vec<String>, SchemaError> {
        let sources = read(folder)?;
        Ok(sources
            .iter()
            .map(|source| source.name.rsplit('/').next().unwrap().to_owned())
            .collect())
    }

    #[test]
    fn yaml_files_of_all_folders_are_read_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("b");
        fs::create_dir(&inner).unwrap();
        for name in [
            "c.yml",
            "a.yaml",
            "a.ops.yaml",
            ".hidden.yaml",
            "note.txt",
            "yaml",
        ] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        fs::write(inner.join("x.yaml"), "text").unwrap();
        std::os::unix::fs::symlink(inner.join("x.yaml"), folder.path().join("link.yaml")).unwrap();
        assert_eq!(
            names(folder.path()).unwrap(),
            ["a.ops.yaml", "a.yaml", "x.yaml", "c.yml", "link.yaml"]
        );
    }

    #[test]
    fn what_cannot_be_read_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            names(&folder.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("/none: can't be read")
        );
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.yaml")).unwrap();
        assert!(names(folder.path()).is_err());
        fs::remove_file(folder.path().join("dangling.yaml")).unwrap();
        fs::write(folder.path().join("latin.yaml"), [0x66, 0xfc]).unwrap();
        assert!(
            names(folder.path())
                .unwrap_err()
                .to_string()
                .contains("latin.yaml")
        );
    }

    #[test]
    fn a_folder_that_contains_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert!(
            names(folder.path())
                .unwrap_err()
                .to_string()
                .contains("nested too deep")
        );
    }

    #[test]
    fn no_more_of_a_file_is_read_than_may_be() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("big.yaml"), vec![b' '; FILE_BYTES * 2]).unwrap();
        assert_eq!(read(folder.path()).unwrap()[0].text.len(), FILE_BYTES + 1);
        let error = crate::Schema::load(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("big.yaml: the file has 1048577 bytes; 1048576 are allowed"),
            "{error}"
        );
    }

    #[test]
    fn a_socket_or_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.yaml")).unwrap();
        assert!(
            names(folder.path())
                .unwrap_err()
                .to_string()
                .contains("not a regular file")
        );
    }
}
