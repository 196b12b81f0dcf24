//! Rights: getting back what was given up, and the parts of the kernel that most exploits go through.

use libc::{
    CLONE_NEWNS, CLONE_NEWUSER, F_SETLEASE, F_SETOWN, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI, PR_CAP_AMBIENT,
    PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, SIGKILL, SYS_acct, SYS_add_key, SYS_adjtimex,
    SYS_bpf, SYS_capset, SYS_clock_settime, SYS_clone, SYS_fcntl, SYS_futex, SYS_io_setup,
    SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, SYS_ioctl, SYS_keyctl,
    SYS_landlock_create_ruleset, SYS_mlockall, SYS_mq_open, SYS_perf_event_open, SYS_prctl, SYS_prlimit64,
    SYS_quotactl, SYS_reboot, SYS_request_key, SYS_seccomp, SYS_semget, SYS_setfsuid, SYS_setgid,
    SYS_setgroups, SYS_sethostname, SYS_setns, SYS_setresuid, SYS_setrlimit, SYS_setuid, SYS_splice,
    SYS_syslog, SYS_timer_create, SYS_unshare, SYS_vmsplice, TIOCSTI,
};

use crate::raw::attempt;
use crate::{Attack, killed};

/// As the kernel counts limits (asm-generic/resource.h).
const RLIMIT_NOFILE_NUMBER: i32 = 7;
const RLIMIT_MEMLOCK_NUMBER: i32 = 8;

#[rustfmt::skip] // A table: one attempt after the other.
pub(crate) const ATTACKS: &[Attack] = &[
    killed("become-root", "every file", |_| attempt(SYS_setuid, [0.into()])),
    killed("become-root-for-all", "every file", |_| attempt(SYS_setresuid, [0.into(), 0.into(), 0.into()])),
    killed("become-root-for-files", "every file", |_| attempt(SYS_setfsuid, [0.into()])),
    killed("group-root", "files of root's group", |_| attempt(SYS_setgid, [0.into()])),
    killed("groups", "files of other groups", |_| attempt(SYS_setgroups, [])),
    killed("capabilities", "rights of root", |_| attempt(SYS_capset, [])),
    killed("ambient-capabilities", "rights of root", |_| attempt(SYS_prctl, [PR_CAP_AMBIENT.into()])),
    killed("dumpable", "memory for every process of the user", |_| {
        attempt(SYS_prctl, [PR_SET_DUMPABLE.into(), 1.into()])
    }),
    killed("death-signal", "signals from the parent's death", |_| {
        attempt(SYS_prctl, [PR_SET_PDEATHSIG.into(), SIGKILL.into()])
    }),
    killed("user-namespace", "rights of root over a namespace, and errors of the kernel", |_| {
        attempt(SYS_unshare, [CLONE_NEWUSER.into()])
    }),
    killed("mount-namespace", "as above", |_| attempt(SYS_unshare, [CLONE_NEWNS.into()])),
    killed("thread-in-namespace", "as above", |_| attempt(SYS_clone, [CLONE_NEWUSER.into()])),
    killed("enter-namespace", "the way back to the network", |_| attempt(SYS_setns, [])),
    killed("core-limit", "a core file with the keys", |_| {
        let limits = [0xff_u8; 16];
        attempt(SYS_prlimit64, [0.into(), 4.into(), limits.as_slice().into()])
    }),
    killed("file-limit", "more descriptors than the machine was promised", |_| {
        let limits = [0xff_u8; 16];
        attempt(SYS_prlimit64, [0.into(), RLIMIT_NOFILE_NUMBER.into(), limits.as_slice().into()])
    }),
    killed("memory-lock-limit", "memory that is taken from everybody", |_| {
        let limits = [0xff_u8; 16];
        attempt(SYS_prlimit64, [0.into(), RLIMIT_MEMLOCK_NUMBER.into(), limits.as_slice().into()])
    }),
    killed("any-limit-old", "as above, by the old call", |_| attempt(SYS_setrlimit, [7.into()])),
    killed("lock-memory", "as above", |_| attempt(SYS_mlockall, [1.into()])),
    killed("new-privileges", "rights by executing a program", |_| {
        attempt(SYS_prctl, [PR_SET_NO_NEW_PRIVS.into()])
    }),
    killed("own-filter", "lying to the daemon about its calls", |_| attempt(SYS_seccomp, [])),
    killed("own-landlock", "none; nothing needs it", |_| attempt(SYS_landlock_create_ruleset, [])),
    killed("priority-lock", "errors of the kernel in locks that inherit a priority", |_| {
        // On the heap, since a lock must not lie across two words.
        let mut lock = vec![0_u8; 8];
        attempt(SYS_futex, [lock.as_mut_slice().into(), FUTEX_LOCK_PI.into()])
    }),
    killed("move-to-priority-lock", "as above (CVE-2014-3153)", |_| {
        attempt(SYS_futex, [0.into(), FUTEX_CMP_REQUEUE_PI.into()])
    }),
    killed("io-uring", "calls past the filter", |_| attempt(SYS_io_uring_setup, [1.into()])),
    killed("io-uring-enter", "calls past the filter", |_| attempt(SYS_io_uring_enter, [])),
    killed("io-uring-register", "calls past the filter", |_| attempt(SYS_io_uring_register, [])),
    killed("io-aio", "calls past the filter", |_| attempt(SYS_io_setup, [])),
    killed("bpf", "code in the kernel", |_| attempt(SYS_bpf, [])),
    killed("perf", "side channels, and errors of the kernel", |_| attempt(SYS_perf_event_open, [])),
    killed("keyring", "keys of others", |_| attempt(SYS_keyctl, [])),
    killed("add-key", "memory of the kernel", |_| attempt(SYS_add_key, [])),
    killed("request-key", "running the key helper as root", |_| attempt(SYS_request_key, [])),
    killed("splice", "writing to the page cache of files", |_| attempt(SYS_splice, [])),
    killed("vmsplice", "as above", |_| attempt(SYS_vmsplice, [])),
    killed("timer", "memory of the kernel", |_| attempt(SYS_timer_create, [])),
    killed("message-queue", "memory of the kernel", |_| attempt(SYS_mq_open, [])),
    killed("semaphore", "memory of the kernel", |_| attempt(SYS_semget, [])),
    killed("kernel-log", "addresses of the kernel", |_| attempt(SYS_syslog, [])),
    killed("clock", "tokens that have expired", |_| attempt(SYS_clock_settime, [])),
    killed("clock-slowly", "as above", |_| attempt(SYS_adjtimex, [])),
    killed("hostname", "certificates and logs", |_| attempt(SYS_sethostname, [])),
    killed("reboot", "service", |_| attempt(SYS_reboot, [])),
    killed("accounting", "files of root", |_| attempt(SYS_acct, [])),
    killed("quota", "service", |_| attempt(SYS_quotactl, [])),
    #[cfg(target_arch = "x86_64")]
    killed("ports", "hardware", |_| attempt(libc::SYS_iopl, [3.into()])),
    #[cfg(target_arch = "x86_64")]
    killed("segments", "errors of the kernel", |_| attempt(libc::SYS_modify_ldt, [])),
    killed("signal-by-descriptor", "signals to others", |target| {
        attempt(SYS_fcntl, [target.accepted.into(), F_SETOWN.into(), target.victim.into()])
    }),
    killed("lease", "stopping others at a file", |target| {
        attempt(SYS_fcntl, [target.accepted.into(), F_SETLEASE.into()])
    }),
    killed("type-into-terminal", "commands as the operator", |_| {
        let key = [b'x'];
        let request = i64::try_from(TIOCSTI).unwrap_or(0);
        attempt(SYS_ioctl, [0.into(), request.into(), key.as_slice().into()])
    }),
];
