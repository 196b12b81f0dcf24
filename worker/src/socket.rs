//! The listening socket: inherited from systemd or a supervisor, or made by path.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use dbal_config::Socket;
use dbal_sandbox::inherited::socket_on_standard_input;
use listenfd::ListenFd;

/// Why there is nothing to listen on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Neither a path nor an inherited socket.
    #[error(
        "there is no socket: set `socket.path`, or hand one over in LISTEN_FDS as systemd does, or as standard input"
    )]
    None,
    /// The inherited descriptor is no listening Unix socket.
    #[error("the inherited descriptor is no listening Unix socket")]
    Inherited(#[source] io::Error),
    /// `--socket-stdin` without a socket there.
    #[error("standard input is no listening Unix socket, which `--socket-stdin` asks for")]
    StandardInput(#[source] io::Error),
    /// Another number of sockets was handed over.
    #[error("{0} sockets were handed over in LISTEN_FDS; the worker takes one")]
    Several(usize),
    /// Something that is no socket lies there.
    #[error("{} is there and is no socket; it is left alone", .0.display())]
    Occupied(PathBuf),
    /// A worker listens there.
    #[error("another worker listens at {}", .0.display())]
    InUse(PathBuf),
    /// The socket can't be made.
    #[error("no socket can be made at {}, whose folder has to be there and this user's to write", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket to listen on, and its path as far as known. An inherited one (standard input where asked for, else
/// LISTEN_FDS, sd_listen_fds(3)) is taken before `socket.path`.
pub fn listen(config: &Socket, is_on_stdin: bool) -> Result<(UnixListener, Option<PathBuf>), SocketError> {
    if is_on_stdin {
        let listener = socket_on_standard_input()
            .map(UnixListener::from)
            .map_err(SocketError::StandardInput)?;
        // A TCP socket has no Unix address: it is refused here, not at the first client.
        let address = listener.local_addr().map_err(SocketError::StandardInput)?;
        return Ok((listener, address.as_pathname().map(Path::to_owned)));
    }
    let mut inherited = ListenFd::from_env();
    if inherited.len() > 1 {
        return Err(SocketError::Several(inherited.len()));
    }
    if let Some(listener) = inherited.take_unix_listener(0).map_err(SocketError::Inherited)? {
        let path = listener
            .local_addr()
            .ok()
            .and_then(|address| address.as_pathname().map(Path::to_owned));
        return Ok((listener, path));
    }
    let path = config.path.as_ref().ok_or(SocketError::None)?;
    let listener = bind(path, config.mode)?;
    Ok((listener, Some(path.clone())))
}

fn bind(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Bind {
        path: path.to_owned(),
        source,
    };
    remove_stale(path)?;
    // Nobody but us between bind and chmod: the mask holds while there is one thread.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = listener.map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

/// A socket that a dead worker left behind would make every start fail.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let Ok(about) = path.symlink_metadata() else {
        return Ok(());
    };
    if !about.file_type().is_socket() {
        return Err(SocketError::Occupied(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(|source| SocketError::Bind {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.sock");
        let first = bind(&path, 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&path, 0o600), Err(SocketError::InUse(_))));
        drop(first);
        assert!(bind(&path, 0o660).is_ok());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[test]
    fn a_file_in_the_sockets_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(bind(&path, 0o600), Err(SocketError::Occupied(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
