//! A small client of the daemon: TLS with certificate checking, WebSocket, JSON-RPC 2.0, one call at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Uri};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::error::ToolError;
use crate::files;
use crate::visible::one_line;

/// The daemon answers within 29 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where distributions keep the authorities that everybody trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Longest answer to a health question, in bytes.
const HTTP_BYTES: u64 = 64 * 1024;

/// An open connection.
pub(crate) struct Client {
    at: String,
    socket: WebSocketStream<TlsStream<TcpStream>>,
    calls: u64,
}

/// The daemon's refusal.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: i64,
    /// The whole error object.
    pub(crate) error: Box<RawValue>,
}

#[derive(Deserialize)]
struct Coded {
    code: i64,
}

impl Client {
    /// Connects to `wss://host:port/…`, checking the certificate against `ca`, or the system's authorities.
    pub(crate) async fn connect(
        endpoint: &str,
        ca: Option<&Path>,
        token: Option<&str>,
    ) -> Result<Self, ToolError> {
        let mut request: Request<()> = endpoint.into_client_request().map_err(|error| {
            ToolError::Usage(format!(
                "`{endpoint}` is no endpoint: {error}; one reads wss://host:port/"
            ))
        })?;
        if request.uri().scheme_str() != Some("wss") {
            return Err(ToolError::Usage(format!(
                "`{endpoint}` does not begin with wss://; dbal serves TLS only"
            )));
        }
        if let Some(token) = token {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| ToolError::Usage("the token has characters that no token has".to_owned()))?;
            bearer.set_sensitive(true);
            request.headers_mut().insert("authorization", bearer);
        }
        // Without the query: it may hold a token.
        let at = authority(request.uri())?;
        let stream = secure(&at, ca).await?;
        let upgrade = tokio_tungstenite::client_async(request, stream);
        let (socket, _) = timeout(PATIENCE, upgrade)
            .await
            .map_err(|_| unreachable(&at, "no answer to the upgrade"))?
            .map_err(|error| {
                if let Error::Http(answer) = error {
                    let words = answer
                        .body()
                        .as_deref()
                        .map(String::from_utf8_lossy)
                        .unwrap_or_default();
                    let status = answer.status();
                    unreachable(&at, format!("the upgrade was answered {status} {}", words.trim()))
                } else {
                    unreachable(&at, error)
                }
            })?;
        Ok(Self { at, socket, calls: 0 })
    }

    /// One call and its result.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<Result<Box<RawValue>, Refusal>, ToolError> {
        self.calls = self.calls.saturating_add(1);
        let id = self.calls;
        let text = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let ask = async {
            self.socket.send(Message::text(text)).await?;
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(Ok(text)),
                    Some(Ok(Message::Close(farewell))) => return Ok(Err(farewell)),
                    None => return Ok(Err(None)),
                    Some(Ok(
                        Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                    )) => {}
                    Some(Err(error)) => return Err(error),
                }
            }
        };
        let text = timeout(PATIENCE, ask)
            .await
            .map_err(|_| unreachable(&self.at, "no answer within 30 s"))?
            .map_err(|error| unreachable(&self.at, error))?
            .map_err(|farewell| {
                let why = farewell.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
                let why = why.unwrap_or_default();
                unreachable(&self.at, format!("the connection was closed{why}"))
            })?;
        let mut answer: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text)
            .map_err(|error| unreachable(&self.at, format!("the answer is not a JSON object: {error}")))?;
        // An error to an unreadable message has no id; there is only one call under way.
        if let Some(error) = answer.remove("error") {
            let code = serde_json::from_str(error.get()).map_or(0, |Coded { code }| code);
            return Ok(Err(Refusal { code, error }));
        }
        match answer.remove("result") {
            Some(result) => Ok(Ok(result)),
            None => Err(unreachable(&self.at, "the answer has neither result nor error")),
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}

/// The status of `GET path`.
pub(crate) async fn status_of(authority: &str, path: &str, ca: &Path) -> Result<u16, ToolError> {
    let ask = async {
        let mut stream = secure(authority, Some(ca)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.take(HTTP_BYTES).read_to_end(&mut answer).await
        };
        exchange.await.map_err(|error| unreachable(authority, error))?;
        let text = String::from_utf8_lossy(&answer);
        let status = text
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.ok_or_else(|| unreachable(authority, "the answer is not HTTP"))
    };
    timeout(PATIENCE, ask)
        .await
        .map_err(|_| unreachable(authority, "no answer within 30 s"))?
}

async fn secure(at: &str, ca: Option<&Path>) -> Result<TlsStream<TcpStream>, ToolError> {
    let roots = authorities(ca)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(at, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = at
        .rsplit_once(':')
        .map_or(at, |(host, _)| host)
        .trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(at, error))?;
    let connect = async {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    timeout(PATIENCE, connect)
        .await
        .map_err(|_| unreachable(at, "no connection within 30 s"))?
        .map_err(|error| unreachable(at, handshake(&error)))
}

fn authorities(ca: Option<&Path>) -> Result<RootCertStore, ToolError> {
    let path = ca.unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    let pem = files::read(path)?;
    let unusable = |error: &dyn std::fmt::Display| {
        ToolError::Usage(format!(
            "{}: holds no certificate in PEM: {error}",
            path.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots
            .add(certificate.map_err(|error| unusable(&error))?)
            .map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"the file is empty"));
    }
    Ok(roots)
}

fn authority(uri: &Uri) -> Result<String, ToolError> {
    let authority = uri
        .authority()
        .ok_or_else(|| ToolError::Usage("the endpoint names no host".to_owned()))?;
    Ok(format!(
        "{}:{}",
        authority.host(),
        authority.port_u16().unwrap_or(443)
    ))
}

/// What no system knows may be known to who asks.
fn handshake(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    if inner
        == Some(&rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer,
        ))
    {
        format!("{error}; an authority that this machine does not know is named with --ca")
    } else {
        error.to_string()
    }
}

fn unreachable(at: &str, why: impl std::fmt::Display) -> ToolError {
    ToolError::Unreachable {
        at: at.to_owned(),
        // Half of it may be what the other side said.
        why: one_line(&why.to_string()),
    }
}
