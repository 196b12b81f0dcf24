//! The user and group a process becomes when it starts as root.

use crate::SandboxError;

/// A user and group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// User id; never 0.
    pub uid: u32,
    /// Group id; never 0.
    pub gid: u32,
}

impl RunAs {
    /// From a user's name, or from `uid:gid`.
    pub fn resolve(text: &str) -> Result<Self, SandboxError> {
        Err(SandboxError::UnknownUser {
            name: text.to_owned(),
        })
    }
}
