//! Where the bridge is and how to connect to it. Its name is resolved and its authorities are read once, at start: the locked-in
//! process can do neither.

use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use dbal_config::{Bridge, Prisma, Scheme, SslMode};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::exchange::Line;
use crate::database::postgres::servers::{Place, Wire, reach};
use crate::database::postgres::tls::{Tls, TlsError};

/// How long the bridge may take until a connection stands, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
const PATH: &str = "/api/native-prisma";
const TOKEN: &str = "x-dbal-native-prisma-token";

/// Everything needed for another connection and another request.
pub(super) struct Endpoint {
    /// As configured; for the log.
    name: String,
    places: Vec<Place>,
    tls: Option<Tls>,
    host: HeaderValue,
    path: String,
    token: SecretString,
}

/// Why the configured bridge can't be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The name means nothing.
    #[error("the bridge's host `{host}` can't be resolved")]
    Resolve {
        /// As configured.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `localhost` that leads elsewhere.
    #[error(
        "the bridge's host `{host}` is not on this machine, and `url` is http: token and rows would cross the network in clear"
    )]
    NotLocal {
        /// As configured.
        host: String,
    },
    /// TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// It can't be written into a request.
    #[error("the bridge's host is nothing that a request can name")]
    Host(#[from] InvalidHeaderValue),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Nobody listens, the network is down, or TLS refuses.
    #[error("the bridge at {name} can't be reached")]
    Reach {
        /// As configured.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer.
    #[error("the bridge at {name}: no connection within {} s", CONNECT.as_secs())]
    Slow {
        /// As configured.
        name: String,
    },
}

impl Endpoint {
    /// Resolves the name and reads the authorities.
    pub(super) fn resolve(config: &Prisma) -> Result<Self, EndpointError> {
        let Prisma {
            url,
            token,
            dialect: _,
            ca_file,
            allow_plain_http,
            pool_size: _,
        } = config;
        let (places, tls, host, path) = match url {
            Bridge::Unix(path) => (
                vec![Place::Unix(path.clone())],
                None,
                HeaderValue::from_static("localhost"),
                "",
            ),
            Bridge::Tcp {
                scheme,
                host,
                port,
                path,
            } => {
                let unresolved = |source| EndpointError::Resolve {
                    host: host.clone(),
                    source,
                };
                let addresses: Vec<_> = (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(unresolved)?
                    .collect();
                if addresses.is_empty() {
                    return Err(unresolved(io::Error::other("it has no address")));
                }
                let is_local = addresses.iter().all(|address| address.ip().is_loopback());
                if url.is_plain() && !is_local && !allow_plain_http {
                    return Err(EndpointError::NotLocal { host: host.clone() });
                }
                let tls = match scheme {
                    Scheme::Https => Tls::new(SslMode::VerifyFull, ca_file.as_deref(), host)?,
                    Scheme::Http => None,
                };
                let shown = if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                };
                let places = addresses.into_iter().map(Place::Tcp).collect();
                (places, tls, HeaderValue::from_str(&shown)?, path.as_str())
            }
        };
        Ok(Self {
            name: url.to_string(),
            places,
            tls,
            host,
            path: format!("{path}{PATH}"),
            token: token.clone(),
        })
    }

    /// A connection to the first address that answers.
    pub(super) async fn connect(&self) -> Result<Line, ConnectError> {
        let name = || self.name.clone();
        let mut last = ConnectError::Slow { name: name() };
        for place in &self.places {
            match timeout(CONNECT, self.connect_to(place)).await {
                Ok(Ok(line)) => return Ok(line),
                Ok(Err(source)) => last = ConnectError::Reach { name: name(), source },
                Err(_) => last = ConnectError::Slow { name: name() },
            }
        }
        Err(last)
    }

    async fn connect_to(&self, place: &Place) -> io::Result<Line> {
        let stream = reach(place).await?;
        let stream: Box<dyn Wire> = match &self.tls {
            Some(tls) => Box::new(tls.secured(stream).await?),
            None => stream,
        };
        Line::open(stream).await
    }

    /// A request with this body.
    pub(super) fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut token = HeaderValue::from_str(self.token.expose_secret())?;
        // So that nothing that shows a request shows it.
        token.set_sensitive(true);
        Request::post(self.path.as_str())
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(TOKEN, token)
            .body(Full::new(body))
    }
}
