//! What probes and Prometheus see.

use std::time::{Duration, Instant};

use dbal_tests::client::{Client, http_get, http_get_as, https_get};
use dbal_tests::daemon::Daemon;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[tokio::test]
async fn health_has_the_shape_that_probes_know() {
    let daemon = Daemon::start();
    let _client = Client::connect(&daemon, daemon.user("alice")).await;
    let (status, body) = https_get(&daemon, "/health").await;
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["status"]), (200, &json!("healthy")), "{health}");
    assert!(
        health["version"].is_string() && health["uptime"].is_u64(),
        "{health}"
    );
    // Ours and the probe's own.
    assert_eq!(health["connections"]["active"], 2, "{health}");
    assert!(health["connections"]["total"].as_u64() >= Some(1), "{health}");
    assert_eq!(health["database"]["connected"], true, "{health}");
    assert!(health["database"]["latency_ms"].is_number(), "{health}");
    for path in ["/livez", "/readyz"] {
        assert_eq!(https_get(&daemon, path).await.0, 200, "{path}");
    }
    assert_eq!(https_get(&daemon, "/etc/passwd").await.0, 404);
    assert_eq!(
        https_get(&daemon, "/metrics").await.0,
        404,
        "metrics are the administrator's"
    );
}

#[tokio::test]
async fn the_operator_reads_the_layers_of_both_daemons_in_one_form() {
    let daemon = Daemon::start();
    let url = daemon.ready.metrics.replace("/metrics", "/health");
    let health: Value = serde_json::from_str(&http_get(&url).await.1).unwrap();
    for process in ["broker", "worker"] {
        let layers = health["sandbox"][process].as_array().expect(process);
        for layer in layers {
            let state = layer["state"].as_str().unwrap_or_default();
            let is_told = layer["layer"].is_string() && ["in force", "missing", "off"].contains(&state);
            assert!(is_told, "{process}: {layer}");
        }
        let seccomp = json!({"layer": "seccomp", "state": "in force"});
        assert!(layers.contains(&seccomp), "{process}: {layers:?}");
    }
}

#[tokio::test]
async fn the_administrative_listener_tells_nothing_to_pages_whose_name_leads_to_it() {
    let daemon = Daemon::start();
    for path in ["/metrics", "/health", "/calls", "/audit/head", "/livez"] {
        let url = daemon.ready.metrics.replace("/metrics", path);
        let (status, body) = http_get_as(&url, "rebound.example:9464").await;
        assert_eq!(status, 403, "{path}: {body}");
        assert_eq!(http_get_as(&url, "localhost:9464").await.0, 200, "{path}");
        assert_eq!(http_get(&url).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn health_is_degraded_while_the_worker_is_gone() {
    let daemon = Daemon::start();
    let worker = daemon.worker();
    worker.signal(Signal::SIGSTOP);
    let until = Instant::now() + Duration::from_secs(15);
    let degraded = loop {
        let (status, body) = https_get(&daemon, "/health").await;
        if status == 503 {
            break body;
        }
        if Instant::now() > until {
            worker.signal(Signal::SIGCONT);
            panic!("still {status}: {body}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let alive = https_get(&daemon, "/livez").await.0;
    worker.signal(Signal::SIGCONT);
    assert_ne!(
        serde_json::from_str::<Value>(&degraded).unwrap()["status"],
        "healthy"
    );
    assert_eq!(
        alive, 200,
        "the broker itself lives: restarting it would help nobody"
    );
}

#[tokio::test]
async fn metrics_count_requests_by_method_and_status_and_name_nobody() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    for _ in 0..3 {
        client.call("count", json!(["Note"])).await.unwrap();
    }
    client
        .call("read", json!(["Note", "0199a000-0000-7000-8000-0000000000ff"]))
        .await
        .unwrap_err();
    client.call("no such method at all", json!([])).await.unwrap_err();
    let (status, metrics) = http_get(&daemon.ready.metrics).await;
    assert_eq!(status, 200);
    let count = metrics
        .lines()
        .find(|line| line.starts_with("dbal_requests_total") && line.contains("\"count\""));
    let success = r#"dbal_requests_total{method="count",status="success",code="ok"} 3"#;
    assert_eq!(count, Some(success), "{metrics}");
    let error = r#"dbal_requests_total{method="read",status="error",code="404"} "#;
    assert!(metrics.lines().any(|line| line.starts_with(error)), "{metrics}");
    for name in [
        "dbal_requests_total",
        "dbal_request_duration_seconds_bucket",
        "dbal_active_connections",
        "dbal_client_connections",
        "dbal_acl_checks_total",
    ] {
        assert!(metrics.contains(name), "{name}:\n{metrics}");
    }
    let allowed = metrics
        .lines()
        .find_map(|line| line.strip_prefix(r#"dbal_acl_checks_total{result="allowed"} "#));
    let allowed: u64 = allowed.unwrap().parse().unwrap();
    assert!(allowed >= 4, "three counts and a read:\n{metrics}");
    for private in [daemon.user("alice").user_id.as_str(), "no such method", "Note"] {
        assert!(!metrics.contains(private), "a label says {private}");
    }
}
