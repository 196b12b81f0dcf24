//! The configured servers and how to connect to them. Names are resolved once, at start: the locked-in process can neither
//! read the resolver's files nor speak UDP.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use dbal_config::{ChannelBinding, Host, Postgresql, SslMode, Target};
use dbal_daemon::local_stream::LocalStream;
use nix::sys::socket::{setsockopt, sockopt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as Binding, SslMode as Negotiation};
use tokio_postgres::types::Type;
use tokio_postgres::{CancelToken, Client, Config, Connection};

use super::tls::{Connect, Secured, Tls, TlsError};

/// How long one server may take until it has let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a cancel request may take.
const CANCEL: Duration = Duration::from_secs(1);
/// A peer that acknowledges nothing for so long is gone: longest deadline of a call, and some.
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// An idle connection is asked for life after so long, and again a few times.
const KEEPALIVE_S: u32 = 15;
/// If all else fails to end a statement: longer than any call may take.
const STATEMENT_TIMEOUT: &str = "31s";
/// A transaction that we never came back to, because this process was stopped, lets go of its locks.
const IDLE_TRANSACTION_TIMEOUT: &str = "60s";

/// A byte stream to a server.
pub(in crate::database) trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl Wire for TcpStream {}
impl Wire for LocalStream {}
impl Wire for tokio_rustls::client::TlsStream<Box<dyn Wire>> {}

/// What drives a connection: to be polled until it ends.
pub(super) type Driver = Connection<Box<dyn Wire>, Secured<Box<dyn Wire>>>;

/// Everything needed for another connection.
pub(super) struct Servers {
    endpoints: Vec<Endpoint>,
    database: String,
    user: String,
    password: Option<SecretString>,
    schema: String,
    binding: Binding,
    target: Target,
}

/// One address of one server.
struct Endpoint {
    /// As configured; for the log.
    host: String,
    place: Place,
    tls: Connect,
    negotiation: Negotiation,
}

/// An address.
pub(in crate::database) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection that is ready for statements.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) cancel: CancelToken,
    /// For [`Servers::cancel`].
    pub(super) endpoint: usize,
    /// `server_version`.
    pub(super) version: String,
    /// It takes no writes.
    pub(super) is_read_only: bool,
    /// `is_superuser`.
    pub(super) is_superuser: bool,
}

/// Why a configured server can't be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// The name means nothing.
    #[error("the database host `{host}` can't be resolved")]
    Resolve {
        /// As configured.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens, or the network is down.
    #[error("{host}: can't be reached")]
    Reach {
        /// As configured.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer.
    #[error("{host}: no connection within {} s", CONNECT.as_secs())]
    Slow {
        /// As configured.
        host: String,
    },
    /// TLS or the server refuses.
    #[error("{host}: the connection was refused")]
    Refused {
        /// As configured.
        host: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A replica.
    #[error("{host}: takes no writes (`target: any` would use it for reads)")]
    ReadOnly {
        /// As configured.
        host: String,
    },
}

impl Servers {
    /// Resolves names and reads certificates.
    pub(super) fn resolve(config: &Postgresql) -> Result<Self, ServersError> {
        let Postgresql {
            host: hosts,
            port,
            database,
            user,
            password,
            schema,
            ssl_mode,
            channel_binding,
            ca_file,
            pool_size: _,
            target,
            create_tables: _,
        } = config;
        let mut endpoints = Vec::new();
        for host in hosts {
            match host {
                Host::Folder(folder) => endpoints.push(Endpoint {
                    host: host.to_string(),
                    place: Place::Unix(folder.join(format!(".s.PGSQL.{port}"))),
                    tls: Connect(None),
                    negotiation: Negotiation::Disable,
                }),
                Host::Tcp { name, port: own } => {
                    let tls = Tls::new(*ssl_mode, ca_file.as_deref(), name)?;
                    let unresolved = |source| ServersError::Resolve {
                        host: host.to_string(),
                        source,
                    };
                    let addresses = (name.as_str(), own.unwrap_or(*port))
                        .to_socket_addrs()
                        .map_err(unresolved)?;
                    let before = endpoints.len();
                    let named = Host::Tcp {
                        name: name.clone(),
                        port: Some(own.unwrap_or(*port)),
                    };
                    endpoints.extend(addresses.map(|address| Endpoint {
                        host: named.to_string(),
                        place: Place::Tcp(address),
                        tls: Connect(tls.clone()),
                        negotiation: negotiation(*ssl_mode),
                    }));
                    if endpoints.len() == before {
                        return Err(unresolved(io::Error::other("it has no address")));
                    }
                }
            }
        }
        Ok(Self {
            endpoints,
            database: database.clone(),
            user: user.clone(),
            password: password.clone(),
            schema: schema.clone(),
            binding: match channel_binding {
                ChannelBinding::Disable => Binding::Disable,
                ChannelBinding::Prefer => Binding::Prefer,
                ChannelBinding::Require => Binding::Require,
            },
            target: *target,
        })
    }

    /// A connection to the first server that will do, counted from the one at `first`.
    pub(super) async fn connect(&self, first: usize) -> Result<(Connected, Driver), ConnectError> {
        let mut last = None;
        let all = self.endpoints.iter().enumerate();
        for (nth, endpoint) in all.cycle().skip(first).take(self.endpoints.len()) {
            let slow = || ConnectError::Slow {
                host: endpoint.host.clone(),
            };
            match timeout(CONNECT, self.connect_to(endpoint, nth)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(slow()),
            }
        }
        Err(last.unwrap_or(ConnectError::Slow { host: String::new() }))
    }

    async fn connect_to(&self, endpoint: &Endpoint, nth: usize) -> Result<(Connected, Driver), ConnectError> {
        let host = || endpoint.host.clone();
        let refused = |source| ConnectError::Refused { host: host(), source };
        let stream = reach(&endpoint.place)
            .await
            .map_err(|source| ConnectError::Reach { host: host(), source })?;
        let mut config = Config::new();
        config
            .user(&self.user)
            .dbname(&self.database)
            .application_name("dbal-worker")
            .ssl_mode(endpoint.negotiation)
            .channel_binding(self.binding);
        if let Some(password) = &self.password {
            config.password(password.expose_secret());
        }
        let (client, mut driver) = config
            .connect_raw(stream, endpoint.tls.clone())
            .await
            .map_err(refused)?;
        let version = driver.parameter("server_version").unwrap_or_default().to_owned();
        let is_superuser = driver.parameter("is_superuser") == Some("on");
        let is_read_only = {
            let settle = settle(&client, &self.schema);
            tokio::select! {
                settled = settle => settled.map_err(refused)?,
                // It ends only when the server or the network does.
                ended = &mut driver => {
                    ended.map_err(refused)?;
                    return Err(ConnectError::Reach {
                        host: host(),
                        source: io::ErrorKind::ConnectionAborted.into(),
                    });
                }
            }
        };
        if is_read_only && self.target == Target::ReadWrite {
            return Err(ConnectError::ReadOnly { host: host() });
        }
        let connected = Connected {
            cancel: client.cancel_token(),
            client,
            endpoint: nth,
            version,
            is_read_only,
            is_superuser,
        };
        Ok((connected, driver))
    }

    /// Asks the server to stop what runs on a connection, and waits until it has passed that on: a request that is still
    /// under way could hit the connection's next statement.
    pub(super) async fn cancel(&self, token: &CancelToken, endpoint: usize) {
        let Some(Endpoint {
            host,
            place,
            tls,
            negotiation: _,
        }) = self.endpoints.get(endpoint)
        else {
            return;
        };
        let ask = async {
            let mut stream = reach(place).await?;
            token
                .cancel_query_raw(&mut stream, tls.clone())
                .await
                .map_err(io::Error::other)?;
            // The server closes when it has sent the signal.
            let mut rest = [0; 256];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        match timeout(CANCEL, ask).await {
            Ok(Ok(())) => {}
            // Seen with some servers, which then have read the request.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Ok(Err(error)) => tracing::warn!(host, %error, "a statement could not be cancelled"),
            Err(_) => tracing::warn!(host, "a cancel request was not answered"),
        }
    }
}

fn negotiation(mode: SslMode) -> Negotiation {
    match mode {
        SslMode::Disable => Negotiation::Disable,
        SslMode::Prefer => Negotiation::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Negotiation::Require,
    }
}

/// A stream to it, which notices when the other side is gone.
pub(in crate::database) async fn reach(place: &Place) -> io::Result<Box<dyn Wire>> {
    match place {
        Place::Unix(path) => Ok(Box::new(LocalStream::new(UnixStream::connect(path).await?)?)),
        Place::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            setsockopt(&stream, sockopt::KeepAlive, &true)?;
            setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_S)?;
            setsockopt(&stream, sockopt::TcpKeepInterval, &5)?;
            setsockopt(&stream, sockopt::TcpKeepCount, &3)?;
            setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS)?;
            Ok(Box::new(stream))
        }
    }
}

/// What every statement relies on, whatever the server's and the role's own settings are. Tells whether it takes no writes.
async fn settle(client: &Client, schema: &str) -> Result<bool, tokio_postgres::Error> {
    let settings = "SELECT set_config('search_path', quote_ident($1), false), \
        set_config('statement_timeout', $2, false), \
        set_config('idle_in_transaction_session_timeout', $3, false), \
        set_config('default_transaction_isolation', 'read committed', false), \
        set_config('TimeZone', 'UTC', false), \
        pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";
    let row = client
        .query_typed_one(
            settings,
            &[
                (&schema, Type::TEXT),
                (&STATEMENT_TIMEOUT, Type::TEXT),
                (&IDLE_TRANSACTION_TIMEOUT, Type::TEXT),
            ],
        )
        .await?;
    // So that a statement ends when this process does. Where the server can't (before version 14, not on Linux) its own time
    // limit does it.
    let _ = client
        .batch_execute("SET client_connection_check_interval = '2s'")
        .await;
    row.try_get(5)
}
