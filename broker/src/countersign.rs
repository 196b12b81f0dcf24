//! The key with which the broker signs what it is shown of the audit trail.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dbal_settings::mode_if_others_may_read;
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
    /// The file is open to others.
    #[error("audit.countersign_key {path}: others may read it (mode {mode:04o}); `chmod 600 {path}`", path = path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
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
    let unreadable = |source| CountersignKeyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if let Some(mode) = mode_if_others_may_read(&about).filter(|_| about.is_file()) {
        return Err(CountersignKeyError::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    let text = SecretString::from(text);
    Signer::from_file(text.expose_secret()).map_err(|source| CountersignKeyError::Key {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_others_may_read_is_not_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let refused = signer(file.path()).unwrap_err();
        assert!(matches!(
            refused,
            CountersignKeyError::ReadableByOthers { mode: 0o644, .. }
        ));
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        let empty = signer(file.path()).unwrap_err();
        assert!(matches!(empty, CountersignKeyError::Key { .. }));
    }
}
