//! A client's connection that tells when the client has gone, also while nobody reads it and while it takes nothing.
//!
//! Whoever waits for bytes learns of the end behind them; whoever has as many calls under way as he may is not read, and would be
//! missed only at the next write. The kernel tells of a FIN or a reset whatever lies unread before it (`EPOLLRDHUP`, `EPOLLHUP`;
//! epoll_ctl(2)), and tokio keeps that apart from what can be read, so nothing has to be read to know of it, and nobody looks twice.
//! What it can't tell of: a FIN behind more than the kernel takes unread (`tcp_rmem`, some 125 KiB by default), which the client's
//! kernel still holds, and a `close_notify` without a FIN, which is a TLS record among others.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::server::TlsStream;

/// Tells when the other side has gone.
pub trait Departure {
    /// Ready once the other side sends nothing any more, whatever it has sent before. Who is pending is woken then, and not for what
    /// can be read.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A connected TCP socket. A write that would have to wait for a client that has gone fails instead.
pub struct ClientStream {
    receiving: OwnedReadHalf,
    /// Shared with the watch alone.
    sending: Arc<OwnedWriteHalf>,
    watch: Watch,
}

/// Who waits for the client's end.
enum Watch {
    /// Nobody has asked for it.
    Idle,
    On(Pin<Box<dyn Future<Output = ()> + Send + Sync>>),
    /// It has come.
    Gone,
}

impl ClientStream {
    /// Takes a connection over.
    pub fn new(stream: TcpStream) -> Self {
        let (receiving, sending) = stream.into_split();
        Self {
            receiving,
            sending: Arc::new(sending),
            watch: Watch::Idle,
        }
    }

    /// Writes as soon as there is room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        send: impl Fn(&OwnedWriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let socket: &TcpStream = (*self.sending).as_ref();
            let Poll::Ready(room) = socket.poll_write_ready(context) else {
                ready!(self.poll_gone(context));
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            room?;
            match send(&self.sending) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// Returns once the other side has sent its last.
async fn gone(socket: Arc<OwnedWriteHalf>) {
    // INVARIANT: tokio registers a `TcpStream` for reading and writing, so of this interest nothing but the end of what can be read is
    // ever told; `READABLE` would be told of bytes, too.
    while let Ok(ready) = socket.ready(Interest::PRIORITY).await {
        if ready.is_read_closed() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

impl Departure for ClientStream {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if matches!(self.watch, Watch::Idle) {
            self.watch = Watch::On(Box::pin(gone(Arc::clone(&self.sending))));
        }
        if let Watch::On(watch) = &mut self.watch {
            ready!(watch.as_mut().poll(context));
            self.watch = Watch::Gone;
        }
        Poll::Ready(())
    }
}

impl<S: Departure> Departure for TlsStream<S> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.get_mut().0.poll_gone(context)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.receiving).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| socket.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| socket.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.sending.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Watch::On(_) = self.watch {
            self.watch = Watch::Idle;
        }
        match Arc::get_mut(&mut self.sending) {
            Some(sending) => Pin::new(sending).poll_shutdown(context),
            // INVARIANT: nobody but the watch shares it.
            None => Poll::Ready(Err(io::ErrorKind::ResourceBusy.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    /// A client and what the broker has of it.
    async fn pair() -> (TcpStream, ClientStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "a client's side")]
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (client, ClientStream::new(accepted))
    }

    async fn goes(stream: &mut ClientStream) {
        timeout(LONG, poll_fn(|context| stream.poll_gone(context)))
            .await
            .expect("its end is told");
    }

    fn is_there(stream: &mut ClientStream) -> bool {
        poll_fn(|context| stream.poll_gone(context))
            .now_or_never()
            .is_none()
    }

    #[tokio::test]
    async fn that_a_client_goes_is_told_whatever_it_has_sent_before_and_nothing_is_read_for_it() {
        for is_reset in [false, true] {
            let (mut client, mut stream) = pair().await;
            assert!(is_there(&mut stream));
            client.write_all(b"unread").await.unwrap();
            let polls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&polls);
            let ends = tokio::spawn(async move {
                let end = poll_fn(|context| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    stream.poll_gone(context)
                });
                timeout(LONG, end).await.expect("its end is told");
                stream
            });
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                client.write_all(b".").await.unwrap();
            }
            assert_eq!(
                polls.load(Ordering::Relaxed),
                1,
                "bytes wake nobody who waits for the end"
            );
            if is_reset {
                client.set_zero_linger().unwrap();
            }
            drop(client);
            let mut stream = ends.await.unwrap();
            assert!(!is_there(&mut stream), "it stays gone");
            if !is_reset {
                let mut read = String::new();
                stream.read_to_string(&mut read).await.unwrap();
                assert_eq!(read, "unread.....");
            }
        }
    }

    #[tokio::test]
    async fn who_has_sent_all_and_listens_is_written_to_but_not_waited_for() {
        let (mut client, mut stream) = pair().await;
        client.shutdown().await.unwrap();
        goes(&mut stream).await;
        stream.write_all(b"heard").await.unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"heard");
        let written = timeout(LONG, stream.write_all(&vec![0; 64 << 20])).await.unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_write_that_waits_ends_when_its_client_goes_and_one_that_is_taken_does_not() {
        let (mut client, mut stream) = pair().await;
        let all = vec![0; 32 << 20];
        let (written, taken) = tokio::join!(stream.write_all(&all), async {
            client.read_exact(&mut vec![0; 32 << 20]).await
        });
        written.unwrap();
        taken.unwrap();
        let writing = tokio::spawn(async move { stream.write_all(&all).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!writing.is_finished());
        client.shutdown().await.unwrap();
        let written = timeout(LONG, writing).await.unwrap().unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn it_can_be_shut_down_while_somebody_waits_for_its_end() {
        let (mut client, mut stream) = pair().await;
        assert!(is_there(&mut stream));
        stream.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert!(is_there(&mut stream));
        drop(client);
        goes(&mut stream).await;
    }
}
