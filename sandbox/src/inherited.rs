//! Descriptors that whoever started the process left open for it, by number.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// The reading end of an inherited pipe. The number itself is closed: it can be taken once.
pub fn reader(number: RawFd) -> io::Result<File> {
    taken(number, OpenOptions::new().read(true))
}

/// The writing end of an inherited pipe, or a file. The number itself is closed: it can be taken once.
pub fn writer(number: RawFd) -> io::Result<File> {
    taken(number, OpenOptions::new().write(true))
}

/// A socket that stands as standard input: inetd's way, and systemd's `StandardInput=socket`. Sockets can't be opened
/// again by name, and this is the one descriptor whose owner the standard library knows.
pub fn socket_on_standard_input() -> io::Result<OwnedFd> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    // On anything but a listening socket accept(2) would fail for ever, and only once clients wait.
    if nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::AcceptConn)? {
        Ok(socket)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "standard input is a socket that does not listen",
        ))
    }
}

/// Closes everything but the standard streams and what `is_kept`: what else is open, somebody forgot to close.
///
/// INVARIANT: called before this process opens a descriptor of its own, see closefrom(2).
pub fn close_all_but(is_kept: impl Fn(RawFd) -> bool) -> io::Result<()> {
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number: Option<RawFd> = name.to_str().and_then(|name| name.parse().ok());
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        if number > 2 && !is_kept(number) {
            others.push(number);
        }
    }
    for number in others {
        match nix::unistd::close(number) {
            // One of them was the listing's own, and is closed already.
            Ok(()) | Err(nix::errno::Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The sockets of sd_listen_fds(3), by the rule of the crate that takes them (`listenfd`): without LISTEN_PID they are meant for us, too.
pub(crate) fn handed_over() -> Range<RawFd> {
    const FIRST: RawFd = 3;
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let is_ours = env::var_os("LISTEN_PID").is_none_or(|pid| pid.is_empty())
        || number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|_| is_ours).unwrap_or(0);
    FIRST..FIRST.saturating_add_unsigned(count)
}

/// Opened again by name, because owning a bare number needs unsafe code; a pipe or a file is the same either way.
fn taken(number: RawFd, options: &OpenOptions) -> io::Result<File> {
    let file = options.open(format!("/proc/self/fd/{number}"))?;
    // Standard streams stay: the next file to be opened would take their number, and messages would go into it.
    if number > 2 {
        nix::unistd::close(number)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::IntoRawFd;

    #[test]
    fn both_ends_of_a_pipe_are_taken_once() {
        let (reading, writing) = io::pipe().unwrap();
        let numbers = (reading.into_raw_fd(), writing.into_raw_fd());
        let (mut from, mut to) = (reader(numbers.0).unwrap(), writer(numbers.1).unwrap());
        to.write_all(b"x").unwrap();
        drop(to);
        let mut text = String::new();
        // Ends only because no other descriptor of the writing end is open any more.
        from.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }
}
