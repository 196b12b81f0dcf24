//! A client as the protocol describes it, strict about every answer: what it lets pass, deployed clients understand.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
pub use tokio_tungstenite::tungstenite::Error as SocketError;
pub use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::daemon::{Daemon, User};

/// No answer in this time is a failed test. (Existing clients wait 30 s.)
const PATIENCE: Duration = Duration::from_secs(30);

/// How a connection says who it is.
#[derive(Clone, Copy, Debug)]
pub enum Login<'a> {
    /// Not at all.
    Nobody,
    /// `Authorization: Bearer …`
    Header(&'a str),
    /// Subprotocols `dbal.v1, dbal.bearer.<token>`
    Subprotocol(&'a str),
    /// `?access_token=…`
    Query(&'a str),
    /// Not at all, by a browser for a page of this origin.
    Page(&'a str),
}

/// A client certificate and its key, PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A refusal, as the client sees it.
#[derive(Clone)]
pub struct Refusal {
    /// The number.
    pub code: i64,
    /// The plain text.
    pub message: String,
    /// `details` (native) or `data` (JSON-RPC 2.0); null if there are none.
    pub details: Value,
    /// `decision` out of the details: the refusal's name in the audit trail, different each time.
    pub decision: Option<String>,
}

impl fmt::Debug for Refusal {
    /// Without the name, so that what is told apart by its text differs in more than that.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            message,
            details,
            decision: _,
        } = self;
        out.debug_struct("Refusal")
            .field("code", code)
            .field("message", message)
            .field("details", details)
            .finish()
    }
}

impl PartialEq for Refusal {
    /// Alike but for the name.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            code,
            message,
            details,
            decision: _,
        } = self;
        (code, message, details) == (&other.code, &other.message, &other.details)
    }
}

/// What a client speaks over.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// One connection.
pub struct Client {
    socket: Socket,
    calls: u64,
}

impl Client {
    /// Connects as somebody, by the header.
    pub async fn connect(daemon: &Daemon, user: &User) -> Self {
        Self::try_connect(daemon, Login::Header(&user.token))
            .await
            .expect("the upgrade succeeds")
    }

    /// Connects in any way.
    pub async fn try_connect(daemon: &Daemon, login: Login<'_>) -> Result<Self, SocketError> {
        Self::try_connect_with(daemon, login, None).await
    }

    /// The same with a client certificate.
    pub async fn try_connect_with(
        daemon: &Daemon,
        login: Login<'_>,
        identity: Option<&Identity>,
    ) -> Result<Self, SocketError> {
        Self::try_connect_at(&daemon.address(), &daemon.ready.ca, login, identity).await
    }

    /// The same at an address (`127.0.0.1:50051`) whose certificate is checked against `ca` alone.
    pub async fn try_connect_at(
        address: &str,
        ca: &Path,
        login: Login<'_>,
        identity: Option<&Identity>,
    ) -> Result<Self, SocketError> {
        let stream = secure_with(address, ca, identity)
            .await
            .map_err(SocketError::Io)?;
        Self::upgrade(address, login, stream).await
    }

    /// Makes a WebSocket of a stream.
    pub(crate) async fn upgrade(
        address: &str,
        login: Login<'_>,
        stream: TlsStream<TcpStream>,
    ) -> Result<Self, SocketError> {
        let query = if let Login::Query(token) = login {
            format!("?access_token={token}")
        } else {
            String::new()
        };
        let mut request = format!("wss://{address}/{query}").into_client_request()?;
        let headers = request.headers_mut();
        match login {
            Login::Nobody | Login::Query(_) => {}
            Login::Page(origin) => {
                headers.insert("origin", HeaderValue::try_from(origin).expect("a header"));
            }
            Login::Header(token) => {
                headers.insert(
                    "authorization",
                    HeaderValue::try_from(format!("Bearer {token}")).expect("a header"),
                );
            }
            Login::Subprotocol(token) => {
                let offered =
                    HeaderValue::try_from(format!("dbal.v1, dbal.bearer.{token}")).expect("a header");
                headers.insert("sec-websocket-protocol", offered);
            }
        }
        // Small buffers: a client of these tests talks little, and there may be ten thousand of them.
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self { socket, calls: 0 })
    }

    /// The two halves, to send without waiting for answers.
    pub fn split(self) -> (SplitSink<Socket, Message>, SplitStream<Socket>) {
        self.socket.split()
    }

    /// The stream below the WebSocket layer, for who makes frames of their own. Only before anything was asked: what the layer
    /// has read and not handed on is lost.
    pub fn into_stream(self) -> TlsStream<TcpStream> {
        self.socket.into_inner()
    }

    /// The connection below TLS, to look at.
    pub fn tcp(&self) -> &TcpStream {
        self.socket.get_ref().get_ref().0
    }

    /// A call in the native dialect.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, Refusal> {
        self.ask(method, params, None).await
    }

    /// A call in the native dialect; none if the connection ends before it is answered.
    pub async fn call_or_broken(&mut self, method: &str, params: Value) -> Option<Result<Value, Refusal>> {
        self.calls += 1;
        let id = format!("req_{}", self.calls);
        let request = json!({"id": id, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).await.ok()?;
        match self.message().await? {
            Message::Text(text) => {
                let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
                assert_eq!(answer["id"], json!(id), "{answer}");
                Some(native(&answer))
            }
            _ => None,
        }
    }

    /// A call in the native dialect with an `auth` member.
    pub async fn call_as(&mut self, auth: Value, method: &str, params: Value) -> Result<Value, Refusal> {
        self.ask(method, params, Some(auth)).await
    }

    async fn ask(&mut self, method: &str, params: Value, auth: Option<Value>) -> Result<Value, Refusal> {
        self.calls += 1;
        let id = format!("req_{}", self.calls);
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(auth) = auth {
            request["auth"] = auth;
        }
        self.send(&request.to_string()).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], json!(id), "{answer}");
        native(&answer)
    }

    /// A call in JSON-RPC 2.0.
    pub async fn call_v2(&mut self, method: &str, params: Value) -> Result<Value, Refusal> {
        self.calls += 1;
        let id = self.calls;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())
            .await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], json!(id), "{answer}");
        specified(&answer)
    }

    /// Sends a text and gives the next one back, unread.
    pub async fn round_trip(&mut self, text: &str) -> String {
        self.send(text).await;
        match self.message().await {
            Some(Message::Text(answer)) => answer.as_str().to_owned(),
            other => panic!("an answer, not {other:?}"),
        }
    }

    /// The same where the connection may end; none if it does.
    pub async fn try_round_trip(&mut self, text: &str) -> Option<String> {
        self.socket.send(Message::text(text)).await.ok()?;
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(answer) => return Some(answer.as_str().to_owned()),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return None,
            }
        }
    }

    /// Sends a text message as it is.
    pub async fn send(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends a text message, if the connection takes one.
    pub async fn try_send(&mut self, text: &str) -> Result<(), SocketError> {
        self.socket.send(Message::text(text)).await
    }

    /// Sends any message.
    pub async fn send_message(&mut self, message: Message) {
        self.socket
            .send(message)
            .await
            .expect("the connection takes a message");
    }

    /// Puts a message into the buffer; the next `send` takes it along.
    pub async fn feed(&mut self, message: Message) {
        self.socket
            .feed(message)
            .await
            .expect("the connection takes a message");
    }

    /// Sends bytes past the WebSocket layer.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_mut().write_all(bytes).await?;
        self.socket.get_mut().flush().await
    }

    /// The next answer, parsed. Pings are answered by the library.
    pub async fn answer(&mut self) -> Value {
        match self.message().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("an answer is JSON"),
            other => panic!("an answer, not {other:?}"),
        }
    }

    /// The next message that is not a ping or pong; none when the connection has ended.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("an answer in time")?
            {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return Some(message),
                Err(_) => return None,
            }
        }
    }

    /// The code of the close frame that must come next.
    pub async fn closed_with(&mut self) -> Option<u16> {
        loop {
            match self.message().await? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                Message::Text(_) => {}
                other => panic!("a close, not {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes, if one does; what comes before is left out.
    pub async fn try_closed_with(&mut self) -> Option<u16> {
        loop {
            if let Message::Close(frame) = self.socket.next().await?.ok()? {
                return frame.map(|frame| frame.code.into());
            }
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}

/// Reads an answer of the native dialect by the rules under which deployed clients accept one.
pub fn native(answer: &Value) -> Result<Value, Refusal> {
    let members = answer
        .as_object()
        .unwrap_or_else(|| panic!("an object: {answer}"));
    let names: Vec<&str> = members
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "id")
        .collect();
    match names.as_slice() {
        ["result"] => Ok(answer["result"].clone()),
        ["error"] => Err(refusal(&answer["error"], "details")),
        _ => panic!("exactly one of result and error, and nothing else: {answer}"),
    }
}

/// Reads an answer of JSON-RPC 2.0 by its specification §5.
pub fn specified(answer: &Value) -> Result<Value, Refusal> {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    let members = answer
        .as_object()
        .unwrap_or_else(|| panic!("an object: {answer}"));
    match (members.len(), members.get("result"), members.get("error")) {
        (3, Some(result), None) => Ok(result.clone()),
        (3, None, Some(error)) => Err(refusal(error, "data")),
        _ => panic!("exactly one of result and error, and nothing else: {answer}"),
    }
}

fn refusal(error: &Value, details: &str) -> Refusal {
    let members = error
        .as_object()
        .unwrap_or_else(|| panic!("an error object: {error}"));
    assert!(
        members
            .keys()
            .all(|name| ["code", "message", details].contains(&name.as_str())),
        "{error}"
    );
    let found = members.get(details);
    assert!(
        found.is_none_or(Value::is_object),
        "{details} is an object or absent: {error}"
    );
    let mut details = found.cloned().unwrap_or(Value::Null);
    let decision = details
        .as_object_mut()
        .and_then(|details| details.remove("decision"));
    if decision.is_some() && details.as_object().is_some_and(serde_json::Map::is_empty) {
        details = Value::Null;
    }
    let code = error["code"].as_i64();
    assert_eq!(
        decision.is_some(),
        code.is_some_and(|code| [403, 404, 413, 422, -32_602].contains(&code)),
        "whoever may ask why gets a name to ask by: {error}"
    );
    Refusal {
        code: error["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("a code: {error}")),
        message: error["message"]
            .as_str()
            .unwrap_or_else(|| panic!("a message: {error}"))
            .to_owned(),
        details,
        decision: decision.map(|name| name.as_str().expect("a decision is a text").to_owned()),
    }
}

/// TLS to the daemon, its certificate checked against `ca` alone.
pub async fn secure(address: &str, ca: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    secure_with(address, ca, None).await
}

/// The same with a client certificate.
async fn secure_with(
    address: &str,
    ca: &Path,
    identity: Option<&Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let host = address.split(':').next().expect("a host").to_owned();
    let name = ServerName::try_from(host).expect("a name");
    connector(ca, identity).connect(name, stream).await
}

/// TLS that trusts one authority alone.
pub(crate) fn connector(ca: &Path, identity: Option<&Identity>) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a CA file") {
        roots.add(certificate.expect("PEM")).expect("a CA certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = CertificateDer::pem_file_iter(certificate).expect("a certificate");
            let chain = chain.map(|one| one.expect("PEM")).collect();
            let key = PrivateKeyDer::from_pem_file(key).expect("a key");
            config.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// `GET path` over TLS: the status and the body.
pub async fn https_get(daemon: &Daemon, path: &str) -> (u16, String) {
    let got = https_get_at(&daemon.address(), &daemon.ready.ca, path).await;
    got.expect("TLS")
}

/// The same at an address whose certificate is checked against `ca` alone. An error: no connection.
pub async fn https_get_at(address: &str, ca: &Path, path: &str) -> std::io::Result<(u16, String)> {
    Ok(get(secure(address, ca).await?, address, path).await)
}

/// `GET` of an `http://` URL: the status and the body.
pub async fn http_get(url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    get(
        TcpStream::connect(address).await.expect("a listener"),
        address,
        &format!("/{path}"),
    )
    .await
}

/// Plain HTTP by a name, whatever leads it here: status and body.
pub async fn http_get_as(url: &str, host: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let stream = TcpStream::connect(address).await.expect("a listener");
    get(stream, host, &format!("/{path}")).await
}

async fn get(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, host: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request goes out");
    let mut answer = Vec::new();
    // A peer that ends without TLS's own goodbye is no matter here.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer in time");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("an HTTP answer: {answer}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("a status: {head}"));
    (status, body.to_owned())
}
