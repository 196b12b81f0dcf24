//! How many clients may wait in the kernel to be accepted, which the standard library does not let one choose.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{Backlog, listen};

/// Lets so many wait at a socket that listens already (listen(2)); the kernel lets no more than `net.core.somaxconn`.
pub fn let_wait(listener: &impl AsFd, most: i32) -> io::Result<()> {
    listen(listener, Backlog::new(most)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn more_may_wait_than_the_standard_library_lets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let_wait(&listener, 1_000).unwrap();
        let address = listener.local_addr().unwrap();
        // Beyond the backlog the kernel drops what comes, and a connection waits for a second or more.
        let connect = || TcpStream::connect_timeout(&address, std::time::Duration::from_millis(900));
        let waiting: Vec<_> = (0..200).map(|_| connect()).collect();
        assert!(waiting.iter().all(Result::is_ok));
    }
}
