//! Accepts clients, up to the bounds, and leads each through TLS and HTTP to its WebSocket. One task per client.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use dbal_shared::limits::CLIENT_MESSAGE_BYTES;

use super::address::{Connections, Displaced, Place};
use super::client_certificate;
use super::client_stream::ClientStream;
use super::close::{Closing, End};
use super::connection::{Connection, ConnectionLimits};
use super::drain::{Drain, Drainer};
use super::http::{self, HttpLimits, Upgraded};
use super::intake::{Intake, Load, Metered};
use super::long::LongMessages;
use super::standing::Standing;
use super::tls::ServerSide;
use super::upgrade::Upgrade;
use crate::admission::Arrivals;
use crate::auth::Credentials;
use crate::health::Health;
use crate::serve::Broker;

/// After accept(2) failed, e.g. for want of descriptors: trying at once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is told.
const TOLD: Duration = Duration::from_mins(1);
/// The same after somebody made room: so long it takes at most until their descriptors are free.
const ROOM_PAUSE: Duration = Duration::from_millis(5);
/// ENFILE and EMFILE (errno(3)).
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
/// Whoever is still shaking hands when the broker begins to drain gets so long to be told that it goes.
const ENTERING: Duration = Duration::from_secs(1);
/// For the goodbyes of those who did not finish in time.
const FAREWELL: Duration = Duration::from_secs(2);
/// Read per connection at once. An idle connection costs this much, and each read clears as much of it before it begins, also one that
/// finds nothing: most messages are shorter, and longer ones take more reads. Tungstenite's own default is 128 KiB.
const READ_BYTES: usize = 2 * 1024;
/// Collected before a write is begun.
const WRITE_BYTES: usize = 16 * 1024;

type Socket = WebSocketStream<Metered<TlsStream<ClientStream>>>;

/// A client that has come as far as its WebSocket.
struct Entered {
    socket: Socket,
    upgrade: Upgrade,
    /// Its certificate and those between it and its authority; empty if it showed none.
    chain: Vec<CertificateDer<'static>>,
}

/// What a client's task needs besides the stations.
pub struct Listening {
    /// The stations.
    pub broker: Arc<Broker>,
    /// What probes are told.
    pub health: Arc<Health>,
    /// TLS, for connections that begin from now on.
    pub tls: watch::Sender<Arc<ServerSide>>,
    /// Places for connections.
    pub connections: Arc<Connections>,
    /// How often addresses come.
    pub arrivals: Arrivals,
    /// What messages weigh.
    pub intake: Arc<Intake>,
    /// Where long ones are worked on.
    pub long: Arc<LongMessages>,
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
}

/// Accepts until the broker drains; then waits for the clients' tasks, at most for `patience`, and tells those to go that are
/// left.
pub async fn accept(
    listener: TcpListener,
    listening: Arc<Listening>,
    drainer: Arc<Drainer>,
    mut drain: Drain,
    patience: Duration,
) {
    let mut clients = JoinSet::new();
    let is_draining = drain.clone();
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            // Who is not accepted waits in the socket's backlog, for the next broker where the socket is inherited.
            biased;
            () = drain.has_begun() => break,
            // Ended tasks are let go of as they end, also while others come in one after the other.
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let address = address.ip();
                    // Before there is a task: who is turned away costs as little as can be.
                    if let Some((place, displaced)) = listening.admit(address) {
                        let (listening, drain) = (Arc::clone(&listening), is_draining.clone());
                        clients.spawn(async move {
                            listening.serve(stream, address, place, displaced, drain).await;
                        });
                    }
                }
                Err(error) => {
                    listening.broker.metrics.accept_failures.inc();
                    // Told when it begins, and not ten times a second.
                    if told.is_none_or(|at| at.elapsed() >= TOLD) {
                        tracing::warn!(%error, "clients can't be accepted; they wait in the kernel");
                        told = Some(Instant::now());
                    }
                    let is_short = error.raw_os_error().is_some_and(|error| NO_DESCRIPTORS.contains(&error));
                    let has_room = is_short && listening.connections.run_short();
                    sleep(if has_room { ROOM_PAUSE } else { ACCEPT_PAUSE }).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(patience, all(&mut clients)).await.is_err() {
        tracing::warn!(
            left = clients.len(),
            "clients are cut off: they did not finish in time"
        );
        drainer.leave();
        if timeout(FAREWELL, all(&mut clients)).await.is_err() {
            clients.abort_all();
        }
    }
    // The audit shall have the last refusals, and that the broker stopped.
    listening.broker.channel.flush().await;
}

/// Waits until every client's task has ended.
async fn all(clients: &mut JoinSet<()>) {
    while clients.join_next().await.is_some() {}
}

/// Returns when it is too late to begin anything.
async fn too_late(drain: &mut Drain) {
    drain.has_begun().await;
    sleep(ENTERING).await;
}

impl Listening {
    /// A place for somebody who comes from `address`, unless that one came too often, did too much wrong or has too many.
    fn admit(&self, address: IpAddr) -> Option<(Place, Displaced)> {
        let is_welcome = self.arrivals.lets_in(address) && self.broker.strikes.remaining(address).is_none();
        let admitted = is_welcome.then(|| self.connections.admit(address)).flatten();
        if admitted.is_none() {
            self.broker.metrics.turned_away.inc();
        }
        admitted
    }

    async fn serve(
        &self,
        stream: TcpStream,
        address: IpAddr,
        place: Place,
        displaced: Displaced,
        drain: Drain,
    ) {
        let metrics = &self.broker.metrics;
        metrics.accepted.inc();
        metrics.clients.inc();
        let spoken = tokio::select! {
            spoken = self.speak(stream, address, place, drain) => spoken,
            () = displaced.wait() => Ok(Some(End::Displaced)),
        };
        metrics.clients.dec();
        match spoken {
            Ok(Some(end)) => {
                metrics.ended(end);
                tracing::debug!(remote = %address, ?end, "connection ended");
            }
            // Plain HTTP.
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(remote = %address, %error, "a client left before it could speak");
            }
        }
    }

    async fn speak(
        &self,
        stream: TcpStream,
        address: IpAddr,
        place: Place,
        mut drain: Drain,
    ) -> io::Result<Option<End>> {
        // Before the handshake, so that whatever is put in force after it is noticed.
        let mut in_force = self.tls.subscribe();
        let tls = Arc::clone(&in_force.borrow_and_update());
        // Boxed: what TLS and HTTP need to begin is large, short-lived, and not to be carried along by idle connections.
        let entered = tokio::select! {
            entered = Box::pin(self.enter(stream, address, &tls)) => entered?,
            () = too_late(&mut drain) => None,
        };
        let Some(Entered {
            socket,
            upgrade,
            chain,
        }) = entered
        else {
            return Ok(None);
        };
        let certificate = client_certificate::of_chain(&chain);
        let is_alone = certificate.is_some() && tls.takes_alone(&upgrade.origins);
        drop(tls);
        let credentials = Credentials::new(address, upgrade.token, certificate, is_alone, self.sessions);
        let credentials = Arc::new(credentials.at(place));
        let standing = Standing {
            chain,
            alone: is_alone.then_some(upgrade.origins),
            in_force,
        };
        let mut connection = Connection::new(
            socket,
            (&self.broker, &credentials),
            &self.long,
            upgrade.dialect,
            self.connection,
            Load::none(&self.intake, address),
        );
        let end = connection.run(drain, standing).await;
        if end == End::Closing(Closing::Revoked) {
            tracing::info!(remote = %address, "a connection is closed: its client certificate does not hold any more");
        }
        Ok(Some(end))
    }

    /// From a bare socket to a WebSocket. None when the client only wanted HTTP.
    async fn enter(
        &self,
        stream: TcpStream,
        address: IpAddr,
        tls: &ServerSide,
    ) -> io::Result<Option<Entered>> {
        // Answers are small and complete: waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        let handshake = timeout(
            self.handshake,
            TlsAcceptor::from(Arc::clone(&tls.config)).accept(ClientStream::new(stream)),
        )
        .await;
        let stream = handshake
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .inspect_err(|_| {
                self.broker.metrics.failed_handshakes.inc();
                self.broker.strikes.strike(address);
            })?;
        let chain = stream
            .get_ref()
            .1
            .peer_certificates()
            .unwrap_or_default()
            .to_vec();
        let upgraded = http::until_upgrade(stream, self.http, &self.health, self.token_in_query).await;
        let Some(Upgraded {
            stream,
            read,
            upgrade,
        }) = upgraded
        else {
            return Ok(None);
        };
        let socket = WebSocketStream::from_partially_read(
            Metered::new(stream),
            read.to_vec(),
            Role::Server,
            Some(websocket()),
        )
        .await;
        Ok(Some(Entered {
            socket,
            upgrade,
            chain,
        }))
    }
}

fn websocket() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES))
}
