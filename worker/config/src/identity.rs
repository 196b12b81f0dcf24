//! The age identity: read once, from a file, a descriptor or systemd, wiped after use, its descriptor closed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use dbal_settings::mode_if_others_may_read;
use zeroize::Zeroizing;

use crate::error::SealError;

/// Where the identity comes from.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A file that nobody else may read.
    File(PathBuf),
    /// An inherited descriptor, closed after reading.
    Descriptor(RawFd),
    /// systemd's credential `dbal-identity`.
    Credential,
}

/// An identity file has one line of 74 bytes and some comments.
const IDENTITY_BYTES: u64 = 16 * 1024;

impl Identity {
    /// The systemd credential, if the unit brings one.
    pub fn from_credential() -> Option<Self> {
        credential_path()
            .filter(|path| path.exists())
            .map(|_| Identity::Credential)
    }

    /// The secret key, in memory that is wiped when the value is dropped.
    pub(crate) fn load(&self) -> Result<age::x25519::Identity, SealError> {
        let from = self.to_string();
        let text = match self {
            Identity::File(path) => read_private(path)?,
            Identity::Descriptor(number) => read_descriptor(*number)?,
            Identity::Credential => read_private(&credential_path().ok_or(SealError::NoCredential)?)?,
        };
        text.lines()
            .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
            .and_then(|line| line.trim_end().parse().ok())
            .ok_or(SealError::NotAnIdentity { from })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::File(path) => write!(out, "{}", path.display()),
            Identity::Descriptor(number) => write!(out, "descriptor {number}"),
            Identity::Credential => out.write_str("credential `dbal-identity`"),
        }
    }
}

fn credential_path() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join("dbal-identity"))
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, SealError> {
    let unreadable = |source| SealError::IdentityRead {
        from: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    // systemd hands credentials over as 0440 in a folder that only the unit's user can enter.
    let is_credential = credential_path().is_some_and(|credential| credential == path);
    if !is_credential {
        refuse_if_others_may_read(&file, path)?;
    }
    read_secret(file).map_err(unreadable)
}

/// Reads an inherited descriptor to its end and closes it, so that nothing later in the process can read it again.
fn read_descriptor(number: RawFd) -> Result<Zeroizing<String>, SealError> {
    let unreadable = |source| SealError::IdentityRead {
        from: format!("descriptor {number}"),
        source,
    };
    // Opened again by name because owning a bare number needs unsafe code; a pipe or a file gives the same bytes.
    let name = PathBuf::from(format!("/proc/self/fd/{number}"));
    let file = File::open(&name).map_err(unreadable)?;
    let named = std::fs::read_link(&name).unwrap_or(name);
    nix::unistd::close(number).map_err(|error| unreadable(error.into()))?;
    refuse_if_others_may_read(&file, &named)?;
    read_secret(file).map_err(unreadable)
}

fn refuse_if_others_may_read(file: &File, path: &Path) -> Result<(), SealError> {
    // The open file is asked, not the path: the path could name another file by now.
    let about = file.metadata().map_err(|source| SealError::IdentityRead {
        from: path.display().to_string(),
        source,
    })?;
    if about.is_file()
        && let Some(mode) = mode_if_others_may_read(&about)
    {
        return Err(SealError::IdentityReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn read_secret(file: File) -> io::Result<Zeroizing<String>> {
    // Sized before reading: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(IDENTITY_BYTES).unwrap_or(0)));
    file.take(IDENTITY_BYTES).read_to_end(&mut bytes)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "not text")),
    }
}
