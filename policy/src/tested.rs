//! The note that a policy has passed its tests. The daemons do not run tests, which would put what runs them into both trees; where they
//! are told of a note, they put no policy in force but the one that it names.

use std::fs::File;
use std::io::{Error, Read};
use std::path::{Path, PathBuf};

use dbal_shared::ids::Digest;

use crate::policy::Policy;

/// A hash in hexadecimal digits is shorter.
const NOTE_BYTES: u64 = 128;

/// Why a policy is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum NotTested {
    /// There is no note.
    #[error("{path}: can't be read; `dbal policy test --record {path}` writes it once the tests pass", path = path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// It is of another policy.
    #[error(
        "policy {policy} has not passed its tests, says {path}; `dbal policy test --record {path}`, or `dbal policy reload`, runs \
         them and says so there",
        path = path.display()
    )]
    Other {
        /// Where the note is.
        path: PathBuf,
        /// What was to be put in force.
        policy: Digest,
    },
}

/// What the note of this policy says.
pub fn note(policy: &Policy) -> String {
    format!("{}\n", policy.hash())
}

/// Refuses every policy but the one that the note at `path` names.
pub fn confirm(policy: &Policy, path: &Path) -> Result<(), NotTested> {
    let mut noted = String::new();
    File::open(path)
        .and_then(|file| file.take(NOTE_BYTES).read_to_string(&mut noted))
        .map_err(|source| NotTested::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    if noted.trim() == note(policy).trim() {
        Ok(())
    } else {
        Err(NotTested::Other {
            path: path.to_owned(),
            policy: policy.hash(),
        })
    }
}
