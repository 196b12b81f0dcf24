//! Running code of one's own: programs, processes, executable memory.

use libc::{
    AT_FDCWD, MAP_ANONYMOUS, MAP_PRIVATE, O_RDONLY, PR_SET_MDWE, PROT_EXEC, PROT_READ, PROT_WRITE, SIGCHLD,
    SYS_clone, SYS_clone3, SYS_execve, SYS_execveat, SYS_getpid, SYS_init_module, SYS_kexec_load,
    SYS_memfd_create, SYS_memfd_secret, SYS_mmap, SYS_mprotect, SYS_openat, SYS_personality,
    SYS_pkey_mprotect, SYS_prctl, SYS_remap_file_pages, SYS_shmat, SYS_shmget, SYS_userfaultfd,
};

use crate::raw::{attempt, call, own_pid_as_32_bit, path};
use crate::{Attack, killed, refused};

#[rustfmt::skip] // A table: one attempt after the other.
pub(crate) const ATTACKS: &[Attack] = &[
    killed("execute", "any program of the machine", |_| {
        let program = path("/bin/true".as_ref());
        attempt(SYS_execve, [(&program).into()])
    }),
    killed("execute-descriptor", "a program brought along", |_| attempt(SYS_execveat, [])),
    killed("fork", "a process that outlives the daemon", |_| attempt(SYS_clone, [SIGCHLD.into()])),
    #[cfg(target_arch = "x86_64")]
    killed("fork-old", "as above", |_| attempt(libc::SYS_fork, [])),
    #[cfg(target_arch = "x86_64")]
    killed("vfork", "as above", |_| attempt(libc::SYS_vfork, [])),
    refused("fork-by-clone3", "flags out of the filter's sight", |_| {
        // struct clone_args with exit_signal (its fifth word) SIGCHLD.
        let mut arguments = [0_u8; 88];
        for (byte, value) in arguments.iter_mut().skip(32).zip(SIGCHLD.to_ne_bytes()) {
            *byte = value;
        }
        attempt(SYS_clone3, [arguments.as_slice().into(), 88.into()])
    }),
    killed("executable-memory", "machine code brought along", |_| {
        let protection = PROT_READ | PROT_WRITE | PROT_EXEC;
        let flags = MAP_PRIVATE | MAP_ANONYMOUS;
        attempt(SYS_mmap, [0.into(), 4096.into(), protection.into(), flags.into(), (-1).into()])
    }),
    killed("make-memory-executable", "as above, written first", |_| {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS;
        let writable = PROT_READ | PROT_WRITE;
        let page = call(SYS_mmap, [0.into(), 4096.into(), writable.into(), flags.into(), (-1).into()])?;
        attempt(SYS_mprotect, [page.into(), 4096.into(), (PROT_READ | PROT_EXEC).into()])
    }),
    killed("execute-own-file", "as above, from a file that it may write", |target| {
        let name = path(&target.inside.join("present"));
        let file = call(SYS_openat, [AT_FDCWD.into(), (&name).into(), O_RDONLY.into()]).unwrap_or(0);
        let flags = MAP_PRIVATE.into();
        attempt(SYS_mmap, [0.into(), 4096.into(), (PROT_READ | PROT_EXEC).into(), flags, file.into()])
    }),
    killed("allow-executable-memory", "taking the kernel's own rule back", |_| {
        attempt(SYS_prctl, [PR_SET_MDWE.into()])
    }),
    killed("secret-memory", "memory that nobody can look at", |_| attempt(SYS_memfd_secret, [])),
    #[cfg(target_arch = "x86_64")]
    killed("call-as-32-bit", "calls under other numbers", |_| own_pid_as_32_bit()),
    #[cfg(target_arch = "x86_64")]
    killed("call-as-x32", "calls under other numbers", |_| {
        // x32 has the same numbers with this bit set (asm/unistd.h, `__X32_SYSCALL_BIT`).
        attempt(SYS_getpid | 0x4000_0000, [])
    }),
    killed("make-memory-executable-by-key", "as above", |_| attempt(SYS_pkey_mprotect, [])),
    killed("readable-is-executable", "executable memory by personality", |_| {
        attempt(SYS_personality, [0x0040_0000.into()])
    }),
    refused("file-in-memory", "a program without a file", |_| {
        let name = path("x".as_ref());
        attempt(SYS_memfd_create, [(&name).into()])
    }),
    killed("shared-memory", "executable memory by System V", |_| attempt(SYS_shmget, [])),
    killed("attach-shared-memory", "as above", |_| attempt(SYS_shmat, [])),
    killed("remap-pages", "a call with a history of errors", |_| attempt(SYS_remap_file_pages, [])),
    killed("user-page-faults", "stopping the kernel where an exploit needs it", |_| attempt(SYS_userfaultfd, [])),
    killed("load-module", "code in the kernel", |_| attempt(SYS_init_module, [])),
    killed("load-kernel", "another kernel", |_| attempt(SYS_kexec_load, [])),
];
