//! The key with which the broker signs what it is shown of the audit trail.

use std::io;
use std::path::{Path, PathBuf};

use dbal_witness::{KeyError, Signer};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Audit;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum CountersignKeyError {
    /// The file can't be read.
    #[error("audit.countersign_key: {path}: can't be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no key.
    #[error("audit.countersign_key: {path}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
}

/// Reads the key, if there is one.
pub fn read(audit: &Audit) -> Result<Option<Signer>, CountersignKeyError> {
    audit.countersign_key.as_deref().map(signer).transpose()
}

fn signer(path: &Path) -> Result<Signer, CountersignKeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| CountersignKeyError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let text = SecretString::from(text);
    Signer::from_file(text.expose_secret()).map_err(|source| CountersignKeyError::Key {
        path: path.to_owned(),
        source,
    })
}
