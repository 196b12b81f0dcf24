//! Asks the broker's administrative port: plain HTTP on loopback, one short question. Whoever answers there is not believed to be
//! quick, short or honest.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::ToolError;
use crate::visible::one_line;

/// Where our socket unit opens the administrative port.
pub(crate) const BY_SOCKET_UNIT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

/// For one question, from connecting to the last byte of the answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes. Health stays below 10 KiB, the metrics of all methods below 100 KiB.
const ANSWER: usize = 4 * 1_024 * 1_024;
const PIECE: usize = 16 * 1_024;

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What the broker tells operators of itself. That it does not feel well (503) is an answer, too.
pub(crate) fn health(admin: SocketAddr) -> Result<Value, ToolError> {
    let body = get(admin, "/health")?.body;
    serde_json::from_str(&body).map_err(|error| unreachable(admin, "/health", &format!("no JSON: {error}")))
}

/// Asks for one page.
pub(crate) fn get(admin: SocketAddr, path: &str) -> Result<Answer, ToolError> {
    let text = exchange(admin, path).map_err(|error| unreachable(admin, path, &error.to_string()))?;
    answer(&text).ok_or_else(|| unreachable(admin, path, "no HTTP answer"))
}

pub(crate) fn unreachable(admin: SocketAddr, path: &str, why: &str) -> ToolError {
    ToolError::Unreachable {
        at: format!("http://{admin}{path}"),
        why: one_line(why),
    }
}

fn exchange(admin: SocketAddr, path: &str) -> io::Result<String> {
    let since = Instant::now();
    let left = || match ANSWERS_WITHIN.checked_sub(since.elapsed()) {
        Some(left) if !left.is_zero() => Ok(Some(left)),
        Some(_) | None => Err(io::Error::from(io::ErrorKind::TimedOut)),
    };
    let mut stream = TcpStream::connect_timeout(&admin, ANSWERS_WITHIN)?;
    stream.set_write_timeout(left()?)?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        stream.set_read_timeout(left()?)?;
        let read = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => piece.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // What a read says when its time is over (socket(7), SO_RCVTIMEO).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        if bytes.len().saturating_add(read.len()) > ANSWER {
            return Err(io::Error::other(format!("longer than {ANSWER} bytes")));
        }
        bytes.extend_from_slice(read);
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

pub(crate) fn answer(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

/// Whether it says `true` there.
pub(crate) fn is(health: &Value, path: &str) -> bool {
    health.pointer(path).and_then(Value::as_bool) == Some(true)
}

/// What it says there.
pub(crate) fn text<'a>(health: &'a Value, path: &str) -> &'a str {
    health.pointer(path).and_then(Value::as_str).unwrap_or("unknown")
}

/// What it counts there.
pub(crate) fn number(health: &Value, path: &str) -> u64 {
    health.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The layers of a daemon's sandbox with their states.
pub(crate) fn layers<'a>(health: &'a Value, daemon: &str) -> Vec<(&'a str, &'a str)> {
    let layers = health
        .pointer(&format!("/sandbox/{daemon}"))
        .and_then(Value::as_array);
    let layer = |told: &'a Value| (text(told, "/layer"), text(told, "/state"));
    layers.into_iter().flatten().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::spawn;

    use super::*;

    /// Answers one connection.
    #[expect(clippy::disallowed_methods, reason = "the test listens in a broker's place")]
    fn server(answer: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(move || answer(listener.accept().unwrap().0));
        address
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let admin = server(|mut stream| {
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{\"status\":\"degraded\"}");
        });
        assert_eq!(text(&health(admin).unwrap(), "/status"), "degraded");
        let admin = server(|mut stream| {
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n");
        });
        assert!(matches!(get(admin, "/x"), Err(ToolError::Unreachable { .. })));
    }

    #[test]
    fn an_answer_without_end_is_not_read_to_its_end() {
        let admin = server(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'a'; 8_192]).is_ok() {}
        });
        let Err(ToolError::Unreachable { why, .. }) = get(admin, "/metrics") else {
            panic!("it was taken for an answer");
        };
        assert!(why.contains("longer than"), "{why}");
    }
}
