//! From a process that may do everything to one that may do its job: `Setup::begin`, then `lock`, once.

use std::path::PathBuf;

use crate::{Locked, Mode, RunAs};

/// Which allow-list applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Accepts clients, talks to one Unix socket.
    Broker,
    /// Talks to the broker and the database.
    Worker {
        /// Whether the database is reached by TCP.
        network: bool,
    },
}

/// What the process will need after it is locked in.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which allow-list applies.
    pub profile: Profile,
    /// Files and folders to read.
    pub read: Vec<PathBuf>,
    /// Folders to read, write, and make and remove files in.
    pub write: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub connect_ports: Vec<u16>,
    /// Leave the network: listeners that are open go on accepting, nothing new can be reached.
    pub leave_network: bool,
    /// Who to become, when started as root.
    pub run_as: Option<RunAs>,
}

/// Why the process could not be locked in.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The user doesn't exist.
    #[error("there is no user `{name}`")]
    UnknownUser {
        /// As configured.
        name: String,
    },
}

/// A process with one thread that hasn't been locked in yet.
#[derive(Debug)]
pub struct Setup {
    mode: Mode,
}

impl Setup {
    /// Before anything else in `main`.
    pub fn begin(mode: Mode) -> Result<Self, SandboxError> {
        Ok(Self { mode })
    }

    /// After everything is open and before the first thread or outside byte.
    pub fn lock(self, _rules: &Rules) -> Result<Locked, SandboxError> {
        let _ = self.mode;
        Ok(Locked::new(Vec::new()))
    }
}
