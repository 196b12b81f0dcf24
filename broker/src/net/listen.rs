//! Accepts clients, up to the bounds, and leads each through TLS and HTTP to its WebSocket. One task per client.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use dbal_shared::limits::CLIENT_MESSAGE_BYTES;
use dbal_shared::message::Certificate;

use super::address::Connections;
use super::client_certificate;
use super::connection::{Connection, ConnectionLimits, drained};
use super::http::{self, HttpLimits, Upgraded};
use super::upgrade::Upgrade;
use crate::auth::Credentials;
use crate::health::Health;
use crate::serve::Broker;

/// After accept(2) failed, e.g. for want of descriptors: trying at once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Read per connection at once. An idle connection costs this much; tungstenite's own default is 128 KiB.
const READ_BYTES: usize = 4 * 1024;
/// Collected before a write is begun.
const WRITE_BYTES: usize = 16 * 1024;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// What a client's task needs besides the stations.
pub struct Listening {
    /// The stations.
    pub broker: Arc<Broker>,
    /// What probes are told.
    pub health: Arc<Health>,
    /// TLS, for connections that begin from now on.
    pub tls: ArcSwap<ServerConfig>,
    /// Places for connections.
    pub connections: Arc<Connections>,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For HTTP.
    pub http: HttpLimits,
    /// For each connection.
    pub connection: ConnectionLimits,
    /// Sessions of one connection.
    pub sessions: usize,
    /// Whether `?access_token=` is taken.
    pub token_in_query: bool,
    /// Whether a client certificate is a proof by itself.
    pub certificate_alone: bool,
}

/// Accepts until the broker drains; then waits for the clients' tasks, at most for `patience`.
pub async fn accept(
    listener: TcpListener,
    listening: Arc<Listening>,
    mut drain: watch::Receiver<bool>,
    patience: Duration,
) {
    let mut clients = JoinSet::new();
    let is_draining = drain.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let (listening, drain) = (Arc::clone(&listening), is_draining.clone());
                    clients.spawn(async move { listening.serve(stream, address.ip(), drain).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Ended tasks are let go of as they end.
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            () = drained(&mut drain) => break,
        }
    }
    drop(listener);
    let all_ended = async { while clients.join_next().await.is_some() {} };
    if timeout(patience, all_ended).await.is_err() {
        tracing::warn!(
            left = clients.len(),
            "clients were cut off: they did not finish in time"
        );
        clients.abort_all();
    }
    // The audit shall have the last refusals, and that the broker stopped.
    listening.broker.channel.flush().await;
}

impl Listening {
    async fn serve(&self, stream: TcpStream, address: IpAddr, drain: watch::Receiver<bool>) {
        let metrics = &self.broker.metrics;
        let Some(_place) = self.connections.admit(address) else {
            metrics.turned_away.inc();
            return;
        };
        if self.broker.strikes.remaining(address).is_some() {
            metrics.turned_away.inc();
            return;
        }
        metrics.accepted.inc();
        metrics.clients.inc();
        let spoken = self.speak(stream, address, drain).await;
        metrics.clients.dec();
        if let Err(error) = spoken {
            tracing::debug!(remote = %address, %error, "a client left before it could speak");
        }
    }

    async fn speak(
        &self,
        stream: TcpStream,
        address: IpAddr,
        drain: watch::Receiver<bool>,
    ) -> io::Result<()> {
        // Boxed: what TLS and HTTP need to begin is large, short-lived, and not to be carried along by idle connections.
        let Some((socket, upgrade, certificate)) = Box::pin(self.enter(stream, address)).await? else {
            return Ok(());
        };
        let credentials = Credentials::new(
            address,
            upgrade.token,
            certificate,
            self.certificate_alone,
            self.sessions,
        );
        let mut connection = Connection::new(
            socket,
            &self.broker,
            &credentials,
            upgrade.dialect,
            self.connection,
        );
        let end = connection.run(drain).await;
        tracing::debug!(remote = %address, ?end, "connection ended");
        Ok(())
    }

    /// From a bare socket to a WebSocket. None when the client only wanted HTTP.
    async fn enter(
        &self,
        stream: TcpStream,
        address: IpAddr,
    ) -> io::Result<Option<(Socket, Upgrade, Option<Certificate>)>> {
        // Answers are small and complete: waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        let handshake = timeout(
            self.handshake,
            TlsAcceptor::from(self.tls.load_full()).accept(stream),
        )
        .await;
        let stream = handshake
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .inspect_err(|_| {
                self.broker.metrics.failed_handshakes.inc();
                self.broker.strikes.strike(address);
            })?;
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(client_certificate::of_chain);
        let upgraded = http::until_upgrade(stream, self.http, &self.health, self.token_in_query).await;
        let Some(Upgraded {
            stream,
            read,
            upgrade,
        }) = upgraded
        else {
            return Ok(None);
        };
        let socket =
            WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(websocket()))
                .await;
        Ok(Some((socket, upgrade, certificate)))
    }
}

fn websocket() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES))
}
