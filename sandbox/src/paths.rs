//! The paths a process keeps, opened while it is still root: landlock's rules hold on to what was opened, not to names.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{AccessFs, BitFlags, PathFd, make_bitflags};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::{Rules, SandboxError};

/// Reading: neither executing nor anything that changes.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// What SQLite and the audit journal do in their folders: no folders, links, sockets, devices or programs are made there.
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile});
/// What of these there is to allow on a file that isn't a folder.
const FILE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});

/// One path and what stays allowed beneath it.
pub(crate) struct Kept {
    pub(crate) path: PathFd,
    pub(crate) access: BitFlags<AccessFs>,
}

/// Opens every path of the rules.
pub(crate) fn open(rules: &Rules) -> Result<Vec<Kept>, SandboxError> {
    let reading = rules.read.iter().map(|path| (path, READ));
    let writing = rules.write.iter().map(|path| (path, WRITE));
    reading
        .chain(writing)
        .map(|(path, access)| open_one(path, access))
        .collect()
}

fn open_one(path: &Path, access: BitFlags<AccessFs>) -> Result<Kept, SandboxError> {
    let failed = |source| SandboxError::Path {
        path: path.to_owned(),
        source,
    };
    let real = path.canonicalize().map_err(failed)?;
    if real == Path::new("/") {
        return Err(SandboxError::WholeFileSystem {
            path: path.to_owned(),
        });
    }
    let access = if real.is_dir() { access } else { access & FILE };
    let path = PathFd::new(&real).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Kept { path, access })
}

/// Asks, as the user that the process has become, what would otherwise be found out by the first write that fails.
pub(crate) fn must_be_writable(paths: &[PathBuf]) -> Result<(), SandboxError> {
    for path in paths {
        access(path, AccessFlags::W_OK).map_err(|error| SandboxError::NotWritable {
            path: path.clone(),
            uid: geteuid().as_raw(),
            source: io::Error::from(error),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    fn rules(path: &str) -> Rules {
        Rules {
            profile: Profile::Broker,
            read: vec![PathBuf::from(path)],
            write: Vec::new(),
            connect_ports: Vec::new(),
            leave_network: false,
            run_as: None,
        }
    }

    #[test]
    fn the_whole_file_system_is_refused_however_it_is_spelt() {
        for path in ["/", "//", "/proc/..", "/proc/self/root"] {
            let refused = open(&rules(path)).err();
            assert!(
                matches!(refused, Some(SandboxError::WholeFileSystem { .. })),
                "{path}"
            );
        }
        assert!(matches!(
            open(&rules("/no/such")).err(),
            Some(SandboxError::Path { .. })
        ));
    }

    #[test]
    fn a_file_gets_no_rights_of_folders() {
        let kept = open(&rules("/proc/self/status")).unwrap();
        assert!(kept.iter().all(|kept| kept.access == AccessFs::ReadFile));
    }
}
