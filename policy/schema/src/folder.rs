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
