//! One connection to the bridge, and one request and its answer on it (RFC 9112). Redirections are followed by nobody: an answer is
//! a status and so many bytes.

use std::io;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use crate::database::postgres::servers::Wire;

/// Most bytes of an answer: what the bridge itself bounds it by. An answer to a client (8 MiB) fits, as text within text.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of its head, and of what is read at once.
const BUFFER_BYTES: usize = 64 * 1024;
const HEADERS: usize = 64;
/// A connection that was idle for longer is not used again: the bridge ends them after a minute, and a request that crosses such an
/// end leaves it open whether it was read.
const IDLE: Duration = Duration::from_secs(15);

/// A connection.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    used: Instant,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nothing of the request was written.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// The connection ended, or what came was no HTTP.
    #[error("the request was sent, but no whole answer came: {0}")]
    Lost(String),
    /// Longer than an answer may be.
    #[error("the answer has more than {ANSWER_BYTES} bytes")]
    TooLong,
}

impl Line {
    /// On an open stream. A task of this thread drives it.
    pub(super) async fn open(stream: Box<dyn Wire>) -> io::Result<Self> {
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // Its end is told to the sender, whose next request fails.
        let driver = tokio::task::spawn_local(async {
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
            used: Instant::now(),
        })
    }

    /// Whether another request may be sent on it.
    pub(super) fn is_fresh(&self) -> bool {
        self.sender.is_ready() && self.used.elapsed() < IDLE
    }

    /// Sends a request and reads the whole answer. A line whose exchange failed, or was dropped, is of no use any more.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answered, Failed> {
        let sent = self.sender.try_send_request(request).await;
        let response = sent.map_err(|mut error| match error.take_message() {
            Some(_) => Failed::NotSent(dbal_daemon::causes(error.error())),
            None => Failed::Lost(dbal_daemon::causes(error.error())),
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Failed::TooLong
            } else {
                Failed::Lost(dbal_daemon::causes(error.as_ref()))
            }
        })?;
        self.used = Instant::now();
        // Until the driver has seen the answer's end the line takes no other request; one that is closed says so here.
        let _ = self.sender.ready().await;
        Ok(Answered {
            status: head.status.as_u16(),
            body: body.to_bytes(),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
