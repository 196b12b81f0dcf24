//! Descriptors that whoever started the process left open for it, by number.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::RawFd;

/// The reading end of an inherited pipe. The number itself is closed: it can be taken once.
pub fn reader(number: RawFd) -> io::Result<File> {
    taken(number, OpenOptions::new().read(true))
}

/// The writing end of an inherited pipe, or a file. The number itself is closed: it can be taken once.
pub fn writer(number: RawFd) -> io::Result<File> {
    taken(number, OpenOptions::new().write(true))
}

/// Opened again by name, because owning a bare number needs unsafe code; a pipe or a file is the same either way.
fn taken(number: RawFd, options: &OpenOptions) -> io::Result<File> {
    let file = options.open(format!("/proc/self/fd/{number}"))?;
    nix::unistd::close(number)?;
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
