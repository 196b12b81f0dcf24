//! What others may see of the process's memory: not dumpable, no core.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// No ptrace, no /proc/<pid>/mem and no core file for other processes of the same user: keys and rows are in memory.
pub(crate) fn hide() -> nix::Result<()> {
    prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Lets debuggers of the same user in again.
pub(crate) fn show() -> nix::Result<()> {
    prctl::set_dumpable(true)
}

/// Read back: changing the user resets "dumpable" to a system-wide default (prctl(2)), so it is set twice.
pub(crate) fn is_hidden() -> bool {
    prctl::get_dumpable() == Ok(false)
}

/// Read back: neither limit lets a core file through.
pub(crate) fn has_no_core() -> bool {
    getrlimit(Resource::RLIMIT_CORE) == Ok((0, 0))
}
