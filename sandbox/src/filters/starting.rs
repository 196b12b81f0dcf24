//! What a process may not do even before it is locked in: from the first line of `main` on, while it reads its files, resolves
//! names and talks to its database. The one table that names what is forbidden: libraries of the system (name service,
//! loader) have a part in that time, and what they call differs from one installation to the next.

use libc::CLONE_THREAD;

use super::rule::{
    Check::{IsNot, Without},
    Rule, kill, refuse,
};

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    // Other programs and other processes: neither daemon ever starts one.
    kill!(SYS_execve, "another program"),
    kill!(SYS_execveat, "another program"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_fork, "a second process"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_vfork, "a second process"),
    kill!(SYS_clone, [Without(0, CLONE_THREAD)], "a second process"),
    refuse!(SYS_clone3, ENOSYS, "its flags lie in memory, out of the filter's sight; glibc then takes clone"),
    kill!(SYS_ptrace, "steering another process"),
    kill!(SYS_process_vm_readv, "another process's memory"),
    kill!(SYS_process_vm_writev, "another process's memory"),
    kill!(SYS_process_madvise, "another process's memory"),
    kill!(SYS_kill, [IsNot(1, 0)], "ending another process; signal 0, which is none, is how `Setup::lock` tries whether landlock holds"),
    kill!(SYS_pidfd_open, "a handle on another process"),
    kill!(SYS_pidfd_send_signal, "ending another process"),
    kill!(SYS_pidfd_getfd, "another process's files"),
    kill!(SYS_kcmp, "addresses of the kernel"),
    // Parts of the kernel that nothing here needs, and that most exploits go through.
    kill!(SYS_bpf, "code in the kernel"),
    kill!(SYS_perf_event_open, "errors of the kernel"),
    kill!(SYS_userfaultfd, "stopping the kernel where an exploit needs it"),
    kill!(SYS_io_uring_setup, "calls past the filter"),
    kill!(SYS_io_uring_enter, "calls past the filter"),
    kill!(SYS_io_uring_register, "calls past the filter"),
    kill!(SYS_keyctl, "keys of others"),
    kill!(SYS_add_key, "memory of the kernel"),
    kill!(SYS_request_key, "running the key helper as root"),
    kill!(SYS_personality, "memory that is executable because it is readable"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_modify_ldt, "errors of the kernel"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_iopl, "hardware"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_ioperm, "hardware"),
    // What only root could do, and a daemon that starts as root does not.
    kill!(SYS_init_module, "code in the kernel"),
    kill!(SYS_finit_module, "code in the kernel"),
    kill!(SYS_delete_module, "taking a protection out of the kernel"),
    kill!(SYS_kexec_load, "another kernel"),
    #[cfg(target_arch = "x86_64")]
    kill!(SYS_kexec_file_load, "another kernel"),
    kill!(SYS_mount, "covering or uncovering folders"),
    kill!(SYS_umount2, "covering or uncovering folders"),
    kill!(SYS_move_mount, "covering or uncovering folders"),
    kill!(SYS_open_tree, "covering or uncovering folders"),
    kill!(SYS_fsopen, "covering or uncovering folders"),
    kill!(SYS_fsconfig, "covering or uncovering folders"),
    kill!(SYS_fspick, "covering or uncovering folders"),
    kill!(SYS_mount_setattr, "covering or uncovering folders"),
    kill!(SYS_fsmount, "covering or uncovering folders"),
    kill!(SYS_pivot_root, "another root"),
    kill!(SYS_chroot, "another root"),
    kill!(SYS_setns, "the way back to a namespace that was left"),
    kill!(SYS_open_by_handle_at, "files without a path"),
    kill!(SYS_swapon, "reading memory from disk"),
    kill!(SYS_swapoff, "service"),
    kill!(SYS_reboot, "service"),
    kill!(SYS_acct, "files of root"),
    kill!(SYS_quotactl, "service"),
    kill!(SYS_sethostname, "certificates and logs"),
    kill!(SYS_setdomainname, "certificates and logs"),
    kill!(SYS_settimeofday, "tokens that have expired"),
    kill!(SYS_clock_settime, "tokens that have expired"),
    kill!(SYS_adjtimex, "tokens that have expired"),
    kill!(SYS_clock_adjtime, "tokens that have expired"),
    kill!(SYS_syslog, "addresses of the kernel"),
];
