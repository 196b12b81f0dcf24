//! The administrative listener: metrics and detailed health by plain HTTP, on loopback, for the operator.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::health::Health;
use crate::net::upgrade::{json, page, text};

/// Scrapers and probes are few.
const CONNECTIONS: usize = 32;
/// For one head, and for a whole connection.
const HEAD: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_mins(2);
/// See `net::listen`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the task is aborted.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let _place = place;
            let _ = timeout(WHOLE, speak(stream, &health)).await;
        });
    }
}

async fn speak(stream: TcpStream, health: &Health) -> hyper::Result<()> {
    let service =
        service_fn(|request: Request<Incoming>| ready(Ok::<_, Infallible>(answer(&request, health))));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    if !names_this_machine(request.headers()) {
        return text(StatusCode::FORBIDDEN, "ask by an address, or by localhost");
    }
    match request.uri().path() {
        "/metrics" => metrics(health),
        "/health" => page(&health.detailed()),
        "/calls" => json(&health.entity_calls()),
        "/audit/head" => json(&health.head()),
        "/livez" => text(StatusCode::OK, "alive"),
        "/readyz" if health.is_ready() => text(StatusCode::OK, "ready"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        _ => text(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Whether it is asked by an address or as `localhost`. A page in a browser of this machine asks by a name of its own, which it had
/// lead here, and could read what it gets.
fn names_this_machine(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|host| {
        let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
            return false;
        };
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        bare.unwrap_or(name).parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    })
}

fn metrics(health: &Health) -> Response<Full<Bytes>> {
    let Some(page) = health.metrics() else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        );
    };
    let mut response = Response::new(Full::new(Bytes::from(page)));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrative_listener_is_asked_by_an_address_or_as_localhost_and_by_no_name_that_leads_to_it() {
        let asked = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            names_this_machine(&headers)
        };
        for host in [
            "127.0.0.1:9464",
            "127.0.0.1",
            "[::1]:9464",
            "localhost:9464",
            "LOCALHOST",
            "10.0.0.1:1",
        ] {
            assert!(asked(&[host]), "{host}");
        }
        // By HTTP/1.0 nothing is named; browsers always do.
        assert!(asked(&[]));
        for host in [
            "rebound.example:9464",
            "localhost.example",
            "127.0.0.1.example:9464",
            "x@rebound.example",
            "127.0.0.1 rebound.example",
            "",
        ] {
            assert!(!asked(&[host]), "{host}");
        }
        assert!(!asked(&["127.0.0.1", "rebound.example"]));
    }
}
