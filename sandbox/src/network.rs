//! Leaves the network: what is open goes on (a listener goes on accepting), but nothing new can be reached.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{getegid, geteuid};

const NAMESPACE: &str = "/proc/self/ns/net";
const INTERFACES: &str = "/proc/self/net/dev";

/// Moves into a network namespace of its own, which holds nothing but a loopback interface that is down.
///
/// Where the kernel doesn't let it, but whoever started the process saw to it (systemd's `PrivateNetwork=`, a container
/// without network), that will do. The error says what to do; the caller decides whether it matters.
pub(crate) fn leave() -> Result<(), String> {
    let before = namespace().map_err(|error| format!("{NAMESPACE} can't be read: {error}"))?;
    if let Err(error) = enter_new() {
        return if has_only_loopback() {
            Ok(())
        } else {
            Err(format!(
                "the kernel refuses a network namespace ({error}); start as root, or allow unprivileged user namespaces"
            ))
        };
    }
    match namespace() {
        Ok(after) if after != before => Ok(()),
        Ok(_) => Err("the network namespace is still the old one".to_owned()),
        Err(error) => Err(format!("{NAMESPACE} can't be read: {error}")),
    }
}

/// Two lines of headings, then one for each interface (proc_pid_net(5)).
fn has_only_loopback() -> bool {
    fs::read_to_string(INTERFACES).is_ok_and(|table| {
        let mut interfaces = table.lines().skip(2).map(str::trim_start);
        interfaces.all(|line| line.starts_with("lo:"))
    })
}

fn namespace() -> io::Result<PathBuf> {
    fs::read_link(NAMESPACE)
}

fn enter_new() -> io::Result<()> {
    if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        // Root without CAP_SYS_ADMIN, as in a container: in a user namespace of its own it could not become `run_as`.
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // An ordinary user may, inside a user namespace. Its own ids are mapped to themselves, so that peers over the Unix
    // socket look the same as before.
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    // The maps belong to root while the process is not dumpable. It has one thread, and has read nothing from outside.
    prctl::set_dumpable(true)?;
    let mapped = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")));
    prctl::set_dumpable(false)?;
    mapped
}
