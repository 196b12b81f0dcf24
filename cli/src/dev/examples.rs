//! The shipped example entities and policy, carried in the program and copied into the folder, where they may be edited.

use std::fs;
use std::path::Path;

use crate::error::ToolError;
use crate::files::{self, PUBLIC};

const ENTITIES: [(&str, &str); 3] = [
    (
        "user.yaml",
        include_str!("../../../policy/examples/entities/user.yaml"),
    ),
    (
        "note.yaml",
        include_str!("../../../policy/examples/entities/note.yaml"),
    ),
    (
        "comment.yaml",
        include_str!("../../../policy/examples/entities/comment.yaml"),
    ),
];
const POLICY: &str = include_str!("../../../policy/examples/acl.yaml");

/// Puts `entities/` and `acl.yaml` into `dir`: copies of what is named, else the examples unless something is there.
pub(super) fn put(dir: &Path, entities: Option<&Path>, policy: Option<&Path>) -> Result<(), ToolError> {
    let there = dir.join("entities");
    match entities {
        Some(from) => {
            if there.exists() {
                fs::remove_dir_all(&there).map_err(|source| ToolError::file(&there, source))?;
            }
            copy(from, &there)?;
        }
        None if there.exists() => {}
        None => {
            files::folder(&there, 0o755)?;
            for (name, text) in ENTITIES {
                files::write_new(&there.join(name), text.as_bytes(), PUBLIC)?;
            }
        }
    }
    let there = dir.join("acl.yaml");
    match policy {
        Some(from) => files::replace(&there, files::read(from)?.as_bytes(), PUBLIC),
        None if there.exists() => Ok(()),
        None => files::write_new(&there, POLICY.as_bytes(), PUBLIC),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), ToolError> {
    let failed = |source| ToolError::file(from, source);
    files::folder(to, 0o755)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let there = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &there)?;
        } else if kind.is_file() {
            files::write_new(&there, files::read(&entry.path())?.as_bytes(), PUBLIC)?;
        }
    }
    Ok(())
}
