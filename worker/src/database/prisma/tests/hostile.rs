//! Whoever may answer in the bridge's place: slow, endless, garbled, pointing elsewhere, without the certificate. Nothing grows, nothing
//! is believed, nobody else gets the token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_config::Scheme;
use dbal_servers::bridge::{Bridge, TOKEN};
use dbal_servers::postgres::Postgres;
use dbal_servers::scripted::Scripted;
use dbal_shared::fault::Code;
use dbal_shared::ids::Digest;
use dbal_shared::message::{Advice, Capabilities};

use super::{config, count, create, make_tables};
use crate::cache::Effects;
use crate::database::Connections;
use crate::database::prisma::endpoint::Endpoint;
use crate::database::prisma::open::open;
use crate::database::prisma::tables::Tables;
use crate::database::running::{Running, told};
use crate::fixture::Fixture;

/// A piece of an answer that does not end.
static MUCH: [u8; 65_536] = [b' '; 65_536];

/// The adapter on whatever answers at this port, as if all had been well at start.
fn on(scheme: Scheme, port: u16, ca_file: Option<std::path::PathBuf>) -> Running {
    let mut config = config(scheme, port);
    config.ca_file = ca_file;
    Running::on(Connections::Prisma(super::super::open::Connections {
        endpoint: Endpoint::resolve(&config).unwrap(),
        tables: Tables::default(),
        pool_size: 2,
        capabilities: Capabilities {
            adapter: "prisma".to_owned(),
            version: String::new(),
            transactions: false,
            joins: true,
            full_text_search: false,
            ttl: true,
            json_queries: false,
            aggregations: true,
            relations: true,
        },
        effects: Arc::new(Effects::none(Digest([0; 32]))),
    }))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

#[test]
fn who_never_comes_to_an_end_is_left_at_the_deadline() {
    const ONCE: Duration = Duration::from_millis(20);
    let fixture = Fixture::new();
    let budget = Duration::from_millis(400);
    for (said, more) in [
        ("", &b""[..]),
        ("HTTP/1.1 200 OK\r\n", b"x-more: y\r\n"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{\"rows\":[",
            b" ",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"1\r\n \r\n",
        ),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        for (plan, advice) in [
            (count(&fixture), Advice::Retry),
            (create(&fixture, "x"), Advice::OutcomeUnknown),
        ] {
            let server = Scripted::start(said, more, ONCE, false);
            let running = on(Scheme::Http, server.port(), None);
            let began = Instant::now();
            let outcome = running.submit(plan, budget).answer();
            let took = began.elapsed();
            let (code, advised) = told(&outcome).unwrap();
            // So many headers, or so many answers that are none, are an end before the deadline.
            assert!(
                matches!(code, Code::Timeout | Code::Unavailable) && advised == advice,
                "{said}: {outcome:?}"
            );
            assert!(took < budget.mul_f64(1.6), "{said}: {took:?}");
        }
    }
}

#[test]
fn an_answer_is_read_to_its_bound_and_no_further() {
    let fixture = Fixture::new();
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ] {
        for (plan, advice) in [
            (count(&fixture), Advice::Final),
            (create(&fixture, "x"), Advice::OutcomeUnknown),
        ] {
            let server = Scripted::start(head, &MUCH, Duration::ZERO, true);
            let running = on(Scheme::Http, server.port(), None);
            let outcome = running.submit(plan, Duration::from_secs(20)).answer();
            assert_eq!(told(&outcome), Some((Code::TooLarge, advice)), "{head}");
        }
    }
}

#[test]
fn a_head_that_is_too_long_or_no_head_is_no_answer() {
    let fixture = Fixture::new();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(200_000));
    for said in [
        many.as_str(),
        &long,
        "\0\0\0\0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/2 200\r\n\r\n",
    ] {
        let server = Scripted::start(said, b"", Duration::ZERO, true);
        let running = on(Scheme::Http, server.port(), None);
        for (plan, advice) in [
            (create(&fixture, "x"), Advice::OutcomeUnknown),
            (count(&fixture), Advice::Retry),
        ] {
            let outcome = running.submit(plan, Duration::from_secs(5)).answer();
            assert_eq!(told(&outcome), Some((Code::Unavailable, advice)), "{said:.40}");
        }
    }
}

#[test]
fn what_is_answered_but_was_not_asked_for_is_an_error_and_no_guess() {
    let fixture = Fixture::new();
    let rows = |row: &str| serde_json::json!({"rows": [{"n": 0, "r": row}]}).to_string();
    for body in [
        String::new(),
        "<html>".to_owned(),
        "{\"rows\":[".to_owned(),
        "{\"affected\":1}".to_owned(),
        "{\"rows\":[{\"n\":7,\"r\":\"{}\"}]}".to_owned(),
        rows(""),
        rows("[1]"),
        rows("{}"),
        rows("{\"count\":\"many\"}"),
        rows("{\"count\":-1}"),
        rows("{\"count\":1e99}"),
        format!("{{\"rows\":{}", "[".repeat(1_000_000)),
    ] {
        let server = Scripted::start(answer("200 OK", "", &body), b"", Duration::ZERO, false);
        let running = on(Scheme::Http, server.port(), None);
        let outcome = running.submit(count(&fixture), Duration::from_secs(5)).answer();
        let told = told(&outcome).unwrap_or_else(|| panic!("{body:.60}: {outcome:?}"));
        assert_eq!(told, (Code::Unavailable, Advice::Retry), "{body:.60}");
        let server = Scripted::start(answer("200 OK", "", &body), b"", Duration::ZERO, false);
        let running = on(Scheme::Http, server.port(), None);
        let outcome = running
            .submit(create(&fixture, "x"), Duration::from_secs(5))
            .answer();
        let advice = super::told(&outcome).unwrap().1;
        assert_eq!(advice, Advice::OutcomeUnknown, "{body:.60}: {outcome:?}");
    }
}

#[test]
fn nobody_is_followed_elsewhere() {
    let fixture = Fixture::new();
    let elsewhere = Scripted::start(answer("200 OK", "", "{\"rows\":[]}"), b"", Duration::ZERO, false);
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let to = format!(
            "location: http://127.0.0.1:{}/api/native-prisma\r\n",
            elsewhere.port()
        );
        let server = Scripted::start(answer(status, &to, ""), b"", Duration::ZERO, false);
        let running = on(Scheme::Http, server.port(), None);
        for (plan, advice) in [
            (create(&fixture, "x"), Advice::OutcomeUnknown),
            (count(&fixture), Advice::Retry),
        ] {
            let outcome = running.submit(plan, Duration::from_secs(5)).answer();
            assert_eq!(told(&outcome), Some((Code::Unavailable, advice)), "{status}");
        }
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn refusals_are_told_by_their_meaning_and_with_none_of_their_words() {
    let fixture = Fixture::new();
    for (status, body, read, change) in [
        (
            "401 Unauthorized",
            r#"{"error":{"code":"unauthorized","message":"secret"}}"#,
            (Code::Unavailable, Advice::Retry),
            (Code::Unavailable, Advice::Retry),
        ),
        (
            "500 Internal Server Error",
            r#"{"error":{"code":"internal","message":"secret"}}"#,
            (Code::Internal, Advice::Final),
            (Code::Internal, Advice::OutcomeUnknown),
        ),
        (
            "422 Unprocessable",
            r#"{"error":{"code":"statement_failed","sqlstate":"42501","message":"secret"}}"#,
            (Code::Internal, Advice::Final),
            (Code::Internal, Advice::Final),
        ),
        (
            "502 Bad Gateway",
            "<html>secret</html>",
            (Code::Unavailable, Advice::Retry),
            (Code::Unavailable, Advice::OutcomeUnknown),
        ),
    ] {
        let server = Scripted::start(answer(status, "", body), b"", Duration::ZERO, false);
        let running = on(Scheme::Http, server.port(), None);
        for (plan, expected) in [(create(&fixture, "x"), change), (count(&fixture), read)] {
            let outcome = running.submit(plan, Duration::from_secs(5)).answer();
            assert_eq!(told(&outcome), Some(expected), "{status}");
            assert!(outcome.unwrap_err().fields.is_empty());
        }
    }
}

#[test]
fn a_bridge_without_the_right_certificate_never_sees_the_token() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    let bridge = Bridge::tls(server, &name);
    let stranger = Bridge::tls(server, &name);
    let with = |scheme, port, ca_file: Option<std::path::PathBuf>, host: &str| {
        let mut config = config(scheme, port);
        config.ca_file = ca_file;
        if let dbal_config::Bridge::Tcp { host: named, .. } = &mut config.url {
            host.clone_into(named);
        }
        open(&config, fixture.policy.schema()).map(|_| ())
    };
    let (port, own) = (bridge.port(), Some(bridge.ca_file()));
    with(Scheme::Https, port, own.clone(), "localhost").unwrap();
    with(Scheme::Https, port, own.clone(), "127.0.0.1").unwrap();
    for (what, outcome) in [
        (
            "signed by others",
            with(Scheme::Https, port, Some(stranger.ca_file()), "localhost"),
        ),
        ("another name", with(Scheme::Https, port, own, "127.0.0.2")),
        ("no TLS", with(Scheme::Http, port, None, "localhost")),
    ] {
        let error = dbal_daemon::causes(&outcome.unwrap_err());
        assert!(!error.contains(TOKEN), "{what}: {error}");
        println!("{what}: {error}");
    }
    // Plain HTTP where TLS is expected: what it reads is a greeting of TLS, and no request.
    let plain = Scripted::start(answer("200 OK", "", "{}"), b"", Duration::ZERO, false);
    let running = on(Scheme::Https, plain.port(), Some(bridge.ca_file()));
    let outcome = running
        .submit(create(&fixture, "x"), Duration::from_secs(5))
        .answer();
    assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::Retry)));
    assert_eq!(server.sql(&name, "SELECT count(*) FROM \"Note\""), "0");
}
