//! How the keeper of the journal fares, in a file of Prometheus's text format: `dbal doctor` reads it, and node_exporter's textfile
//! collector can. Written in place and always as long, so that it can also be said on a disk that is full.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;

use crate::files::PUBLIC;
use crate::visible::one_line;

/// The file's name in the folder that is sealed into.
pub(crate) const NAME: &str = "seal.prom";
/// Its length.
const BYTES: u16 = 1024;
/// Of what is told of a failure, in characters: the rest always fits.
const WHY: usize = 100;

const TIME: &str = "dbal_audit_seal_time_seconds";
const RECORD: &str = "dbal_audit_seal_record";
const INCIDENT: &str = "dbal_audit_seal_incident";
const TOLD: &str = "# why: ";

/// How it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// When it last looked and all was sealed that was there, in seconds since 1970; 0: never.
    pub(crate) time_s: u64,
    /// The last record that is sealed; 0: none.
    pub(crate) record: u64,
    /// Whether it found that the journal was cut or written anew.
    pub(crate) is_incident: bool,
    /// Why it does not seal; empty if it does.
    pub(crate) why: String,
}

impl Status {
    /// All that there was is sealed.
    pub(crate) fn well(record: u64) -> Self {
        Self {
            time_s: now_s(),
            record,
            is_incident: false,
            why: String::new(),
        }
    }

    /// From here on it could not be sealed.
    pub(crate) fn failing(&self, why: &str, is_incident: bool) -> Self {
        Self {
            is_incident,
            why: one_line(why).chars().take(WHY).collect(),
            ..self.clone()
        }
    }

    fn text(&self) -> Vec<u8> {
        let Self {
            time_s,
            record,
            is_incident,
            why,
        } = self;
        let mut text = String::new();
        for (name, help, value) in [
            (
                TIME,
                "When all was sealed that was there, in seconds since 1970.",
                *time_s,
            ),
            (RECORD, "Number of the last record that is sealed.", *record),
            (
                INCIDENT,
                "1: the journal does not go on from what is sealed.",
                u64::from(*is_incident),
            ),
        ] {
            // Writing into a string can't fail.
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
            );
        }
        let _ = write!(text, "{TOLD}{why}");
        // What a shorter text leaves over belongs to the comment.
        let mut text = text.into_bytes();
        text.resize(usize::from(BYTES).saturating_sub(1), b' ');
        text.push(b'\n');
        text
    }

    /// From such a text; what is not in it, is 0.
    fn of(text: &str) -> Self {
        let value = |name: &str| {
            let named = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
            text.lines().find_map(named).unwrap_or(0_u64)
        };
        let why = text.lines().find_map(|line| line.strip_prefix(TOLD));
        Self {
            time_s: value(TIME),
            record: value(RECORD),
            is_incident: value(INCIDENT) > 0,
            why: why.unwrap_or_default().trim_end().to_owned(),
        }
    }

    /// What the file says. A link is not followed.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = open(OpenOptions::new().read(true), path)?;
        let mut text = Vec::new();
        file.take(BYTES.into()).read_to_end(&mut text)?;
        Ok(Self::of(&String::from_utf8_lossy(&text)))
    }
}

/// The files that it is written to. Open from before the sandbox is in force.
#[derive(Debug)]
pub(crate) struct Files(Vec<File>);

impl Files {
    /// Makes them if need be, for everybody to read as far as their folders let them; returns what the first one says.
    pub(crate) fn open(paths: &[&Path]) -> io::Result<(Self, Status)> {
        let mut files = Vec::new();
        let mut status = None;
        for path in paths {
            let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let options = &mut OpenOptions::new();
            let file = open(options.read(true).write(true).create(true).mode(PUBLIC), path).map_err(at)?;
            // Another name of it may be somebody else's file, which would be written over.
            if file.metadata().map_err(at)?.nlink() > 1 {
                return Err(at(io::Error::new(
                    ErrorKind::InvalidInput,
                    "it has another name as well (a hard link)",
                )));
            }
            // The umask may have taken bits.
            file.set_permissions(Permissions::from_mode(PUBLIC)).map_err(at)?;
            file.set_len(BYTES.into()).map_err(at)?;
            if status.is_none() {
                status = Some(Status::read(path).map_err(at)?);
            }
            files.push(file);
        }
        let files = Self(files);
        let status = status.unwrap_or_default();
        // Room for it is taken now.
        files.write(&status);
        Ok((files, status))
    }

    /// Says it in all of them. What can't be written grows old there, which is told as well.
    pub(crate) fn write(&self, status: &Status) {
        let text = status.text();
        for file in &self.0 {
            let _ = file.write_all_at(&text, 0);
        }
    }
}

/// Opens no link, and no pipe, on which it would wait.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = options.custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_said_is_read_and_takes_the_same_room_whatever_it_is() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join(NAME);
        let (files, status) = Files::open(&[&path]).unwrap();
        assert_eq!(status, Status::default());
        let status = Status::well(7);
        files.write(&status);
        let at = status.time_s;
        assert!(at > 0);
        assert_eq!(Status::read(&path).unwrap(), status);
        files.write(&status.failing(&format!("no room\n{INCIDENT} 1\n{}", "x".repeat(2_000)), false));
        let read = Status::read(&path).unwrap();
        assert_eq!((read.time_s, read.record, read.is_incident), (at, 7, false));
        assert!(read.why.starts_with("no room"));
        let most = Status {
            time_s: u64::MAX,
            record: u64::MAX,
            is_incident: true,
            why: "\u{fffd}".repeat(WHY),
        };
        files.write(&most);
        assert_eq!(Status::read(&path).unwrap(), most);
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.len(), u64::from(BYTES));
        assert_eq!(about.permissions().mode() & 0o777, PUBLIC);
        // Another keeper goes on from what the last one said.
        assert_eq!(Files::open(&[&path]).unwrap().1, most);
    }

    #[test]
    fn what_a_link_leads_to_is_neither_written_nor_read() {
        let dir = tempfile::TempDir::new().unwrap();
        let (precious, path) = (dir.path().join("precious"), dir.path().join(NAME));
        fs::write(&precious, "x").unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        assert!(Files::open(&[&path]).is_err());
        assert!(Status::read(&path).is_err());
        assert_eq!(fs::read(&precious).unwrap(), b"x");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&precious, &path).unwrap();
        let told = Files::open(&[&path]).unwrap_err().to_string();
        assert!(told.ends_with("another name as well (a hard link)"), "{told}");
        assert_eq!(fs::read(&precious).unwrap(), b"x");
    }
}
