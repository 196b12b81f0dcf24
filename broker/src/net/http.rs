//! Drives HTTP/1.1 on a fresh stream until the client upgrades or leaves. Head size and time are bounded.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, body::Bytes};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::upgrade::{self, Upgrade};
use crate::health::Health;

/// A head holds a token of at most 8 KiB and some headers.
const HEAD_BYTES: usize = 16 * 1024;
/// Browsers send some twenty.
const HEADERS: usize = 64;

/// Bounds on the HTTP part of a connection.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// For one head.
    pub head: Duration,
    /// For all requests before the upgrade.
    pub whole: Duration,
}

/// A stream on which the client now speaks WebSocket.
pub struct Upgraded<S> {
    /// The stream.
    pub stream: S,
    /// What was read beyond the head.
    pub read: Bytes,
    /// What the client asked for.
    pub upgrade: Upgrade,
}

/// Answers requests until one upgrades the connection. None when the client is served otherwise or gone.
pub async fn until_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    limits: HttpLimits,
    health: &Health,
    token_in_query: bool,
) -> Option<Upgraded<S>> {
    let upgrade: Mutex<Option<Upgrade>> = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let reply = upgrade::answer(&request, health, token_in_query);
        if reply.upgrade.is_some() {
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = reply.upgrade;
        }
        ready(Ok::<_, Infallible>(reply.response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown();
    let parts = timeout(limits.whole, connection).await.ok()?.ok()?;
    let (mut stream, read) = (parts.io.into_inner(), parts.read_buf);
    let upgrade = upgrade.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(upgrade) = upgrade {
        return Some(Upgraded {
            stream,
            read,
            upgrade,
        });
    }
    // The client got its answers and closes too, or is gone; nothing hangs on how this ends.
    let _ = timeout(limits.head, stream.shutdown()).await;
    None
}
