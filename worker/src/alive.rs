//! `dbal-worker --alive SOCKET`: whether the worker that listens there still does its work, for a probe in a container, which has no
//! shell and no other program.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::geteuid;

/// A worker that is busy answers within milliseconds: its channels have a thread of their own, on which no statement runs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// More than this it does not say to somebody who has not greeted, in bytes.
const SAYS: u64 = 64 * 1024;

/// Why nobody seems to be alive there.
#[derive(Debug, thiserror::Error)]
pub enum NotAlive {
    /// There is nothing to connect to.
    #[error("{}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Asked by somebody else, it would be an incident in the worker's journal.
    #[error("{} belongs to user {owner}: run this as that user", path.display())]
    NotOwner {
        /// The socket.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It has been connected to, and nothing came of it.
    #[error("{}: the worker does not end a connection that is over: {source}", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Connects, says goodbye, and waits until the worker has noticed, which takes the thread of its channels. Nothing of it is on record.
pub fn look(path: &Path) -> Result<(), NotAlive> {
    let unreachable = |source| NotAlive::Unreachable {
        path: path.to_owned(),
        source,
    };
    let owner = path.metadata().map_err(unreachable)?.uid();
    if owner != geteuid().as_raw() {
        return Err(NotAlive::NotOwner {
            path: path.to_owned(),
            owner,
        });
    }
    let mut stream = connected(path).map_err(|error| unreachable(error.into()))?;
    noticed(&mut stream).map_err(|source| NotAlive::Silent {
        path: path.to_owned(),
        source,
    })
}

/// Not blocking: where nobody accepts, the backlog is full one day, and connect(2) would wait for ever.
fn connected(path: &Path) -> nix::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(socket))
}

fn noticed(stream: &mut UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.shutdown(Shutdown::Write)?;
    let said = stream.take(SAYS).read_to_end(&mut Vec::new())?;
    if u64::try_from(said).is_ok_and(|said| said < SAYS) {
        Ok(())
    } else {
        Err(io::Error::other("it says more than a worker would"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn who_ends_a_connection_that_is_over_is_alive_and_who_lets_it_lie_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("worker.sock");
        assert!(
            matches!(look(&path), Err(NotAlive::Unreachable { .. })),
            "nothing there"
        );
        let listener = UnixListener::bind(&path).unwrap();
        // The kernel connects whether anybody accepts or not.
        assert!(
            matches!(look(&path), Err(NotAlive::Silent { .. })),
            "nobody accepts"
        );
        let accepts = std::thread::spawn(move || {
            // The one from before, too.
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        look(&path).unwrap();
        accepts.join().unwrap();
        assert!(
            matches!(look(&path), Err(NotAlive::Unreachable { .. })),
            "nobody listens"
        );
    }
}
