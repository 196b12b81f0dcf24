//! Calls that libraries make and can do without: they fail instead of killing. Keep this short; each line is a call that
//! an attacker may try without being noticed.

use super::rule::{Rule, refuse};

/// What `SYS_getcwd` answers. `Setup::lock` makes the call to see that these filters are loaded.
pub const PROBE_ANSWER: i32 = libc::EDOM;

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    refuse!(SYS_clone3, ENOSYS, "its flags lie in memory, out of the filter's sight; glibc then takes clone"),
    refuse!(SYS_getcwd, EDOM, "asked by panic messages with a backtrace; and by the probe, hence a strange answer"),
    #[cfg(target_arch = "x86_64")]
    refuse!(SYS_readlink, EPERM, "asked by panic messages with a backtrace (/proc/self/exe)", unseen: "no daemon panics there; `confined panic` does"),
    #[cfg(not(target_arch = "x86_64"))]
    refuse!(SYS_readlinkat, EPERM, "as above, aarch64"),
    refuse!(SYS_memfd_create, EPERM, "journald's client, for messages too long for a datagram: they are dropped", unseen: "the log of the tests is a file"),
];
