//! The HTTP head of a connection: which requests exist on the main port, and what a WebSocket upgrade must look like.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use secrecy::SecretString;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use dbal_shared::limits::TOKEN_BYTES;

use crate::health::{Health, Page};
use crate::rpc::Dialect;

/// Prefix of the subprotocol that carries a browser's token. It is never echoed.
const BEARER: &str = "dbal.bearer.";
/// RFC 6455 §4.2.1: the key is 16 bytes in base64.
const KEY_CHARACTERS: usize = 24;

/// What a client asked for with its upgrade.
#[derive(Debug, Default)]
pub struct Upgrade {
    /// Its proof, if it showed one.
    pub token: Option<SecretString>,
    /// The dialect that it asked for, if it did.
    pub dialect: Option<Dialect>,
    /// Origins of the page whose script asks (RFC 6455 §4.1, 8): one where a browser does, none where another program does. One
    /// that can't be read is empty, and no page's.
    pub origins: Vec<String>,
}

/// What the main port answers to a request's head.
pub struct Reply {
    /// To send.
    pub response: Response<Full<Bytes>>,
    /// Set when the response switches protocols.
    pub upgrade: Option<Upgrade>,
}

/// Answers one request on the main port.
pub fn answer<B>(request: &Request<B>, health: &Health, token_in_query: bool) -> Reply {
    let is_get = request.method() == Method::GET;
    let is_probe = is_get || request.method() == Method::HEAD;
    match request.uri().path() {
        "/health" if is_probe => page(&health.brief()).into(),
        "/livez" if is_probe => text(StatusCode::OK, "alive").into(),
        "/readyz" if is_probe && health.is_ready() => text(StatusCode::OK, "ready").into(),
        "/readyz" if is_probe => text(StatusCode::SERVICE_UNAVAILABLE, "not ready").into(),
        "/" | "/rpc" if is_get => match upgrade(request, token_in_query) {
            Ok(reply) => reply,
            Err(refused) => refused.response().into(),
        },
        "/health" | "/livez" | "/readyz" => not_allowed("GET, HEAD").into(),
        "/" | "/rpc" => not_allowed("GET").into(),
        _ => text(StatusCode::NOT_FOUND, "not found").into(),
    }
}

/// JSON, 200 or 503.
pub fn page(page: &Page) -> Response<Full<Bytes>> {
    let status = if page.is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_line(status, &page.json)
}

/// Something for programs.
pub fn json(json: &str) -> Response<Full<Bytes>> {
    json_line(StatusCode::OK, json)
}

/// A whole line, so that answers that somebody collects in a file are JSON Lines.
fn json_line(status: StatusCode, json: &str) -> Response<Full<Bytes>> {
    with_header(
        body(status, format!("{json}\n")),
        CONTENT_TYPE,
        "application/json",
    )
}

/// A line of text.
pub fn text(status: StatusCode, line: &'static str) -> Response<Full<Bytes>> {
    with_header(
        body(status, format!("{line}\n")),
        CONTENT_TYPE,
        "text/plain; charset=utf-8",
    )
}

impl From<Response<Full<Bytes>>> for Reply {
    fn from(response: Response<Full<Bytes>>) -> Self {
        Self {
            response,
            upgrade: None,
        }
    }
}

/// Why a request on the WebSocket's path is not upgraded.
enum NotUpgraded {
    /// It isn't meant as a WebSocket, or as one of another version.
    Otherwise,
    /// It is wrong.
    Malformed(&'static str),
}

impl NotUpgraded {
    fn response(&self) -> Response<Full<Bytes>> {
        match self {
            NotUpgraded::Otherwise => {
                let refused = text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket endpoint");
                let refused = with_header(refused, UPGRADE, "websocket");
                let refused = with_header(refused, CONNECTION, "upgrade");
                with_header(refused, SEC_WEBSOCKET_VERSION, "13")
            }
            NotUpgraded::Malformed(why) => text(StatusCode::BAD_REQUEST, why),
        }
    }
}

/// RFC 6455 §4.2.1, point by point.
fn upgrade<B>(request: &Request<B>, token_in_query: bool) -> Result<Reply, NotUpgraded> {
    let headers = request.headers();
    let wants_websocket = request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    if !wants_websocket
        || headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version != "13")
    {
        return Err(NotUpgraded::Otherwise);
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_CHARACTERS && headers.get_all(SEC_WEBSOCKET_KEY).iter().count() == 1)
        .ok_or(NotUpgraded::Malformed(
            "Sec-WebSocket-Key is missing or malformed",
        ))?;
    let offered = Offered::read(headers);
    let token = token(request, &offered, token_in_query).map_err(NotUpgraded::Malformed)?;
    let mut response = body(StatusCode::SWITCHING_PROTOCOLS, String::new());
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = offered.protocol {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    // No Sec-WebSocket-Extensions: permessage-deflate is declined. Compressing secrets beside chosen text leaks them.
    Ok(Reply {
        response,
        upgrade: Some(Upgrade {
            token,
            dialect: offered.dialect,
            origins: origins(headers),
        }),
    })
}

/// Subprotocols that the client offered.
#[derive(Default)]
struct Offered {
    protocol: Option<&'static str>,
    dialect: Option<Dialect>,
    tokens: Vec<String>,
}

impl Offered {
    fn read(headers: &HeaderMap) -> Self {
        let mut offered = Self::default();
        for name in values(headers, &SEC_WEBSOCKET_PROTOCOL) {
            let (protocol, dialect) = match name {
                "dbal.v1" => ("dbal.v1", None),
                "dbal.v1.jsonrpc2" => ("dbal.v1.jsonrpc2", Some(Dialect::JsonRpc)),
                "dbal.v1.native" => ("dbal.v1.native", Some(Dialect::Native)),
                other => {
                    if let Some(token) = other.strip_prefix(BEARER) {
                        offered.tokens.push(token.to_owned());
                    }
                    continue;
                }
            };
            // The client's first choice counts (RFC 6455 §4.1, 10).
            if offered.protocol.is_none() {
                offered.protocol = Some(protocol);
                offered.dialect = dialect;
            }
        }
        offered
    }
}

/// The one proof that came with the upgrade. Two would leave open which of them counts.
fn token<B>(
    request: &Request<B>,
    offered: &Offered,
    token_in_query: bool,
) -> Result<Option<SecretString>, &'static str> {
    let mut tokens = offered.tokens.clone();
    for header in request.headers().get_all(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(bearer);
        tokens.push(
            token
                .ok_or("Authorization must be `Bearer` and a token")?
                .to_owned(),
        );
    }
    for token in tokens_of_query(request.uri().query().unwrap_or_default()) {
        if !token_in_query {
            return Err("tokens in the URL are not accepted here (auth.token_in_query)");
        }
        tokens.push(percent_decoded(token).ok_or("access_token is not percent-encoded UTF-8")?);
    }
    match tokens.as_slice() {
        [] => Ok(None),
        [token] if token.len() <= TOKEN_BYTES => Ok(Some(SecretString::from(token.as_str()))),
        [_] => Err("the token is too long"),
        _ => Err("more than one token"),
    }
}

/// RFC 6750 §2.1; the scheme's name ignores case (RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

fn tokens_of_query(query: &str) -> impl Iterator<Item = &str> {
    query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("access_token="))
}

fn origins(headers: &HeaderMap) -> Vec<String> {
    let origins = headers.get_all(ORIGIN).iter();
    origins
        .map(|origin| origin.to_str().unwrap_or_default().to_owned())
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                // `from_str_radix` takes a sign.
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Members of a comma-separated header, over all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    values(headers, name).any(|value| value.eq_ignore_ascii_case(token))
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    with_header(
        text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        ALLOW,
        methods,
    )
}

fn body(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn with_header(
    mut response: Response<Full<Bytes>>,
    name: HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::World;
    use crate::metrics::Metrics;
    use secrecy::ExposeSecret;
    use std::sync::Arc;

    const GOOD: &[(&str, &str)] = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn health() -> Health {
        let world = World::new();
        Health::new(
            Arc::clone(&world.broker.channel),
            Arc::new(Metrics::new(&[])),
            Arc::clone(&world.broker.traces),
            Vec::new(),
            String::new(),
            Arc::clone(&world.broker.reloads),
        )
    }

    fn ask(health: &Health, target: &str, headers: &[(&str, &str)], token_in_query: bool) -> Reply {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).unwrap(), health, token_in_query)
    }

    fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        [GOOD, more].concat()
    }

    #[tokio::test]
    async fn an_upgrade_is_answered_as_rfc_6455_says() {
        let reply = ask(&health(), "/", GOOD, false);
        assert_eq!(reply.response.status(), StatusCode::SWITCHING_PROTOCOLS);
        // RFC 6455 §1.3
        assert_eq!(
            reply.response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!reply.response.headers().contains_key("sec-websocket-protocol"));
        let upgrade = reply.upgrade.unwrap();
        assert!(upgrade.token.is_none() && upgrade.dialect.is_none());
    }

    #[tokio::test]
    async fn compression_is_declined_and_the_clients_first_protocol_taken() {
        let health = health();
        let headers = with(&[
            (
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits",
            ),
            ("sec-websocket-protocol", "graphql, dbal.v1.jsonrpc2, dbal.v1"),
            ("sec-websocket-protocol", "dbal.bearer.a.b-c_d"),
        ]);
        let reply = ask(&health, "/rpc", &headers, false);
        assert!(!reply.response.headers().contains_key("sec-websocket-extensions"));
        assert_eq!(
            reply.response.headers()["sec-websocket-protocol"],
            "dbal.v1.jsonrpc2"
        );
        let upgrade = reply.upgrade.unwrap();
        assert_eq!(upgrade.dialect, Some(Dialect::JsonRpc));
        assert_eq!(upgrade.token.unwrap().expose_secret(), "a.b-c_d");
        // A token alone is never echoed.
        let reply = ask(
            &health,
            "/",
            &with(&[("sec-websocket-protocol", "dbal.bearer.x")]),
            false,
        );
        assert!(!reply.response.headers().contains_key("sec-websocket-protocol"));
    }

    #[tokio::test]
    async fn one_token_is_taken_from_where_it_may_stand_and_two_are_too_many() {
        let health = health();
        let token = |target: &str, headers: &[(&str, &str)], in_query| {
            let reply = ask(&health, target, headers, in_query);
            match reply.upgrade {
                Some(upgrade) => Ok(upgrade.token.map(|token| token.expose_secret().to_owned())),
                None => Err(reply.response.status().as_u16()),
            }
        };
        let bearer = with(&[("authorization", "bearer  t1")]);
        assert_eq!(token("/", &bearer, false), Ok(Some("t1".to_owned())));
        assert_eq!(
            token("/?x=1&access_token=a%2Eb", GOOD, true),
            Ok(Some("a.b".to_owned()))
        );
        assert_eq!(token("/?access_token=x", GOOD, false), Err(400));
        for malformed in ["%zz", "%+f", "%-0", "%4", "a%"] {
            let target = format!("/?access_token={malformed}");
            assert_eq!(token(&target, GOOD, true), Err(400), "{malformed}");
        }
        assert_eq!(token("/?access_token=x", &bearer, true), Err(400));
        assert_eq!(token("/?access_token=x&access_token=y", GOOD, true), Err(400));
        let offered = with(&[("sec-websocket-protocol", "dbal.bearer.a, dbal.v1, dbal.bearer.b")]);
        assert_eq!(token("/", &offered, false), Err(400));
        assert_eq!(
            token("/", &with(&[("authorization", "Basic eDp5")]), false),
            Err(400)
        );
        let long = "x".repeat(TOKEN_BYTES + 1);
        assert_eq!(token(&format!("/?access_token={long}"), GOOD, true), Err(400));
    }

    #[tokio::test]
    async fn whose_page_asks_is_told_apart_from_a_program() {
        let health = health();
        let origins = |headers: &[(&str, &str)]| ask(&health, "/", headers, false).upgrade.unwrap().origins;
        assert_eq!(origins(GOOD), [""; 0]);
        let page = ("origin", "https://app.example");
        assert_eq!(origins(&with(&[page])), ["https://app.example"]);
        assert_eq!(
            origins(&with(&[page, ("origin", "null")])),
            ["https://app.example", "null"]
        );
        assert_eq!(origins(&with(&[("origin", "https://\u{e9}.example")])), [""]);
    }

    #[tokio::test]
    async fn everything_else_on_the_port_has_its_status() {
        let health = health();
        for (target, headers, status) in [
            ("/", &[][..], 426),
            ("/", &GOOD[..3], 400),
            ("/nosuch", GOOD, 404),
            ("/metrics", &[], 404),
            ("/livez", &[], 200),
        ] {
            let reply = ask(&health, target, headers, false);
            assert_eq!(reply.response.status().as_u16(), status, "{target}");
            assert!(reply.upgrade.is_none());
        }
        let old = with(&[])
            .into_iter()
            .map(|(name, value)| (name, if value == "13" { "8" } else { value }));
        let reply = ask(&health, "/", &old.collect::<Vec<_>>(), false);
        assert_eq!(reply.response.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(reply.response.headers()["sec-websocket-version"], "13");
        let post = Request::builder().method("POST").uri("/").body(()).unwrap();
        assert_eq!(
            answer(&post, &health, false).response.status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
}
