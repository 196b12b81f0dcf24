//! Files outside: reading, writing, and the ways around a path check.

use std::path::Path;

use libc::{
    AT_FDCWD, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_WRONLY, SYS_chdir, SYS_chmod, SYS_chroot,
    SYS_fanotify_init, SYS_fchmodat, SYS_fsconfig, SYS_fspick, SYS_inotify_init1, SYS_linkat, SYS_mkdirat,
    SYS_mknodat, SYS_mount, SYS_mount_setattr, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_openat,
    SYS_openat2, SYS_pivot_root, SYS_renameat, SYS_setxattr, SYS_swapon, SYS_symlinkat, SYS_truncate,
    SYS_umount2, SYS_utimensat,
};

use crate::Outcome::{Killed, Refused};
use crate::raw::{Argument, Errno, attempt, path};
use crate::{Attack, each, killed, refused};

#[rustfmt::skip] // A table: one attempt after the other.
pub(crate) const ATTACKS: &[Attack] = &[
    refused("read-passwd", "names of users", |_| open("/etc/passwd", O_RDONLY)),
    refused("read-shadow", "password hashes", |_| open("/etc/shadow", O_RDONLY)),
    refused("list-root", "what is on this machine", |_| open("/", O_RDONLY | O_DIRECTORY)),
    refused("read-victim-environment", "secrets of other processes", |target| {
        open(format!("/proc/{}/environ", target.victim), O_RDONLY)
    }),
    refused("read-own-memory-map", "addresses, to build an exploit on", |_| {
        open("/proc/self/maps", O_RDONLY)
    }),
    refused("read-disk", "everything", |_| open("/dev/vda", O_RDONLY)),
    refused("read-outside", "a neighbour's files", |target| {
        open(target.outside.join("secret"), O_RDONLY)
    }),
    refused("climb-out", "a neighbour's files, by way of its own folder", |target| {
        open(target.inside.join("../outside/secret"), O_RDONLY)
    }),
    each("write-own-memory", "changing code past W^X", [Killed, Refused, Refused], |_| {
        open("/proc/self/mem", O_RDWR)
    }),
    each("write-outside", "changing a neighbour's files", [Killed, Refused, Refused], |target| {
        open(target.outside.join("secret"), O_WRONLY)
    }),
    each("make-outside", "planting a file", [Killed, Refused, Refused], |target| {
        open(target.outside.join("planted"), O_WRONLY | O_CREAT)
    }),
    each("remove-outside", "destroying a neighbour's files", [Killed, Refused, Refused], |target| {
        remove(&target.outside.join("secret"))
    }),
    killed("move-in", "taking a neighbour's file along", |target| {
        let (from, to) = (path(&target.outside.join("secret")), path(&target.inside.join("taken")));
        attempt(SYS_renameat, [AT_FDCWD.into(), (&from).into(), AT_FDCWD.into(), (&to).into()])
    }),
    killed("open-by-path-only", "a handle that landlock doesn't check", |_| open("/etc/passwd", O_PATH)),
    killed("openat2", "flags out of the filter's sight", |_| attempt(SYS_openat2, [])),
    killed("link-in", "reading a neighbour's file under another name", |target| {
        let (from, to) = (path(&target.outside.join("secret")), path(&target.inside.join("linked")));
        attempt(SYS_linkat, [AT_FDCWD.into(), (&from).into(), AT_FDCWD.into(), (&to).into()])
    }),
    killed("symlink", "leading the operator's tools astray", |target| {
        let (to, at) = (path(Path::new("/etc/passwd")), path(&target.inside.join("link")));
        attempt(SYS_symlinkat, [(&to).into(), AT_FDCWD.into(), (&at).into()])
    }),
    killed("make-folder", "hiding things", |target| {
        let folder = path(&target.inside.join("folder"));
        attempt(SYS_mkdirat, [AT_FDCWD.into(), (&folder).into(), 0o777.into()])
    }),
    killed("make-device", "a way to the disk", |target| {
        let device = path(&target.inside.join("device"));
        attempt(SYS_mknodat, [AT_FDCWD.into(), (&device).into(), 0o060_666.into(), 0xfe00.into()])
    }),
    killed("truncate-by-path", "cutting the audit log", |_| attempt(SYS_truncate, [])),
    killed("chmod", "opening its files to others", |_| attempt(SYS_fchmodat, [])),
    #[cfg(target_arch = "x86_64")]
    killed("chmod-old", "as chmod", |_| attempt(SYS_chmod, [])),
    killed("change-times", "covering tracks", |_| attempt(SYS_utimensat, [])),
    killed("set-attribute", "file capabilities", |_| attempt(SYS_setxattr, [])),
    killed("file-handle", "finding files without a path", |_| attempt(SYS_name_to_handle_at, [])),
    killed("open-file-handle", "opening files without a path", |_| attempt(SYS_open_by_handle_at, [])),
    killed("watch-files", "seeing what others open", |_| attempt(SYS_fanotify_init, [])),
    killed("watch-folders", "seeing what others change", |_| attempt(SYS_inotify_init1, [])),
    killed("mount", "covering or uncovering folders", |_| attempt(SYS_mount, [])),
    killed("mount-attributes", "as above", |_| attempt(SYS_mount_setattr, [])),
    killed("configure-mount", "as above", |_| attempt(SYS_fsconfig, [])),
    killed("pick-mount", "as above", |_| attempt(SYS_fspick, [])),
    killed("unmount", "as above", |_| attempt(SYS_umount2, [])),
    killed("chroot", "another root", |_| attempt(SYS_chroot, [])),
    killed("pivot-root", "another root", |_| attempt(SYS_pivot_root, [])),
    killed("chdir", "resolving paths elsewhere", |_| attempt(SYS_chdir, [])),
    killed("swap", "reading memory from disk", |_| attempt(SYS_swapon, [])),
];

/// As the C library does it.
pub(crate) fn remove(at: &Path) -> Result<(), Errno> {
    let name = path(at);
    #[cfg(target_arch = "x86_64")]
    let removed = attempt(libc::SYS_unlink, [(&name).into()]);
    #[cfg(not(target_arch = "x86_64"))]
    let removed = attempt(libc::SYS_unlinkat, [AT_FDCWD.into(), (&name).into()]);
    removed
}

fn open(at: impl AsRef<Path>, flags: i32) -> Result<(), Errno> {
    let name = path(at.as_ref());
    attempt(
        SYS_openat,
        [AT_FDCWD.into(), Argument::from(&name), flags.into(), 0o600.into()],
    )
}
