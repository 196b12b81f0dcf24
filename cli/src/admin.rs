//! Asks the broker's administrative port: plain HTTP on loopback, one short question.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::error::ToolError;

/// For one question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes. Real ones stay below 10 KiB.
const ANSWER: u64 = 256 * 1_024;

/// What the broker tells operators of itself.
pub(crate) fn health(admin: SocketAddr) -> Result<Value, ToolError> {
    let unreachable = |why: String| ToolError::Unreachable {
        at: format!("http://{admin}/health"),
        why,
    };
    let failed = |error: std::io::Error| unreachable(error.to_string());
    let mut stream = TcpStream::connect_timeout(&admin, ANSWERS_WITHIN).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN)).map_err(failed)?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN)).map_err(failed)?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer).map_err(failed)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| unreachable("no HTTP answer".to_owned()))?;
    serde_json::from_str(body).map_err(|error| unreachable(format!("no JSON: {error}")))
}
