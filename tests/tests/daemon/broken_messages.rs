//! Messages that are broken in every way we could think of: a precise error each, and the connection goes on.

use dbal_tests::client::{Client, Message};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

use crate::random::Random;

/// What it is, its text, the code, and the id under which the answer comes.
fn broken() -> Vec<(&'static str, String, i64, Value)> {
    let null = Value::Null;
    let deep =
        |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let native = |what, params: &str, code| {
        (
            what,
            format!(r#"{{"id":"x","method":"list","params":{params}}}"#),
            code,
            json!("x"),
        )
    };
    vec![
        ("nothing", String::new(), 400, null.clone()),
        ("white space", "  \n".to_owned(), 400, null.clone()),
        ("half an object", r#"{"id":"x""#.to_owned(), 400, null.clone()),
        ("two objects", "{}{}".to_owned(), 400, null.clone()),
        ("a comma too many", r#"{"id":"x",}"#.to_owned(), 400, null.clone()),
        ("single quotes", "{'id':'x'}".to_owned(), 400, null.clone()),
        (
            "not a number",
            r#"{"id":"x","method":"list","params":[NaN]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "a number beyond all",
            r#"{"id":"x","method":"list","params":[1e999]}"#.to_owned(),
            400,
            null.clone(),
        ),
        ("a thousand brackets", deep("[", "]", 1_000), 400, null.clone()),
        (
            "a hundred thousand brackets",
            deep("[", "]", 100_000),
            400,
            null.clone(),
        ),
        (
            "brackets that never close",
            "[".repeat(100_000),
            400,
            null.clone(),
        ),
        ("deep objects", deep(r#"{"a":"#, "}", 200), 400, null.clone()),
        (
            "a key twice",
            r#"{"id":"x","id":"y","method":"list"}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "a key twice, deeper",
            r#"{"id":"x","method":"list","params":["Note",{"page":1,"page":2}]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "NUL in a value",
            r#"{"id":"x","method":"list","params":["No\u0000te"]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "NUL in a key",
            r#"{"id":"x","method":"list","params":["Note",{"a\u0000":1}]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "half a surrogate pair",
            r#"{"id":"x","method":"list","params":["\ud800"]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "the other half",
            r#"{"id":"x","method":"list","params":["\udc00"]}"#.to_owned(),
            400,
            null.clone(),
        ),
        ("a byte-order mark", "\u{feff}{}".to_owned(), 400, null.clone()),
        (
            "a raw control character",
            "{\"id\":\"\u{1}\"}".to_owned(),
            400,
            null.clone(),
        ),
        ("no method", r#"{"id":"x"}"#.to_owned(), 400, json!("x")),
        (
            "a method that is a number",
            r#"{"id":"x","method":7}"#.to_owned(),
            400,
            json!("x"),
        ),
        (
            "no id",
            r#"{"method":"list","params":["Note"]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "an id that is an object",
            r#"{"id":{},"method":"list","params":["Note"]}"#.to_owned(),
            400,
            null.clone(),
        ),
        (
            "parameters that are text",
            r#"{"id":"x","method":"list","params":"Note"}"#.to_owned(),
            400,
            json!("x"),
        ),
        (
            "an unknown method",
            r#"{"id":"x","method":"drop","params":["Note"]}"#.to_owned(),
            400,
            json!("x"),
        ),
        (
            "a method in capitals",
            r#"{"id":"x","method":"LIST","params":["Note"]}"#.to_owned(),
            400,
            json!("x"),
        ),
        (
            "auth that is text",
            r#"{"id":"x","method":"list","params":["Note"],"auth":"me"}"#.to_owned(),
            400,
            json!("x"),
        ),
        native("too many parameters", r#"["Note",{},1,2,3,4,5,6,7,8]"#, 422),
        native("an unknown entity", r#"["Nothing",{}]"#, 404),
        native("an unknown field", r#"["Note",{"filter":{"nothing":1}}]"#, 422),
        native(
            "an unknown operator",
            r#"["Note",{"filter":{"title":{"like":"x"}}}]"#,
            422,
        ),
        native("a wrong type", r#"["Note",{"filter":{"rank":true}}]"#, 422),
        native(
            "a number beyond the column",
            r#"["Note",{"filter":{"rank":99999999999999999999}}]"#,
            422,
        ),
        (
            "JSON-RPC: parse error",
            r#"{"jsonrpc":"2.0","id":1"#.to_owned(),
            -32700,
            null.clone(),
        ),
        (
            "JSON-RPC: another version",
            r#"{"jsonrpc":"1.0","id":1,"method":"list"}"#.to_owned(),
            -32600,
            json!(1),
        ),
        (
            "JSON-RPC: no method",
            r#"{"jsonrpc":"2.0","id":1}"#.to_owned(),
            -32600,
            json!(1),
        ),
        (
            "JSON-RPC: unknown method",
            r#"{"jsonrpc":"2.0","id":1,"method":"drop"}"#.to_owned(),
            -32601,
            json!(1),
        ),
        (
            "JSON-RPC: wrong parameters",
            r#"{"jsonrpc":"2.0","id":1,"method":"list","params":{"entty":"Note"}}"#.to_owned(),
            -32602,
            json!(1),
        ),
        (
            "JSON-RPC: no parameters",
            r#"{"jsonrpc":"2.0","id":1,"method":"read"}"#.to_owned(),
            -32602,
            json!(1),
        ),
    ]
}

#[tokio::test]
async fn a_broken_message_gets_its_error_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    for (what, text, code, id) in broken() {
        client.send(&text).await;
        let answer = client.answer().await;
        assert_eq!(answer["error"]["code"], code, "{what}: {answer}");
        assert_eq!(answer.get("id"), Some(&id), "{what}: {answer}");
        assert!(answer.get("result").is_none(), "{what}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{what}: {answer}");
        assert_eq!(
            client.call("count", json!(["Note"])).await.unwrap(),
            0,
            "after {what}"
        );
    }
}

#[tokio::test]
async fn what_websocket_itself_forbids_closes_this_connection_with_its_code() {
    let daemon = Daemon::start();
    let alice = daemon.user("alice");
    let mut client = Client::connect(&daemon, alice).await;
    client.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(client.closed_with().await, Some(1003), "binary");

    let mut client = Client::connect(&daemon, alice).await;
    // A text frame of two bytes, masked with zeros, that is no UTF-8 (RFC 6455 §8.1).
    client
        .send_bytes(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff])
        .await
        .unwrap();
    assert_eq!(client.closed_with().await, Some(1007), "not UTF-8");

    let mut client = Client::connect(&daemon, alice).await;
    // A frame that announces 2^40 bytes: refused by its length alone.
    client
        .send_bytes(&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    assert_eq!(client.closed_with().await, Some(1009), "too big");

    let mut client = Client::connect(&daemon, alice).await;
    // An unmasked frame of a client (RFC 6455 §5.1), then a reserved opcode (§5.2).
    client.send_bytes(&[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(client.closed_with().await, Some(1002), "unmasked");
    let mut client = Client::connect(&daemon, alice).await;
    client.send_bytes(&[0x83, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(client.closed_with().await, Some(1002), "a reserved opcode");

    let mut other = Client::connect(&daemon, alice).await;
    assert_eq!(
        other.call("count", json!(["Note"])).await.unwrap(),
        0,
        "others notice nothing"
    );
}

#[tokio::test]
async fn fifty_thousand_malformed_messages_neither_end_nor_swell_the_broker() {
    let daemon =
        Daemon::start_with_limits("{unauthenticated_per_minute: 100000000, failed_proofs: 100000000}");
    let broker = daemon.broker();
    let alice = daemon.user("alice");
    let mut client = Client::connect(&daemon, alice).await;
    client.call("count", json!(["Note"])).await.unwrap();
    let before = broker.resident_kib();
    let mut random = Random::seeded(0xb0b);
    let samples = [
        json!({"id": "r", "method": "list", "params": ["Note", {"filter": {"AND": [{"title": {"contains": "x"}}, {"rank": 1}]}, "sort": {"title": "asc"}}]}).to_string(),
        json!({"jsonrpc": "2.0", "id": 7, "method": "create", "params": {"entity": "Note", "data": {"title": "t"}}}).to_string(),
        json!([{"jsonrpc": "2.0", "id": 7, "method": "read", "params": ["Note", "0199a000-0000-7000-8000-0000000000ff"]}]).to_string(),
    ];
    let mut sent = 0;
    while sent < 50_000 {
        // Fed in bursts: each message gets an answer, unless the change made it a notification.
        for _ in 0..100 {
            let sample = samples[random.below(samples.len())].as_bytes();
            let bytes = random.changed(sample);
            client
                .feed(Message::text(String::from_utf8_lossy(&bytes).into_owned()))
                .await;
        }
        sent += 100;
        client
            .send(r#"{"id":"mark","method":"getCapabilities","params":[]}"#)
            .await;
        loop {
            match client.message().await {
                Some(Message::Text(text)) if text.contains("\"mark\"") => break,
                Some(Message::Text(_)) => {}
                other => panic!("after {sent} messages: {other:?}"),
            }
        }
    }
    assert!(broker.is_alive(), "the broker died");
    assert!(daemon.worker().is_alive());
    let after = broker.resident_kib();
    assert!(
        after < before + 64 * 1024,
        "resident memory went from {before} to {after} KiB"
    );
}

#[tokio::test]
async fn raw_bytes_instead_of_tls_or_http_end_only_their_connection() {
    let daemon = Daemon::start();
    let address = daemon.address();
    let mut random = Random::seeded(0x7715);
    for number in 0..300 {
        use tokio::io::AsyncWriteExt;
        if number % 3 == 0 {
            // Within TLS: something that is no HTTP.
            let mut stream = dbal_tests::client::secure(&address, &daemon.ready.ca)
                .await
                .unwrap();
            let _ = stream.write_all(&random.bytes(400)).await;
        } else {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let _ = stream.write_all(&random.bytes(400)).await;
        }
    }
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    assert_eq!(client.call("count", json!(["Note"])).await.unwrap(), 0);
}
