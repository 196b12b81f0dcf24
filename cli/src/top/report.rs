//! The same for programs: one JSON object.

use serde_json::{Value, json};

use crate::admin::layers;

use super::latency::Percentiles;
use super::rates::{Interval, Rates, Row};
use super::reading::Reading;

/// Rates are calls per second, latencies milliseconds.
pub(super) fn json(admin: &str, reading: &Reading, interval: &Interval) -> Value {
    let grown = |name: &str| rounded(interval.growth(name));
    let figure = |name: &str| rounded(reading.figure(name));
    let health = &reading.health;
    let told = |path: &str| health.pointer(path).cloned().unwrap_or_default();
    json!({
        "admin": admin,
        "seconds": rounded(interval.seconds),
        "status": told("/status"),
        "version": told("/version"),
        "uptime_s": told("/uptime"),
        "calls": rates(&interval.total),
        "latency_ms": latency(interval.latency),
        "methods": interval.methods.iter().map(row).collect::<Vec<_>>(),
        "entities": interval.entities.iter().map(row).collect::<Vec<_>>(),
        "clients": {
            "connections": figure("dbal_client_connections"),
            "limit": figure("dbal_client_connections_limit"),
            "accepted": grown("dbal_accepted_connections_total"),
            "turned_away": grown("dbal_turned_away_connections_total"),
            "failed_handshakes": grown("dbal_failed_handshakes_total"),
            "rate_limited": grown("dbal_rate_limited_total"),
        },
        "database": {
            "adapter": told("/worker/adapter"),
            "connected": told("/database/connected"),
            "latency_ms": told("/database/latency_ms"),
            "pool": figure("dbal_pool_connections"),
            "in_use": figure("dbal_active_connections"),
            "waiting": figure("dbal_worker_queue"),
        },
        "worker": {
            "connected": told("/worker/connected"),
            "restarts": told("/worker/restarts"),
            "calls_in_flight": figure("dbal_calls_in_flight"),
            "sessions": figure("dbal_sessions"),
            "policies_agree": told("/policies_agree"),
        },
        "audit": {
            "not_on_disk": figure("dbal_audit_lag_records"),
            "lost": figure("dbal_dropped_reports_total"),
        },
        "sandbox": {"broker": states(health, "broker"), "worker": states(health, "worker")},
    })
}

fn states(health: &Value, daemon: &str) -> Value {
    let layers = layers(health, daemon).into_iter();
    layers
        .map(|(name, state)| (name.to_owned(), Value::from(state)))
        .collect()
}

fn row(row: &Row) -> Value {
    let Row {
        what,
        rates: of,
        latency: took,
    } = row;
    let mut line = json!({"what": what, "calls": rates(of)});
    if let (Some(took), Value::Object(members)) = (took, &mut line) {
        members.insert("latency_ms".to_owned(), latency(Some(*took)));
    }
    line
}

fn rates(of: &Rates) -> Value {
    let Rates {
        all,
        ok,
        denied,
        faulty,
        failed,
        codes,
    } = of;
    let codes = codes.iter().map(|(code, rate)| (code.clone(), rounded(*rate)));
    json!({
        "all": rounded(*all),
        "ok": rounded(*ok),
        "denied": rounded(*denied),
        "faulty": rounded(*faulty),
        "failed": rounded(*failed),
        "codes": codes.collect::<Value>(),
    })
}

fn latency(of: Option<Percentiles>) -> Value {
    of.map_or(Value::Null, |Percentiles { p50, p95, p99 }| {
        json!({"p50": rounded(p50), "p95": rounded(p95), "p99": rounded(p99)})
    })
}

/// To three digits; null where it is no number that JSON knows.
fn rounded(value: f64) -> Value {
    Value::from((value * 1_000.0).round() / 1_000.0)
}
