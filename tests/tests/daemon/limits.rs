//! What one client may take: calls, connections, time. The rest of the world notices nothing of it.

use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login, Message};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_principal_above_its_rate_is_told_when_to_come_back_and_others_are_served() {
    let daemon = Daemon::start_as_shipped();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let began = Instant::now();
    let refused = loop {
        assert!(began.elapsed() < Duration::from_secs(30), "no limit was reached");
        // The shipped policy: 6,000 a minute, 1,000 at once.
        for _ in 0..50 {
            alice
                .feed(Message::text(r#"{"id":"r","method":"count","params":["Note"]}"#))
                .await;
        }
        alice
            .send(r#"{"id":"r","method":"count","params":["Note"]}"#)
            .await;
        let mut refused = None;
        for _ in 0..51 {
            let answer = alice.answer().await;
            if answer.get("error").is_some() {
                refused = Some(answer);
            }
        }
        if let Some(refused) = refused {
            break refused;
        }
    };
    assert_eq!(refused["error"]["code"], 429, "{refused}");
    assert!(
        refused["error"]["details"]["retryAfter"]
            .as_u64()
            .is_some_and(|seconds| seconds >= 1),
        "{refused}"
    );
    // Another connection of the same principal is the same bucket; another principal has its own.
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    assert!(bob.call("count", json!(["Note"])).await.is_ok());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(
        alice.call("count", json!(["Note"])).await.is_ok(),
        "and after the wait alice is, too"
    );
}

#[tokio::test]
async fn an_address_that_shows_bad_token_after_bad_token_is_slowed_down() {
    let daemon = Daemon::start_with_limits("{unauthenticated_per_minute: 20}");
    let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let mut codes = Vec::new();
    for number in 0..40 {
        let call = json!({"id": "x", "method": "count", "params": ["Note"], "auth": {"token": format!("a.b.{number}")}});
        client.send(&call.to_string()).await;
        match client.message().await {
            Some(Message::Text(text)) => {
                let answer: Value = serde_json::from_str(&text).unwrap();
                codes.push(answer["error"]["code"].as_i64().unwrap());
            }
            Some(Message::Close(frame)) => {
                codes.push(frame.map_or(0, |frame| i64::from(u16::from(frame.code))));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(codes.starts_with(&[401; 15]), "{codes:?}");
    assert!(codes.iter().any(|code| [429, 4429].contains(code)), "{codes:?}");
}

#[tokio::test]
async fn a_connection_on_which_nothing_happens_is_closed_as_idle() {
    let daemon = Daemon::start_with_limits("{idle_s: 1}");
    let mut stream = dbal_tests::client::secure(&daemon.address(), &daemon.ready.ca)
        .await
        .unwrap();
    // A client that does not even answer pings: our library would.
    use tokio::io::AsyncWriteExt;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        daemon.address(),
        daemon.user("alice").token
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "still open");
    // RFC 6455 §5.5.1: a close frame, 0x88, with the code 4408 in it.
    let close = [0x11, 0x38];
    assert!(
        heard.windows(2).any(|pair| pair == close),
        "no 4408 in {:?}",
        String::from_utf8_lossy(&heard)
    );
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_is_dropped() {
    let daemon = Daemon::start_with_limits("{handshake_ms: 500}");
    let mut silent = tokio::net::TcpStream::connect(daemon.address()).await.unwrap();
    let mut within_tls = dbal_tests::client::secure(&daemon.address(), &daemon.ready.ca)
        .await
        .unwrap();
    let mut heard = Vec::new();
    for ended in [
        tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut heard))
            .await
            .is_ok(),
        tokio::time::timeout(Duration::from_secs(5), within_tls.read_to_end(&mut heard))
            .await
            .is_ok(),
    ] {
        assert!(ended, "still open after 5 s");
    }
}

#[tokio::test]
async fn one_address_gets_so_many_connections_and_no_more() {
    let daemon = Daemon::start_with_limits("{connections_per_address: 5}");
    let token = &daemon.user("alice").token;
    let mut kept = Vec::new();
    let mut refused = 0;
    for _ in 0..8 {
        match tokio::time::timeout(Duration::from_secs(3), connect(&daemon, token)).await {
            Ok(Some(client)) => kept.push(client),
            _ => refused += 1,
        }
    }
    assert_eq!((kept.len(), refused), (5, 3));
    for client in kept.drain(..2) {
        client.close().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(connect(&daemon, token).await.is_some(), "who goes makes room");
}

async fn connect(daemon: &Daemon, token: &str) -> Option<Client> {
    // A refused connection may end before, within or after TLS.
    let stream = dbal_tests::client::secure(&daemon.address(), &daemon.ready.ca).await;
    drop(stream.ok()?);
    tokio::time::sleep(Duration::from_millis(50)).await;
    Client::try_connect(daemon, Login::Header(token)).await.ok()
}

#[tokio::test]
async fn a_flood_of_calls_on_one_connection_is_answered_in_full_and_others_go_on() {
    let daemon = Daemon::start();
    let mut flood = Client::connect(&daemon, daemon.user("alice")).await;
    let mut other = Client::connect(&daemon, daemon.user("bob")).await;
    for number in 0..2_000 {
        flood
            .feed(Message::text(format!(
                r#"{{"id":"f{number}","method":"list","params":["Note"]}}"#
            )))
            .await;
    }
    flood
        .send(r#"{"id":"last","method":"count","params":["Note"]}"#)
        .await;
    let began = Instant::now();
    other.call("count", json!(["Note"])).await.unwrap();
    let waited = began.elapsed();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..2_001 {
        let answer = flood.answer().await;
        assert!(answer.get("result").is_some(), "{answer}");
        ids.insert(answer["id"].to_string());
    }
    assert_eq!(ids.len(), 2_001, "each exactly once");
    assert!(
        waited < Duration::from_secs(1),
        "another client waited {waited:?}"
    );
}

#[tokio::test]
async fn an_answer_is_bounded_in_rows_whatever_is_asked() {
    let daemon = Daemon::start_as_shipped();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let rows: Vec<Value> = (0..600).map(|n| json!({"title": format!("n{n}")})).collect();
    assert_eq!(
        alice.call("createMany", json!(["Note", rows])).await.unwrap(),
        600
    );
    let list = alice
        .call("list", json!(["Note", {"limit": 1_000_000}]))
        .await
        .unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 500, "the policy's bound");
    assert_eq!(
        (&list["limit"], &list["total"], &list["hasMore"]),
        (&json!(500), &json!(600), &json!(true))
    );
    let rows: Vec<Value> = (0..1_001).map(|n| json!({"title": format!("n{n}")})).collect();
    let refused = alice.call("createMany", json!(["Note", rows])).await.unwrap_err();
    assert_eq!(refused.code, 413, "{refused:?}");
}

/// Some 10 MB of rows: 500 of 20,000 characters each.
async fn much(daemon: &Daemon) {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
    let body = "x".repeat(20_000);
    for _ in 0..10 {
        let rows: Vec<Value> = (0..50)
            .map(|n| json!({"title": format!("n{n}"), "body": body}))
            .collect();
        assert_eq!(
            client.call("createMany", json!(["Note", rows])).await.unwrap(),
            50
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_413_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    much(&daemon).await;
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let refused = alice
        .call("list", json!(["Note", {"limit": 500}]))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 413, "{refused:?}");
    let page = alice.call("list", json!(["Note", {"limit": 300}])).await.unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 300);
}

#[tokio::test]
async fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let call = r#"{"id":"x","method":"count","params":["Note"]}"#;
    let longest = format!("{call}{}", " ".repeat((1 << 20) - call.len()));
    alice.send(&longest).await;
    assert_eq!(alice.answer().await["result"], 0);
    alice.send(&format!("{longest} ")).await;
    assert_eq!(alice.closed_with().await, Some(1009));
}

#[tokio::test]
async fn clients_that_ask_for_much_and_read_nothing_do_not_fill_the_memory() {
    let daemon = Daemon::start();
    much(&daemon).await;
    let (broker, worker) = (daemon.broker(), daemon.worker());
    let before = (broker.resident_kib(), worker.resident_kib());
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(&daemon, daemon.user("alice")).await;
        for _ in 0..64 {
            // Some 6 MB each, 3 GB in all.
            client
                .feed(Message::text(
                    r#"{"id":"x","method":"list","params":["Note",{"limit":300,"total":false}]}"#,
                ))
                .await;
        }
        client
            .send(r#"{"id":"x","method":"count","params":["Note"]}"#)
            .await;
        deaf.push(client);
    }
    let mut most = (0, 0);
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        most = (
            most.0.max(broker.resident_kib()),
            most.1.max(worker.resident_kib()),
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let grown = ((most.0 - before.0) / 1024, (most.1 - before.1) / 1024);
    assert!(
        grown.0 < 512 && grown.1 < 512,
        "broker and worker grew by {grown:?} MiB"
    );
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    // Not behind what alice still has waiting at the worker, for which ten seconds would not do: callers take turns.
    let began = Instant::now();
    bob.call("count", json!(["Note"])).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "another client waited {:?}",
        began.elapsed()
    );
}
