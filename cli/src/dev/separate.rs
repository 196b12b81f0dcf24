//! Whether the two daemons can be two users, and whom each file must belong to then.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag};
use nix::unistd::{Gid, Uid, fchownat, geteuid};

use crate::dev::folder::COUNTERSIGN_KEY;
use crate::error::ToolError;
use crate::files;

/// User and group of the broker. Numbers nobody has; names would have to be made first.
const BROKER: u32 = 64_801;
/// User and group of the worker.
const WORKER: u32 = 64_802;

/// Where databases and audit trails lie if nobody but root can reach the development folder.
const ELSEWHERE: &str = "/var/lib/dbal-dev";

/// Folders of the daemons: what they write, and the keys, which only one of them reads.
const FOLDERS: [&str; 4] = ["data", "audit", "run", "keys"];

/// Who the daemons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Separation {
    /// Two users, neither of them root nor each other.
    Users {
        /// Where they work, if they can't reach the development folder.
        elsewhere: Option<PathBuf>,
    },
    /// Both are whoever starts them.
    Same {
        /// Why, where it is worse than expected.
        why: Option<String>,
    },
}

impl Separation {
    /// Two users where we may make them. `name` is the folder's own and nobody else's.
    pub(super) fn choose(dir: &Path, name: &str) -> Self {
        if !geteuid().is_root() {
            return Self::Same { why: None };
        }
        // Root in a container may lack the right to give files away, and then lacks the right to become another, too.
        let probe = chown(dir, Some(WORKER), None).and_then(|()| chown(dir, Some(0), None));
        if let Err(error) = probe {
            return Self::Same {
                why: Some(format!("root may not act as another user here ({error})")),
            };
        }
        let is_open = |folder: &Path| fs::metadata(folder).is_ok_and(|about| about.mode() & 0o001 != 0);
        let elsewhere = match fs::read_link(dir.join("data")) {
            // Decided at an earlier start; the data is there.
            Ok(data) => data.parent().map(Path::to_owned),
            Err(_) if dir.ancestors().skip(1).all(is_open) => None,
            // Typically below /root, which is closed to others.
            Err(_) => Some(Path::new(ELSEWHERE).join(name)),
        };
        Self::Users { elsewhere }
    }

    /// The folder in which both work.
    pub(super) fn workplace<'a>(&'a self, dir: &'a Path) -> &'a Path {
        match self {
            Self::Users {
                elsewhere: Some(elsewhere),
            } => elsewhere,
            Self::Users { elsewhere: None } | Self::Same { .. } => dir,
        }
    }

    /// The same as the beginning of a path in a configuration: nothing, where the folder can be moved as a whole.
    pub(super) fn prefix(&self) -> String {
        match self {
            Self::Users {
                elsewhere: Some(elsewhere),
            } => format!("{}/", elsewhere.display()),
            Self::Users { elsewhere: None } | Self::Same { .. } => String::new(),
        }
    }

    /// Whether the sandbox can be as strict as everywhere: it refuses root.
    pub(super) fn sandbox(&self) -> &'static str {
        match self {
            Self::Same { .. } if geteuid().is_root() => "permissive",
            Self::Same { .. } | Self::Users { .. } => "strict",
        }
    }

    /// Both users pass through the folder; what is private in it is so by itself.
    pub(super) fn folder_mode(&self) -> u32 {
        match self {
            Self::Users { .. } => 0o755,
            Self::Same { .. } => 0o700,
        }
    }

    /// `security.run_as` of the broker, if it is to become another user.
    pub(super) fn broker_runs_as(&self) -> Option<String> {
        match self {
            Self::Users { .. } => Some(format!("{BROKER}:{BROKER}")),
            Self::Same { .. } => None,
        }
    }

    /// `security.run_as` of the worker.
    pub(super) fn worker_runs_as(&self) -> Option<String> {
        match self {
            Self::Users { .. } => Some(format!("{WORKER}:{WORKER}")),
            Self::Same { .. } => None,
        }
    }

    /// The user whose connections the worker accepts.
    pub(super) fn broker_uid(&self) -> u32 {
        match self {
            Self::Users { .. } => BROKER,
            Self::Same { .. } => geteuid().as_raw(),
        }
    }

    /// Mode of the worker's socket. It is made by the worker and used by the broker; its folder keeps all others away.
    pub(super) fn socket_mode(&self) -> &'static str {
        match self {
            Self::Users { .. } => "0666",
            Self::Same { .. } => "0600",
        }
    }

    /// Makes the folders in which the daemons write, and gives each file to whom it belongs.
    pub(super) fn arrange(&self, dir: &Path) -> Result<(), ToolError> {
        let workplace = self.workplace(dir);
        if workplace != dir {
            files::folder(Path::new(ELSEWHERE), 0o755)?;
            files::folder(workplace, 0o755)?;
        }
        for name in FOLDERS {
            let folder = workplace.join(name);
            files::folder(&folder, 0o700)?;
            let here = dir.join(name);
            if workplace != dir && !here.is_symlink() {
                std::os::unix::fs::symlink(&folder, &here)
                    .map_err(|source| ToolError::file(&here, source))?;
            }
        }
        let database = workplace.join("data/dbal.sqlite");
        if !database.exists() {
            // Made here, so that it belongs to whoever the worker will be.
            files::write_new(&database, b"", files::PRIVATE)?;
        }
        let keys = workplace.join("keys/api-keys.yaml");
        if !keys.exists() {
            files::write_new(
                &keys,
                dbal_identity::write_records(&[]).as_bytes(),
                files::PRIVATE,
            )?;
        }
        let (broker, worker) = match self {
            Self::Users { .. } => (BROKER, WORKER),
            // Not the right to give: nothing was given before, either.
            Self::Same { .. } => return Ok(()),
        };
        give(&workplace.join("data"), worker, worker)?;
        give(&workplace.join("audit"), worker, worker)?;
        give(&workplace.join("keys"), worker, worker)?;
        for key in ["server.key", COUNTERSIGN_KEY] {
            give(&dir.join(key), broker, broker)?;
        }
        // The worker's, and the broker may pass.
        give(&workplace.join("run"), worker, broker)?;
        files::folder(&workplace.join("run"), 0o750)
    }
}

/// Gives a file, or a folder and what lies in it: one level, since the daemons make no folders. By descriptors: whoever the folder
/// belonged to before may put links there meanwhile.
fn give(path: &Path, user: u32, group: u32) -> Result<(), ToolError> {
    let failed = |source| ToolError::file(path, source);
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(failed)?;
    fchown(&opened, Some(user), Some(group)).map_err(failed)?;
    if !opened.metadata().map_err(failed)?.is_dir() {
        return Ok(());
    }
    let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    // The folder that was opened, whatever its name leads to by now.
    for entry in fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd())).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        fchownat(
            &opened,
            name.as_os_str(),
            user,
            group,
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .map_err(|error| failed(error.into()))?;
    }
    Ok(())
}
