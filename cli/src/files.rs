//! Writing files that matter: whole or not at all, with their mode from the first byte on.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::ToolError;

/// Readable by its owner only.
pub(crate) const PRIVATE: u32 = 0o600;
/// For another command that changes the same file; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(20);
/// Readable by all.
pub(crate) const PUBLIC: u32 = 0o644;

/// Puts `bytes` in the place of `path` in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ToolError> {
    put(path, bytes, mode, None)
}

/// The same for this user and group, where that is not who writes it.
pub(crate) fn replace_for(path: &Path, bytes: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), ToolError> {
    put(path, bytes, mode, Some(owner))
}

fn put(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<(), ToolError> {
    let failed = |source| ToolError::file(path, source);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = create(&beside, mode)?;
        if let Some((user, group)) = owner {
            let about = file.metadata()?;
            if (about.uid(), about.gid()) != (user, group) {
                fchown(&file, Some(user), Some(group))?;
            }
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Keeps everybody else who asks for the same from changing this file until it is dropped: who reads a file, and writes it with a
/// change, would else take back what was changed in between.
///
/// The file itself is locked, which only those can do who may read it. Its folder may be anybody's to read, and who may read may lock:
/// any user of the machine could else keep a key from being revoked. Only while there is no file yet, and so nothing to revoke, is it
/// the folder.
pub(crate) fn alone(path: &Path) -> Result<File, ToolError> {
    let began = Instant::now();
    loop {
        let held = match File::open(path) {
            Ok(held) => held,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = folder_of(path);
                let held = File::open(folder).map_err(|source| ToolError::file(folder, source))?;
                lock(&held, folder, began)?;
                if path.exists() {
                    continue;
                }
                return Ok(held);
            }
            Err(source) => return Err(ToolError::file(path, source)),
        };
        lock(&held, path, began)?;
        // Who had it before may have put another file in its place, which is not locked.
        let is_same = |about: fs::Metadata| held.metadata().is_ok_and(|own| same(&own, &about));
        if fs::metadata(path).is_ok_and(is_same) {
            return Ok(held);
        }
    }
}

fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn lock(held: &File, path: &Path, began: Instant) -> Result<(), ToolError> {
    loop {
        match held.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => sleep(RETRY),
            Err(TryLockError::WouldBlock) => {
                return Err(ToolError::Failed(format!(
                    "{}: another command has been changing it for {} s; nothing is changed",
                    path.display(),
                    PATIENCE.as_secs()
                )));
            }
            Err(TryLockError::Error(source)) => return Err(ToolError::file(path, source)),
        }
    }
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Writes a file that must not be there yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ToolError> {
    create(path, mode)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|source| {
            if source.kind() == ErrorKind::AlreadyExists {
                ToolError::Usage(format!(
                    "{} exists already; a key that is overwritten is lost, so remove it yourself or choose another name",
                    path.display()
                ))
            } else {
                ToolError::file(path, source)
            }
        })
}

/// Reads a text.
pub(crate) fn read(path: &Path) -> Result<String, ToolError> {
    fs::read_to_string(path).map_err(|source| ToolError::file(path, source))
}

/// Makes a folder with this mode, or gives it to one that is there.
pub(crate) fn folder(path: &Path, mode: u32) -> Result<(), ToolError> {
    let failed = |source| ToolError::file(path, source);
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    // The umask may have taken bits from `mode`; the file is still empty.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}
