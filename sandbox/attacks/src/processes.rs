//! Other processes: tracing, signalling, reading, slowing.

use libc::{
    PTRACE_ATTACH, PTRACE_TRACEME, SIGKILL, SIGTERM, SYS_kcmp, SYS_kill, SYS_pidfd_getfd, SYS_pidfd_open,
    SYS_pidfd_send_signal, SYS_prlimit64, SYS_process_madvise, SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_ptrace, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_sched_setaffinity, SYS_sched_setscheduler,
    SYS_setpriority, SYS_tgkill, SYS_tkill, SYS_wait4,
};

use crate::raw::attempt;
use crate::{Attack, killed};

#[rustfmt::skip] // A table: one attempt after the other.
pub(crate) const ATTACKS: &[Attack] = &[
    killed("trace", "reading and steering another process", |target| {
        attempt(SYS_ptrace, [i64::from(PTRACE_ATTACH).into(), target.victim.into()])
    }),
    killed("be-traced", "being steered by another process", |_| {
        attempt(SYS_ptrace, [i64::from(PTRACE_TRACEME).into()])
    }),
    killed("kill", "ending another process", |target| {
        attempt(SYS_kill, [target.victim.into(), SIGTERM.into()])
    }),
    killed("kill-all", "ending every process of the user", |_| attempt(SYS_kill, [(-1).into(), SIGTERM.into()])),
    killed("kill-thread", "as kill", |target| {
        attempt(SYS_tgkill, [target.victim.into(), target.victim.into(), SIGKILL.into()])
    }),
    killed("kill-thread-old", "as kill", |target| attempt(SYS_tkill, [target.victim.into(), SIGKILL.into()])),
    killed("queue-signal", "as kill", |_| attempt(SYS_rt_sigqueueinfo, [])),
    killed("queue-signal-to-thread", "as kill", |_| attempt(SYS_rt_tgsigqueueinfo, [])),
    killed("process-handle", "a way to signal and copy descriptors", |target| {
        attempt(SYS_pidfd_open, [target.victim.into()])
    }),
    killed("signal-by-handle", "as kill", |_| attempt(SYS_pidfd_send_signal, [])),
    killed("copy-descriptor", "another process's open files", |_| attempt(SYS_pidfd_getfd, [])),
    killed("read-memory", "keys and rows", |target| attempt(SYS_process_vm_readv, [target.victim.into()])),
    killed("write-memory", "code into another process", |target| {
        attempt(SYS_process_vm_writev, [target.victim.into()])
    }),
    killed("advise-memory", "a side channel", |_| attempt(SYS_process_madvise, [])),
    killed("compare", "addresses of the kernel, by comparing", |_| attempt(SYS_kcmp, [])),
    killed("limit-victim", "starving another process", |target| {
        let limits = [0_u8; 16];
        attempt(SYS_prlimit64, [target.victim.into(), 7.into(), limits.as_slice().into()])
    }),
    killed("read-limits-of-victim", "a way to tell processes apart", |target| {
        attempt(SYS_prlimit64, [target.victim.into(), 7.into()])
    }),
    killed("move-to-cpu", "side channels", |_| attempt(SYS_sched_setaffinity, [])),
    killed("real-time", "starving everybody", |_| attempt(SYS_sched_setscheduler, [])),
    killed("priority", "starving everybody", |_| attempt(SYS_setpriority, [])),
    killed("wait", "there are no children", |_| attempt(SYS_wait4, [])),
];
