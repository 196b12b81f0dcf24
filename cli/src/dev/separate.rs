//! Whether the two daemons can be two users, and whom each file must belong to then.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use crate::error::ToolError;
use crate::files;

/// User and group of the broker. Numbers nobody has; names would have to be made first.
const BROKER: u32 = 64_801;
/// User and group of the worker.
const WORKER: u32 = 64_802;

/// Who the daemons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Separation {
    /// Two users, neither of them root nor each other.
    Users,
    /// Both are whoever starts them.
    Same {
        /// Why, where it is worse than expected.
        why: Option<String>,
    },
}

impl Separation {
    /// Two users where we may make them, and where they can reach the folder.
    pub(super) fn choose(dir: &Path) -> Self {
        if !geteuid().is_root() {
            return Self::Same { why: None };
        }
        let closed = dir.ancestors().skip(1).find(|folder| {
            let mode = fs::metadata(folder).map_or(0, |about| about.mode());
            mode & 0o001 == 0
        });
        if let Some(closed) = closed {
            return Self::Same {
                why: Some(format!(
                    "other users can't pass {}; choose another folder with --dir, or `chmod o+x {}`",
                    closed.display(),
                    closed.display()
                )),
            };
        }
        // Root in a container may lack the right to give files away, and then lacks the right to become another, too.
        let probe = chown(dir, Some(WORKER), None).and_then(|()| chown(dir, Some(0), None));
        match probe {
            Ok(()) => Self::Users,
            Err(error) => Self::Same {
                why: Some(format!("root may not act as another user here ({error})")),
            },
        }
    }

    /// Both users pass through the folder; what is private in it is so by itself.
    pub(super) fn folder_mode(&self) -> u32 {
        match self {
            Self::Users => 0o755,
            Self::Same { .. } => 0o700,
        }
    }

    /// `security.run_as` of the broker, if it is to become another user.
    pub(super) fn broker_runs_as(&self) -> Option<String> {
        match self {
            Self::Users => Some(format!("{BROKER}:{BROKER}")),
            Self::Same { .. } => None,
        }
    }

    /// `security.run_as` of the worker.
    pub(super) fn worker_runs_as(&self) -> Option<String> {
        match self {
            Self::Users => Some(format!("{WORKER}:{WORKER}")),
            Self::Same { .. } => None,
        }
    }

    /// The user whose connections the worker accepts.
    pub(super) fn broker_uid(&self) -> u32 {
        match self {
            Self::Users => BROKER,
            Self::Same { .. } => geteuid().as_raw(),
        }
    }

    /// Mode of the worker's socket. It is made by root and used by the broker; its folder keeps all others away.
    pub(super) fn socket_mode(&self) -> &'static str {
        match self {
            Self::Users => "0666",
            Self::Same { .. } => "0600",
        }
    }

    /// Gives each file to whom it belongs.
    pub(super) fn arrange(&self, dir: &Path) -> Result<(), ToolError> {
        let (broker, worker) = match self {
            Self::Users => ((BROKER, BROKER), (WORKER, WORKER)),
            // A folder that root had separated once, now used without.
            Self::Same { .. } if geteuid().is_root() => {
                let own = (geteuid().as_raw(), getegid().as_raw());
                (own, own)
            }
            Self::Same { .. } => return Ok(()),
        };
        give(&dir.join("data"), worker)?;
        give(&dir.join("audit"), worker)?;
        give(&dir.join("server.key"), broker)?;
        // The worker's, and the broker may pass.
        give(&dir.join("run"), (worker.0, broker.1))?;
        files::folder(&dir.join("run"), 0o750)
    }
}

fn give(path: &Path, (user, group): (u32, u32)) -> Result<(), ToolError> {
    let failed = |source| ToolError::file(path, source);
    std::os::unix::fs::lchown(path, Some(user), Some(group)).map_err(failed)?;
    if fs::symlink_metadata(path).map_err(failed)?.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)? {
            give(&entry.map_err(failed)?.path(), (user, group))?;
        }
    }
    Ok(())
}
