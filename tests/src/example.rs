//! The example world's files, to be made another world of.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries::repository;

/// Its folder, in which entities and policy are.
pub fn folder() -> PathBuf {
    repository().join("policy/examples")
}

/// Copies its entities, each as `changed` has it, into a new folder `entities` of this one.
pub fn entities(world: &Path, changed: impl Fn(String) -> String) -> PathBuf {
    let entities = world.join("entities");
    fs::create_dir(&entities).expect("a new folder");
    for entry in fs::read_dir(folder().join("entities")).expect("the example's entities") {
        let entry = entry.expect("one of them");
        let text = fs::read_to_string(entry.path()).expect("a text");
        fs::write(entities.join(entry.file_name()), changed(text)).expect("a copy of it");
    }
    entities
}
