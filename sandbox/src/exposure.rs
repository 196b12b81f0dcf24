//! What others may see of the process, and how much of the system it may take: not dumpable, no core, bounded descriptors.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors a process may open: 10,000 clients, and as many again while they are replaced after a network cut, with room.
const DESCRIPTORS: u64 = 65_536;

/// No ptrace, no /proc/<pid>/mem and no core file for other processes of the same user: keys and rows are in memory.
pub(crate) fn hide() -> nix::Result<()> {
    prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Raises the soft limit as far as wanted and allowed, and lowers the hard limit to it.
pub(crate) fn bound_descriptors() -> nix::Result<()> {
    if setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).is_ok() {
        return Ok(());
    }
    // An ordinary user can't go beyond the hard limit it was given.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// How many descriptors this process may have open at once (getrlimit(2)).
pub fn descriptors() -> io::Result<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft)
}

/// Read back: changing the user resets "dumpable" to a system-wide default (prctl(2)), so it is set twice.
pub(crate) fn is_hidden() -> bool {
    prctl::get_dumpable() == Ok(false)
}

/// Read back: neither limit lets a core file through.
pub(crate) fn has_no_core() -> bool {
    getrlimit(Resource::RLIMIT_CORE) == Ok((0, 0))
}
