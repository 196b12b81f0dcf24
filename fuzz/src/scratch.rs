//! Files for parsers that read no text but files. They are in memory where the machine has a file system for that.

use std::path::{Path, PathBuf};

/// A file of this process, gone when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Nothing is in it yet.
    pub fn new(name: &str) -> Self {
        Self(folder(name).join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts this in it, and nothing else.
    pub fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.0, bytes).expect("a scratch file can be written");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An empty folder of this process.
pub fn folder(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = parent.join(format!("dbal-fuzz-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}
