//! What both processes need: memory, threads, time, waiting, sockets that are open, files that landlock lets them read.

use libc::{
    AF_UNIX, CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_FILES, CLONE_FS, CLONE_PARENT_SETTID, CLONE_SETTLS,
    CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD, CLONE_VM, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL,
    FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE, MSG_FASTOPEN,
    MSG_OOB, O_ACCMODE, O_CREAT, O_PATH, O_TRUNC, PR_SET_NAME, PROT_EXEC, SO_ERROR, SO_PEERCRED,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET,
};

use super::rule::{
    Check::{Is, IsBut, IsNull, IsOwnPid, Without},
    FIONBIO, Rule, permit,
};

/// The flags of pthread_create(3): a thread of this process and nothing else, no process and no namespace.
const THREAD: i32 = CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID;

/// Flags of socket(2) that don't change what a socket can do.
pub(super) const MANNERS: i32 = SOCK_CLOEXEC | SOCK_NONBLOCK;

/// Flags of futex(2) that say whose memory and which clock is meant.
const WHICH: i32 = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;

/// What would make an open a write, or give a handle that landlock doesn't check (`O_PATH`).
const WRITING: i32 = O_ACCMODE | O_CREAT | O_TRUNC | O_PATH;

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    // Memory. Never executable: code that an attacker brings has nowhere to run.
    permit!(SYS_mmap, [Without(2, PROT_EXEC)], "allocator, thread stacks, SQLite's shared index"),
    permit!(SYS_mprotect, [Without(2, PROT_EXEC)], "allocator arenas and the guard pages of stacks"),
    permit!(SYS_munmap, "allocator, ended threads"),
    permit!(SYS_mremap, "realloc of large blocks; keeps the protection"),
    permit!(SYS_madvise, "allocator gives memory back"),
    permit!(SYS_brk, "allocator"),
    // Threads of the runtime.
    permit!(SYS_clone, [IsBut(0, THREAD, CLONE_DETACHED)], "pthread_create (musl sets the obsolete CLONE_DETACHED)"),
    permit!(SYS_set_robust_list, "pthread_create"),
    permit!(SYS_rseq, "pthread_create"),
    permit!(SYS_prctl, [Is(0, PR_SET_NAME)], "names of threads"),
    permit!(SYS_sched_getaffinity, "pthread_getattr_np, number of CPUs"),
    permit!(SYS_sched_yield, "spinning locks", unseen: "it takes two threads at one lock in the same instant"),
    permit!(SYS_prlimit64, [Is(0, 0), IsNull(2)], "getrlimit; setting is not allowed", unseen: "pthread_getattr_np asks for the stack of the first thread, which std does before the lock"),
    permit!(SYS_futex, [IsBut(1, FUTEX_WAIT, WHICH)], "locks; not those with a priority to inherit, which have a history of errors"),
    permit!(SYS_futex, [IsBut(1, FUTEX_WAKE, WHICH)], "the same"),
    permit!(SYS_futex, [IsBut(1, FUTEX_WAIT_BITSET, WHICH)], "condition variables, joining: waiting until"),
    #[cfg(target_env = "musl")]
    permit!(SYS_futex, [IsBut(1, libc::FUTEX_REQUEUE, WHICH)], "condition variables, musl"),
    permit!(SYS_gettid, "pthreads, panic messages"),
    permit!(SYS_getpid, "abort, SQLite's owner check, journald", unseen: "no daemon aborts there; `confined abort` does"),
    permit!(SYS_exit, "end of a thread"),
    permit!(SYS_exit_group, "end of the process"),
    // Signals to itself only; SIGTERM arrives through a handler and a socket pair.
    permit!(SYS_rt_sigaction, "handlers of SIGTERM, SIGINT, SIGHUP"),
    permit!(SYS_rt_sigprocmask, "pthread_create, abort"),
    permit!(SYS_rt_sigreturn, "return from a handler"),
    permit!(SYS_sigaltstack, "stack overflow handler of each thread"),
    permit!(SYS_tgkill, [IsOwnPid(0)], "abort", unseen: "as for getpid"),
    permit!(SYS_restart_syscall, "resuming a wait after a stop", unseen: "only after SIGSTOP and SIGCONT"),
    // Time and chance.
    permit!(SYS_clock_gettime, "where the vDSO can't: some virtual machines", unseen: "the vDSO can, where it was recorded"),
    permit!(SYS_getrandom, "TLS, ids, hash seeds, session handles"),
    // Waiting.
    permit!(SYS_epoll_create1, "the runtime starts after the filter"),
    permit!(SYS_epoll_ctl, "the runtime"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_epoll_wait, "the runtime"),
    #[cfg(not(target_arch = "x86_64"))]
    permit!(SYS_epoll_pwait, "as above, aarch64"),
    permit!(SYS_eventfd2, "the runtime's wake-up"),
    // Open descriptors.
    permit!(SYS_read, "files, wake-ups"),
    permit!(SYS_write, "log, wake-ups"),
    permit!(SYS_writev, "sockets, log"),
    permit!(SYS_recvfrom, "sockets"),
    permit!(SYS_sendto, [Without(3, MSG_FASTOPEN | MSG_OOB)], "sockets, journald, sd_notify; never with a connection, of which landlock is not asked, nor an urgent byte (CVE-2025-38236)"),
    permit!(SYS_close, "all"),
    permit!(SYS_lseek, "std asks how much of a file is left", unseen: "few ways of reading a file ask; seen once, in a worker"),
    permit!(SYS_fcntl, [Is(1, F_GETFD)], "std checks descriptors in debug builds"),
    permit!(SYS_fcntl, [Is(1, F_GETFL)], "non-blocking"),
    permit!(SYS_fcntl, [Is(1, F_SETFL)], "non-blocking"),
    permit!(SYS_fcntl, [Is(1, F_DUPFD_CLOEXEC)], "try_clone"),
    permit!(SYS_ioctl, [Is(1, FIONBIO)], "std's set_nonblocking"),
    // Sockets. None can be bound or made to listen: listeners are opened before.
    permit!(SYS_accept4, "clients; the broker, at the worker"),
    permit!(SYS_socket, [Is(0, AF_UNIX), IsBut(1, SOCK_STREAM, MANNERS)], "broker to worker, database, bridge"),
    permit!(SYS_socket, [Is(0, AF_UNIX), IsBut(1, SOCK_DGRAM, MANNERS)], "journald, sd_notify"),
    permit!(SYS_socketpair, [Is(0, AF_UNIX), IsBut(1, SOCK_STREAM, MANNERS)], "the runtime's signal pipe"),
    permit!(SYS_connect, "as for socket; TCP as far as landlock lists the port"),
    permit!(SYS_shutdown, "orderly end"),
    permit!(SYS_getsockopt, [Is(1, SOL_SOCKET), Is(2, SO_ERROR)], "result of connect"),
    permit!(SYS_getsockopt, [Is(1, SOL_SOCKET), Is(2, SO_PEERCRED)], "who is at the other end of the Unix socket", unseen: "the broker asks only with `worker.uid`"),
    // Files that landlock lets it read: certificates, entities and policies when they are reloaded.
    permit!(SYS_openat, [Without(2, WRITING)], "reading; landlock says what"),
    permit!(SYS_fstat, "size of a file", unseen: "glibc 2.36 asks newfstatat; others ask this"),
    permit!(SYS_newfstatat, "size of a file, kind of a folder's entries"),
    permit!(SYS_statx, "as above, std"),
    permit!(SYS_getdents64, "the folder of entities"),
];
