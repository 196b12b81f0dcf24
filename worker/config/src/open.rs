//! Finds out whether a file is sealed, opens it, and reads it into [`WorkerConfig`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dbal_settings::mode_if_others_may_read;
use zeroize::Zeroizing;

use crate::error::{ConfigError, SealError};
use crate::identity::Identity;
use crate::sealed::{CONFIG_BYTES, decrypt, is_sealed};
use crate::worker::WorkerConfig;

/// Opens `worker.yaml` or `worker.yaml.age`. The identity is gone from memory when this returns.
pub fn open(path: &Path, identity: Option<Identity>) -> Result<WorkerConfig, ConfigError> {
    let plain = read_plain(path, identity)?;
    let mut config = open_text(path, &plain.text)?;
    config.warnings.extend(plain.warnings);
    Ok(config)
}

/// Reads the text of a configuration that lies, or will lie, at `path`.
pub fn open_text(path: &Path, text: &str) -> Result<WorkerConfig, ConfigError> {
    // Of the whole path: the folder of a bare name is empty, which no path can be made of.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or_else(|| Path::new(""));
    dbal_settings::parse::<WorkerConfig>(path, text)?
        .settle(folder)
        .map_err(|source| ConfigError::Together {
            path: path.to_owned(),
            source: Box::new(source),
        })
}

/// A configuration's text, out of its seal.
#[derive(Debug)]
pub struct Plain {
    /// The text, wiped when dropped.
    pub text: Zeroizing<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// The text of a configuration file, out of its seal.
pub fn read_plain(path: &Path, identity: Option<Identity>) -> Result<Plain, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |source| ConfigError::Sealed {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if about.len() > CONFIG_BYTES {
        return Err(refused(SealError::TooLong { most: CONFIG_BYTES }));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(CONFIG_BYTES).unwrap_or(0)));
    (&mut file)
        .take(CONFIG_BYTES)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;

    if is_sealed(&bytes) {
        let identity =
            identity
                .or_else(Identity::from_credential)
                .ok_or_else(|| ConfigError::NoIdentity {
                    path: path.to_owned(),
                })?;
        let text = decrypt(&bytes, &identity).map_err(refused)?;
        return Ok(Plain {
            text,
            warnings: Vec::new(),
        });
    }
    if let Some(mode) = mode_if_others_may_read(&about) {
        return Err(ConfigError::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(SealError::NotText))?;
    Ok(Plain {
        text: Zeroizing::new(text.to_owned()),
        warnings: vec![format!(
            "{} holds its secrets in plain text; `dbal config encrypt {}` seals it",
            path.display(),
            path.display()
        )],
    })
}
