//! Lets an editor change a secret text: in memory-backed storage where there is some, wiped and removed afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::ToolError;
use crate::files::{self, PRIVATE};
use crate::output;
use crate::supervise::block_on;

/// How long an editor may take to end when this process is asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The text as the editor leaves it.
pub(super) fn edit(text: &str) -> Result<Zeroizing<String>, ToolError> {
    block_on(async {
        // First: what would end this process would leave the text behind.
        let ends = Ends::watch()?;
        let scratch = Scratch::make(text)?;
        run(&scratch.file, ends).await?;
        let bytes = fs::read(&scratch.file).map(Zeroizing::new);
        let bytes = bytes.map_err(|source| ToolError::file(&scratch.file, source))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(ToolError::Failed(
                "the text is not UTF-8; nothing was changed".to_owned(),
            )),
        }
    })
}

/// Waits for the editor to end by itself, and well.
async fn run(file: &Path, mut ends: Ends) -> Result<(), ToolError> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // By the shell, since these variables may hold arguments: EDITOR="code --wait".
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "exec $DBAL_EDITOR \"$1\"", "sh"])
        .arg(file)
        .env("DBAL_EDITOR", &editor)
        .spawn()
        .map_err(|source| ToolError::file(Path::new("/bin/sh"), source))?;
    let ended = tokio::select! {
        ended = shell.wait() => Some(ended),
        () = ends.come() => None,
    };
    match ended {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(ToolError::Failed(format!(
            "`{editor}` ended with {status}; nothing was changed"
        ))),
        Some(Err(source)) => Err(ToolError::file(Path::new("/bin/sh"), source)),
        None => {
            if let Some(id) = shell.id().and_then(|id| i32::try_from(id).ok()) {
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
            if timeout(ENDS_WITHIN, shell.wait()).await.is_err() {
                let _ = shell.kill().await;
            }
            Err(ToolError::Failed(
                "asked to end while the text was open; it is wiped, and nothing was changed".to_owned(),
            ))
        }
    }
}

/// The signals by which a terminal that is closed, a service manager or a person ends a process.
struct Ends {
    hang_up: unix::Signal,
    terminate: unix::Signal,
    /// For the editor, which gets it from the terminal as well.
    _interrupt: unix::Signal,
    /// The same.
    _quit: unix::Signal,
}

impl Ends {
    /// From now on none of them ends this process.
    fn watch() -> Result<Self, ToolError> {
        let on = |kind| {
            unix::signal(kind).map_err(|error| ToolError::Failed(format!("can't watch signals: {error}")))
        };
        Ok(Self {
            hang_up: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            _interrupt: on(SignalKind::interrupt())?,
            _quit: on(SignalKind::quit())?,
        })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.hang_up.recv() => {}
            _ = self.terminate.recv() => {}
        }
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
            .mode(0o700)
            .create(&folder)
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
