//! The upgrade as deployed clients and attackers make it: paths, extensions, subprotocols, and what is no upgrade at all.

use dbal_tests::client::secure;
use dbal_tests::daemon::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends a request head and reads the answer's.
async fn head(daemon: &Daemon, path: &str, headers: &[&str]) -> String {
    let mut stream = secure(&daemon.address(), &daemon.ready.ca).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n",
        daemon.address(),
        headers.join("\r\n")
    );
    // Who sends too much may be cut off before they have finished.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        match tokio::time::timeout(std::time::Duration::from_secs(5), stream.read(&mut piece)).await {
            Ok(Ok(length)) if length > 0 => answer.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).to_lowercase()
}

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn upgrade_with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    UPGRADE.into_iter().chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn the_upgrade_is_answered_by_the_letter_of_rfc_6455() {
    let daemon = Daemon::start();
    for path in ["/", "/rpc"] {
        let answer = head(&daemon, path, &UPGRADE).await;
        assert!(answer.starts_with("http/1.1 101"), "{path}: {answer}");
        // RFC 6455 §1.3's own example.
        assert!(
            answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{answer}"
        );
    }
    assert!(
        head(&daemon, "/elsewhere", &UPGRADE)
            .await
            .starts_with("http/1.1 404")
    );
    let old = head(
        &daemon,
        "/",
        &[
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 8",
            UPGRADE[3],
        ],
    )
    .await;
    assert!(
        old.starts_with("http/1.1 426") || old.starts_with("http/1.1 400"),
        "{old}"
    );
    let keyless = head(&daemon, "/", &UPGRADE[..3]).await;
    assert!(keyless.starts_with("http/1.1 400"), "{keyless}");
}

#[tokio::test]
async fn compression_is_declined_so_that_no_small_message_becomes_a_large_one() {
    let daemon = Daemon::start();
    let offered = upgrade_with(&["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]);
    let answer = head(&daemon, "/", &offered).await;
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(!answer.contains("sec-websocket-extensions"), "{answer}");
}

#[tokio::test]
async fn a_subprotocol_is_chosen_only_among_those_offered_and_never_repeats_a_token() {
    let daemon = Daemon::start();
    let token = &daemon.user("alice").token;
    let with_token = format!("Sec-WebSocket-Protocol: dbal.v1, dbal.bearer.{token}");
    for (offer, chosen) in [
        ("Sec-WebSocket-Protocol: dbal.v1.native", Some("dbal.v1.native")),
        (
            "Sec-WebSocket-Protocol: dbal.v1.jsonrpc2",
            Some("dbal.v1.jsonrpc2"),
        ),
        (with_token.as_str(), Some("dbal.v1")),
        ("Origin: https://evil.example", None),
    ] {
        let answer = head(&daemon, "/", &upgrade_with(&[offer])).await;
        assert!(answer.starts_with("http/1.1 101"), "{answer}");
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(line, chosen, "{answer}");
        assert!(!answer.contains(&token.to_lowercase()), "the token comes back");
    }
}

#[tokio::test]
async fn requests_that_smuggle_or_never_end_get_an_error_and_no_more() {
    let daemon = Daemon::start();
    let endless = format!("X-Long: {}", "a".repeat(1 << 20));
    let many: Vec<String> = (0..5_000).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (what, headers) in [
        ("two lengths", vec!["Content-Length: 5", "Content-Length: 6"]),
        (
            "a length and chunks",
            vec!["Content-Length: 5", "Transfer-Encoding: chunked"],
        ),
        ("an endless header", vec![endless.as_str()]),
        ("headers without end", many),
        (
            "a body where none belongs",
            upgrade_with(&["Content-Length: 1000000000"]),
        ),
    ] {
        let answer = head(&daemon, "/health", &headers).await;
        let is_refused = answer.is_empty() || answer.starts_with("http/1.1 4");
        assert!(
            is_refused || answer.starts_with("http/1.1 200"),
            "{what}: {answer}"
        );
        assert!(!answer.starts_with("http/1.1 101"), "{what}: {answer}");
    }
    assert!(daemon.broker().is_alive());
    assert_eq!(dbal_tests::client::https_get(&daemon, "/health").await.0, 200);
}
