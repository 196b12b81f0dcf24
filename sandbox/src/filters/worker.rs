//! What only the worker needs: SQLite's files, the audit journal, and, with a database over TCP, TCP.

use libc::{
    AF_INET, AF_INET6, F_GETLK, F_SETLK, IPPROTO_TCP, O_PATH, SO_KEEPALIVE, SOCK_STREAM, SOL_SOCKET,
    TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY, TCP_USER_TIMEOUT,
};

use super::rule::{
    Check::{Is, IsBut, Without},
    Rule, permit, refuse,
};
use super::runtime::MANNERS;

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    permit!(SYS_openat, [Without(2, O_PATH)], "database, journal, audit; landlock says where"),
    permit!(SYS_pread64, "database pages"),
    permit!(SYS_pwrite64, "database pages"),
    permit!(SYS_fsync, "durability of folders and rollback journals"),
    permit!(SYS_fdatasync, "durability of database, journal, audit"),
    permit!(SYS_ftruncate, "SQLite's journal and shared index, a torn audit record"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_unlink, "SQLite's journal at the end, audit files past their time"),
    #[cfg(not(target_arch = "x86_64"))]
    permit!(SYS_unlinkat, "as above, aarch64"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_access, "SQLite looks for a folder for a temporary file", unseen: "what would need one is kept in memory, but for a VACUUM by hand"),
    #[cfg(not(target_arch = "x86_64"))]
    permit!(SYS_faccessat, "as above, aarch64"),
    #[cfg(target_env = "musl")]
    permit!(SYS_faccessat2, "as above, musl"),
    permit!(SYS_fcntl, [Is(1, F_SETLK)], "SQLite's locks"),
    permit!(SYS_fcntl, [Is(1, F_GETLK)], "SQLite's locks"),
    permit!(SYS_geteuid, "SQLite asks whether it is root"),
    refuse!(SYS_fchmod, EPERM, "SQLite adjusts a new journal's mode, and goes on if it can't", unseen: "the mode is right already, unless the umask is another"),
    refuse!(SYS_fchown, EPERM, "SQLite adjusts a new journal's owner, and goes on if it can't", unseen: "it does so as root, which a locked worker never is"),
    permit!(SYS_clock_nanosleep, "sleep, SQLite's busy handler"),
    #[cfg(target_env = "musl")]
    permit!(SYS_nanosleep, "as above, musl"),
    permit!(SYS_gettimeofday, "SQLite's clock, where the vDSO can't", unseen: "the vDSO can, where it was recorded"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_time, "as above", unseen: "as above"),
];

/// Only with a database over TCP; landlock says which ports. Of TCP alone: protocol 0 is TCP, and others that are streams (MPTCP,
/// SCTP, SMC) reach the same hosts past landlock's rules.
#[rustfmt::skip] // A table: one line for each call.
pub(super) const NETWORK: &[Rule] = &[
    permit!(SYS_socket, [Is(0, AF_INET), IsBut(1, SOCK_STREAM, MANNERS), Is(2, 0)], "the database"),
    permit!(SYS_socket, [Is(0, AF_INET6), IsBut(1, SOCK_STREAM, MANNERS), Is(2, 0)], "the database", unseen: "the tests' databases listen on 127.0.0.1"),
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_NODELAY)], "latency"),
    permit!(SYS_setsockopt, [Is(1, SOL_SOCKET), Is(2, SO_KEEPALIVE)], "dead peers"),
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_KEEPIDLE)], "dead peers"),
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_KEEPINTVL)], "dead peers"),
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_KEEPCNT)], "dead peers"),
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_USER_TIMEOUT)], "dead peers"),
];
