//! `dbal top` without a terminal, and in front of brokers that are none, or somebody else's.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]
#![expect(clippy::disallowed_methods, reason = "the test listens in a broker's place")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// An administrative port; `answer` makes a body of a path and of how many requests came before.
fn port(answer: impl Fn(&str, u64) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = AtomicU64::new(0);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream: TcpStream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            let body = answer(&path, count.fetch_add(1, Ordering::Relaxed));
            let mut stream = stream;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

fn top(admin: SocketAddr, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbal"))
        .args(["top", "--interval", "1", "--admin", &admin.to_string()])
        .args(more)
        .output()
        .unwrap()
}

/// Counts ten calls more each time.
fn broker(path: &str, asked: u64) -> String {
    match path {
        "/health" => r#"{"status":"healthy","version":"9","uptime":60,"policies_agree":true,
            "database":{"connected":true,"latency_ms":0.5},
            "worker":{"connected":true,"adapter":"sqlite","restarts":0},
            "sandbox":{"broker":[{"layer":"seccomp","state":"in force"}],"worker":[{"layer":"seccomp","state":"in force"}]}}"#
            .to_owned(),
        "/calls" => format!(
            r#"[{{"entity":"Note","operation":"list","code":"403","calls":{}}}]"#,
            asked.saturating_mul(10)
        ),
        _ => format!(
            "dbal_requests_total{{method=\"list\",status=\"success\",code=\"ok\"}} {0}\n\
             dbal_request_duration_seconds_bucket{{le=\"0.001\",method=\"list\"}} {0}\n\
             dbal_request_duration_seconds_bucket{{le=\"+Inf\",method=\"list\"}} {0}\n\
             dbal_pool_connections 3\n# EOF\n",
            asked.saturating_mul(10)
        ),
    }
}

#[test]
fn without_a_terminal_one_page_is_printed_or_one_object() {
    let page = top(port(broker), &[]);
    let text = String::from_utf8(page.stdout.clone()).unwrap();
    assert!(page.status.success(), "{page:?}");
    for words in [
        "healthy",
        "METHOD",
        "list ",
        "ENTITY",
        "Note list",
        "403: ",
        "pool 0 of 3 in use",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let object = top(port(broker), &["--json"]);
    let told: Value = serde_json::from_slice(&object.stdout).unwrap();
    assert_eq!(told["status"], "healthy");
    // Thirty calls in a second or a little more.
    let rate = told["calls"]["ok"].as_f64().unwrap();
    assert!(rate > 1.0 && rate <= 30.0, "{told}");
    assert!(told["latency_ms"]["p99"].as_f64().unwrap() <= 1.0, "{told}");
    assert_eq!(told["entities"][0]["what"], "Note list");
}

#[test]
fn what_a_broker_says_reaches_no_terminal_as_it_came() {
    let hostile = port(|path, asked| {
        match path {
        "/health" => {
            r#"{"status":"\u001b[2J","version":"\u001b]0;x\u0007","sandbox":{"worker":[{"layer":"\u009b31m","state":"gone"}]}}"#
                .to_owned()
        }
        "/calls" => format!(
            "[{{\"entity\":\"\\u001b[H\",\"operation\":\"\\r\",\"code\":\"\\b\",\"calls\":{asked}}}]"
        ),
        _ => format!("dbal_requests_total{{method=\"\u{1b}[1A\",code=\"\u{202e}\"}} {asked}\n# EOF\n"),
    }
    });
    let page = top(hostile, &["--once"]);
    let text = String::from_utf8(page.stdout).unwrap();
    assert!(text.contains("dbal 127.0.0.1"), "{text}");
    let is_obeyed = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
    assert!(!text.contains(is_obeyed), "{text:?}");
}

#[test]
fn where_no_broker_answers_the_exit_code_says_so() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (admin, why) in [
        (closed, "can't be reached"),
        (port(|_, _| "<html>".to_owned()), "no JSON"),
        (
            port(|path, _| if path == "/health" { "{}" } else { "nothing here" }.to_owned()),
            "not a page",
        ),
    ] {
        let ended = top(admin, &["--once"]);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
