//! Lets an editor change a secret text: in memory-backed storage where there is some, wiped and removed afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use zeroize::Zeroizing;

use crate::error::ToolError;
use crate::files::{self, PRIVATE};
use crate::output;

/// The text as the editor leaves it.
pub(super) fn edit(text: &str) -> Result<Zeroizing<String>, ToolError> {
    let scratch = Scratch::make(text)?;
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // By the shell, since these variables may hold arguments: EDITOR="code --wait".
    let status = Command::new("/bin/sh")
        .args(["-c", "exec $DBAL_EDITOR \"$1\"", "sh"])
        .arg(&scratch.file)
        .env("DBAL_EDITOR", &editor)
        .status()
        .map_err(|source| ToolError::file(Path::new("/bin/sh"), source))?;
    if !status.success() {
        return Err(ToolError::Failed(format!(
            "`{editor}` ended with {status}; nothing was changed"
        )));
    }
    let bytes = fs::read(&scratch.file).map(Zeroizing::new);
    let bytes = bytes.map_err(|source| ToolError::file(&scratch.file, source))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(ToolError::Failed(
            "the text is not UTF-8; nothing was changed".to_owned(),
        )),
    }
}

/// A private folder with the text in it; wiped and removed when dropped.
struct Scratch {
    folder: PathBuf,
    file: PathBuf,
}

impl Scratch {
    fn make(text: &str) -> Result<Self, ToolError> {
        let parent = ["/dev/shm", "/run/shm"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let folder = parent.join(format!("dbal-edit-{}", std::process::id()));
        // Must be new: a folder that somebody else has made could be read by them.
        fs::DirBuilder::new()
            .create(&folder)
            .and_then(|()| fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)))
            .map_err(|source| ToolError::file(&folder, source))?;
        let scratch = Self {
            file: folder.join("worker.yaml"),
            folder,
        };
        files::write_new(&scratch.file, text.as_bytes(), PRIVATE)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Editors leave backups beside the file; all of it goes. Zeros first, for a disk that is not memory.
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let length = entry.metadata().map_or(0, |about| about.len());
            let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
            let wiped = OpenOptions::new()
                .write(true)
                .open(entry.path())
                .and_then(|mut file| file.write_all(&zeros).and_then(|()| file.sync_all()));
            if let Err(error) = wiped {
                output::say(format_args!(
                    "dbal: warning: {} could not be wiped: {error}",
                    entry.path().display()
                ));
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            output::say(format_args!(
                "dbal: warning: {} could not be removed: {error}",
                self.folder.display()
            ));
        }
    }
}
