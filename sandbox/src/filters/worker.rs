//! What only the worker needs: SQLite's files, the audit journal, and, with a database over TCP, TCP.

use libc::{AF_INET, AF_INET6, F_GETLK, F_SETLK, O_PATH, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM};

use super::rule::{
    Check::{Is, IsBut, Without},
    Rule, permit,
};

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    permit!(SYS_openat, [Without(2, O_PATH)], "database, journal, audit; landlock says where"),
    permit!(SYS_pread64, "database pages"),
    permit!(SYS_pwrite64, "database pages"),
    permit!(SYS_fsync, "durability of folders and rollback journals"),
    permit!(SYS_fdatasync, "durability of database, journal, audit"),
    permit!(SYS_ftruncate, "SQLite's journal and shared index, a torn audit record"),
    permit!(SYS_fallocate, "SQLite's shared index"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_unlink, "SQLite's journal at the end"),
    permit!(SYS_unlinkat, "as above, and audit files past their time"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_rename, "audit rotation"),
    permit!(SYS_renameat, "as above, aarch64"),
    permit!(SYS_renameat2, "as above"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_access, "is there a journal to roll back"),
    permit!(SYS_faccessat, "as above, aarch64"),
    permit!(SYS_faccessat2, "as above, musl"),
    permit!(SYS_fcntl, [Is(1, F_SETLK)], "SQLite's locks"),
    permit!(SYS_fcntl, [Is(1, F_GETLK)], "SQLite's locks"),
    permit!(SYS_flock, "std's file locks: one worker per audit folder"),
    permit!(SYS_geteuid, "SQLite asks whether it is root"),
];

/// Flags of socket(2) that don't change what a socket can do.
const MANNERS: i32 = SOCK_CLOEXEC | SOCK_NONBLOCK;

/// Only with a database over TCP; landlock says which ports.
#[rustfmt::skip] // A table: one line for each call.
pub(super) const NETWORK: &[Rule] = &[
    permit!(SYS_socket, [Is(0, AF_INET), IsBut(1, SOCK_STREAM, MANNERS)], "the database"),
    permit!(SYS_socket, [Is(0, AF_INET6), IsBut(1, SOCK_STREAM, MANNERS)], "the database"),
];
