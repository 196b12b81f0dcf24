//! A stream over a Unix socket that wakes nobody for room.
//!
//! The kernel tells whoever asked to be told of room each time that the other side takes something off the stream, needed or
//! not (`unix_write_space` in Linux' `net/unix/af_unix.c`; TCP does so only to a writer that found none). Tokio's stream asks
//! for both at once, so each message woke its sender a second time, for nothing. This one asks for what arrives, and for room
//! only while it waits for some.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

/// Most bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A connected Unix socket.
#[derive(Debug)]
pub struct LocalStream {
    /// None once it could not be registered with the runtime.
    socket: Option<AsyncFd<net::UnixStream>>,
    awaits_room: bool,
    /// Whom a change of the registration would leave waiting.
    reader: Option<Waker>,
    /// Where bytes are read to: a caller's own memory need not be cleared before each read.
    arrived: Box<[u8]>,
}

impl LocalStream {
    /// Takes a connection over, within a runtime.
    ///
    /// # Errors
    /// When it can't be registered with the runtime.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self {
            socket: Some(register(stream.into_std()?, Interest::READABLE)?),
            awaits_room: false,
            reader: None,
            arrived: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    fn socket(&self) -> io::Result<&AsyncFd<net::UnixStream>> {
        self.socket
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Asks for room as well, or no longer.
    fn await_room(&mut self, awaits_room: bool) -> io::Result<()> {
        let interest = if awaits_room {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        let registered = register(socket.into_inner(), interest);
        self.awaits_room = awaits_room;
        // It waits on the registration that is gone, or has to learn that there is none.
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.socket = Some(registered?);
        Ok(())
    }

    fn poll_room(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket()?.poll_write_ready(context))?;
            match ready.try_io(|socket| write(socket.get_ref(), bytes)) {
                Ok(written) => return Poll::Ready(written),
                Err(_there_was_none) => {}
            }
        }
    }
}

/// Has the runtime watch a socket.
#[expect(
    deprecated,
    reason = "warns of types that change their descriptor, which this one doesn't; its successor is unsafe"
)]
fn register(socket: net::UnixStream, interest: Interest) -> io::Result<AsyncFd<net::UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

fn write(mut socket: &net::UnixStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

impl AsyncRead for LocalStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        let room = buffer.remaining().min(this.arrived.len());
        let Some(arrived) = this.arrived.get_mut(..room) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        let socket = this.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            let mut ready = ready!(socket.poll_read_ready(context))?;
            match ready.try_io(|socket| socket.get_ref().read(arrived)) {
                Ok(Ok(read)) => {
                    // What follows wakes the reader by an edge of its own (epoll(7), question 9), so it need not be tried for.
                    if 0 < read && read < room {
                        ready.clear_ready();
                    }
                    buffer.put_slice(arrived.get(..read).unwrap_or_default());
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_nothing_has_arrived) => {}
            }
        }
    }
}

impl AsyncWrite for LocalStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.awaits_room {
            match write(this.socket()?.get_ref(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.await_room(true)?,
                written => return Poll::Ready(written),
            }
        }
        let written = ready!(this.poll_room(context, bytes))?;
        this.await_room(false)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket()?.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests;
