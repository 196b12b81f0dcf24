//! Why a process could not be locked in, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::layers::{Layer, State};

/// Why a process could not be locked in. It must not serve.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock, seccomp and capabilities are per thread: one that is there already would stay free.
    #[error("the process has {count} threads; it must lock itself in before it starts the second")]
    Threads {
        /// How many there are.
        count: u32,
    },
    /// No such user.
    #[error("`run_as`: there is no user `{name}`; give a name of this system, or `uid:gid`")]
    UnknownUser {
        /// As configured.
        name: String,
    },
    /// The user database could not be read.
    #[error("`run_as`: can't look up the user `{name}`")]
    UserDatabase {
        /// As configured.
        name: String,
        /// Why.
        #[source]
        source: nix::Error,
    },
    /// Root, which is what `run_as` is there to end.
    #[error("`run_as` is `{name}`, which is root; name a user that owns nothing but what the process needs")]
    RunAsRoot {
        /// As configured.
        name: String,
    },
    /// An ordinary user can't become another.
    #[error("`run_as` wants the user {wanted}, but the process runs as {is} and only root can change that")]
    NotRoot {
        /// The configured user id.
        wanted: u32,
        /// The user id it has.
        is: u32,
    },
    /// The kernel refused a step of giving up privileges.
    #[error("can't {step}")]
    Privileges {
        /// What was tried.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A path of the rules isn't there.
    #[error(
        "can't open `{}`, which the process shall have access to; make it before starting, or correct the setting",
        path.display()
    )]
    Path {
        /// Which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A path of the rules is everything.
    #[error("`{}` would open the whole file system to the process; name a folder of its own", path.display())]
    WholeFileSystem {
        /// Which path.
        path: PathBuf,
    },
    /// The user that the process becomes can't write there.
    #[error("the user {uid} can't write into `{}`; give it the folder: chown {uid} …", path.display())]
    NotWritable {
        /// Which path.
        path: PathBuf,
        /// The user id.
        uid: u32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `/proc/<pid>/status` can't be read or understood.
    #[error("can't read {}", path.display())]
    Status {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What was left open for the process can't be listed or closed.
    #[error("can't close the descriptors that nobody means; is /proc mounted?")]
    Inherited {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A filter table is wrong: a bug, found by this crate's tests.
    #[error("the system call filter can't be made")]
    Filter {
        /// Why not.
        #[source]
        source: seccompiler::Error,
    },
    /// Strict mode, and not everything holds.
    #[error("`security.sandbox` is strict, but {}", list(missing))]
    Missing {
        /// The layers that don't hold.
        missing: Vec<Layer>,
    },
}

fn list(missing: &[Layer]) -> String {
    let mut text = String::new();
    for layer in missing {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(layer.name);
        if let State::Missing(why) = &layer.state {
            text.push_str(": ");
            text.push_str(why);
        }
    }
    text
}
