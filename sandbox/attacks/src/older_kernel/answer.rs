//! Filters that answer calls in the kernel's place (seccomp(2), seccomp_unotify(2)).
#![expect(
    unsafe_code,
    reason = "no library has a safe wrapper for a filter that asks a process"
)]

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_long, sock_filter, sock_fprog};

/// Which of a call's uses are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Always,
    /// This argument, counted from 0, has this value.
    Argument(u32, u32),
}

/// An error that a call gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) call: c_long,
    pub(crate) when: When,
    pub(crate) errno: i32,
}

/// linux/filter.h: load a word, jump if equal, return.
const LOAD: u16 = 0x20;
const JUMP_IF: u16 = 0x15;
const RETURN: u16 = 0x06;
/// linux/seccomp.h, `struct seccomp_data`: the call's number stands first, arguments of 8 bytes from here on.
const ARGUMENTS: u32 = 16;

/// From here on these calls fail, for this process and what it becomes.
pub(crate) fn with_errors(answers: &[Answer]) -> io::Result<()> {
    let mut program = Vec::new();
    for Answer { call, when, errno } in answers {
        let verdict = libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
        program.extend(lines(*call, *when, verdict));
    }
    load(program, 0).map(drop)
}

/// From here on this call waits for an answer from whoever holds the descriptor.
pub(crate) fn ask_somebody(call: c_long, when: When) -> io::Result<OwnedFd> {
    let program = lines(call, when, libc::SECCOMP_RET_USER_NOTIF);
    let number = load(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: seccomp(2) has just made this descriptor for us, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits a moment for a call.
pub(crate) fn is_wanted(listener: &File) -> io::Result<bool> {
    const MOMENT_MS: i32 = 20;
    let mut poll = libc::pollfd {
        fd: listener.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `poll` is one `pollfd`, and lives until the call returns.
    match unsafe { libc::poll(&raw mut poll, 1, MOMENT_MS) } {
        -1 => retriable(io::Error::last_os_error()).map(|()| false),
        ready => Ok(ready > 0),
    }
}

/// Answers a call that waits with this number.
pub(crate) fn give(listener: &File, number: i64) -> io::Result<()> {
    let descriptor = listener.as_raw_fd();
    // SAFETY: both structures are numbers only, for which 0 is a value; the kernel wants the first one zeroed.
    let (mut asked, mut answer): (libc::seccomp_notif, libc::seccomp_notif_resp) =
        unsafe { (zeroed(), zeroed()) };
    // SAFETY: the kernel writes one `seccomp_notif` into `asked`, which is one and lives until the call returns.
    if unsafe { libc::ioctl(descriptor, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } == -1 {
        return retriable(io::Error::last_os_error());
    }
    answer.id = asked.id;
    answer.val = number;
    // SAFETY: the kernel reads one `seccomp_notif_resp` from `answer`, which is one and lives until the call returns.
    if unsafe { libc::ioctl(descriptor, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) } == -1 {
        return retriable(io::Error::last_os_error());
    }
    Ok(())
}

/// Whoever asked may have ended meanwhile.
fn retriable(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::ENOENT) => Ok(()),
        _ => Err(error),
    }
}

/// If it is this call, and this use of it, the verdict; else on to what follows.
fn lines(call: c_long, when: When, verdict: u32) -> Vec<sock_filter> {
    let line = |code, k, jf| sock_filter { code, jt: 0, jf, k };
    // System calls are small numbers.
    let number = u32::try_from(call).unwrap_or(u32::MAX);
    let mut lines = vec![line(LOAD, 0, 0)];
    match when {
        When::Always => lines.push(line(JUMP_IF, number, 1)),
        When::Argument(argument, value) => {
            let offset = ARGUMENTS.saturating_add(argument.saturating_mul(8));
            lines.push(line(JUMP_IF, number, 3));
            lines.push(line(LOAD, offset, 0));
            lines.push(line(JUMP_IF, value, 1));
        }
    }
    lines.push(line(RETURN, verdict, 0));
    lines
}

fn load(mut program: Vec<sock_filter>, flags: libc::c_ulong) -> io::Result<c_long> {
    program.push(sock_filter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    });
    nix::sys::prctl::set_no_new_privs()?;
    let whole = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `whole` names `program` and its length, and both live until the call returns; the kernel copies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const whole,
        )
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
