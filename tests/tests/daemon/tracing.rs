//! Spans of both processes, as a collector would read them.

use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// One whose processes write spans; `more` is for the broker.
fn traced(more: &str) -> Daemon {
    Daemon::start().with_traces(more, "")
}

/// What both printed. `dbal dev` lets it go where the log goes.
fn lines(daemon: &Daemon) -> String {
    let said = daemon.said();
    // The last line may be on its way.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    let lines = whole.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// All spans so far, each with its service's name.
fn spans(daemon: &Daemon) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for line in lines(daemon).lines() {
        let request: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for resource in request["resourceSpans"].as_array().expect("resources") {
            let name = &resource["resource"]["attributes"][0]["value"]["stringValue"];
            for scope in resource["scopeSpans"].as_array().expect("scopes") {
                for span in scope["spans"].as_array().expect("spans") {
                    found.push((name.as_str().expect("a name").to_owned(), span.clone()));
                }
            }
        }
    }
    found
}

/// Waits for so many.
fn wait(daemon: &Daemon, count: usize) -> Vec<(String, Value)> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found = spans(daemon);
        if found.len() >= count {
            return found;
        }
        assert!(
            Instant::now() < until,
            "{} of {count} spans: {found:#?}",
            found.len()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn attribute(span: &Value, name: &str) -> Value {
    let mut attributes = span["attributes"].as_array().expect("attributes").iter();
    let found = attributes.find(|one| one["key"] == name);
    found.map_or(Value::Null, |one| one["value"].clone())
}

fn between(span: &Value) -> (u64, u64) {
    let at = |name: &str| {
        span[name]
            .as_str()
            .expect("nanoseconds")
            .parse()
            .expect("a number")
    };
    (at("startTimeUnixNano"), at("endTimeUnixNano"))
}

#[tokio::test]
async fn a_clients_trace_goes_through_broker_worker_and_database_and_into_log_and_audit() {
    let daemon = traced("");
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let meta = |flags: &str| json!({"meta": {"traceparent": format!("00-{TRACE}-{PARENT}-{flags}")}});
    client.call("list", json!(["Note", meta("01")])).await.unwrap();
    let found = wait(&daemon, 3);
    assert_eq!(found.len(), 3, "{found:#?}");
    let named = |name: &str| {
        let one = found.iter().find(|(_, span)| span["name"] == name);
        one.unwrap_or_else(|| panic!("{name}: {found:#?}"))
    };
    let (service, server) = named("list Note");
    assert_eq!(service, "dbal-broker");
    assert_eq!(
        (&server["traceId"], &server["parentSpanId"]),
        (&json!(TRACE), &json!(PARENT))
    );
    assert_eq!(server["kind"], 2);
    let (service, worker) = named("worker list Note");
    assert_eq!(service, "dbal-worker");
    assert_eq!(
        (&worker["traceId"], &worker["parentSpanId"]),
        (&json!(TRACE), &server["spanId"])
    );
    let (_, database) = named("sqlite list Note");
    assert_eq!(
        (&database["traceId"], &database["parentSpanId"]),
        (&json!(TRACE), &worker["spanId"])
    );
    assert_eq!(
        (&database["kind"], attribute(database, "db.system.name")),
        (&json!(3), json!({"stringValue": "sqlite"}))
    );
    // Each within the one around it. Clocks of two processes are one clock, read twice.
    let slack = 2_000_000;
    for (inner, outer) in [(database, worker), (worker, server)] {
        let ((from, to), (outer_from, outer_to)) = (between(inner), between(outer));
        assert!(
            from <= to && outer_from <= from + slack && to <= outer_to + slack,
            "{inner:#?}\n{outer:#?}"
        );
    }

    // Not recorded, and on record all the same.
    client
        .call("create", json!(["User", {}, meta("00")]))
        .await
        .unwrap_err();
    let record = journal::wait_for(&daemon.audit(), |record| {
        record["trace"] == TRACE && record["method"] == "create"
    });
    assert_eq!(record["outcome"], "denied");
    let listed = journal::wait_for(&daemon.audit(), |record| {
        record["trace"] == TRACE && record["method"] == "list"
    });
    assert_eq!(
        attribute(server, "dbal.request"),
        json!({"stringValue": listed["request"]})
    );
    // A transaction has one span in the database.
    let calls = json!([{"method": "count", "params": ["Note"]}, {"method": "count", "params": ["Note"]}]);
    client
        .call("transaction", json!([calls, meta("01")]))
        .await
        .unwrap();
    let found = wait(&daemon, 6);
    assert_eq!(found.len(), 6, "{found:#?}");
    let whole = found
        .iter()
        .find(|(_, span)| span["name"] == "sqlite transaction");
    let (_, whole) = whole.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(
        attribute(whole, "db.operation.batch.size"),
        json!({"intValue": "2"})
    );
    // Nobody is named.
    let alice = &daemon.user("alice").user_id;
    let printed = lines(&daemon);
    assert!(!printed.contains(alice.as_str()) && !printed.contains("127.0.0.1"));
}

#[tokio::test]
async fn calls_begin_traces_as_configured_and_no_more_are_written_than_allowed() {
    let daemon = traced(", sample: 0.5, calls_per_second: 3");
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let (before, since) = (spans(&daemon).len(), Instant::now());
    for _ in 0..60 {
        client.call("count", json!(["Note"])).await.unwrap();
    }
    let seconds = usize::try_from(since.elapsed().as_secs()).expect("few");
    let found = wait(&daemon, before + 3);
    let servers = found
        .iter()
        .filter(|(_, span)| span["name"] == "count Note")
        .collect::<Vec<_>>();
    assert!(
        servers.iter().all(|(_, span)| span.get("parentSpanId").is_none()),
        "{found:#?}"
    );
    // Half of sixty, of which each second has room for three.
    let most = 30.min(3 * (seconds + 2));
    assert!(
        (1..=most).contains(&servers.len()),
        "{} in {seconds} s",
        servers.len()
    );
}

#[tokio::test]
async fn unless_configured_nothing_is_printed() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    client
        .call("list", json!(["Note", {"meta": {"traceparent": traceparent}}]))
        .await
        .unwrap();
    let record = journal::wait_for(&daemon.audit(), |record| record["trace"] == TRACE);
    assert_eq!(record["method"], "list");
    assert_eq!(lines(&daemon), "");
}
