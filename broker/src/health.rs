//! What probes and operators are told. Made from what is known already: asking costs the database nothing.

use std::sync::Arc;
use std::time::Instant;

use dbal_sandbox::{Layer, State};
use serde_json::{Value, json};

use crate::channel::Channel;
use crate::metrics::Metrics;

/// The state of the daemon.
pub struct Health {
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
    layers: Vec<Layer>,
    policy: String,
    started: Instant,
}

/// A page and whether it means well.
pub struct Page {
    /// JSON.
    pub json: String,
    /// 200 or 503.
    pub is_well: bool,
}

impl Health {
    /// Made when the broker starts to serve.
    pub fn new(channel: Arc<Channel>, metrics: Arc<Metrics>, layers: Vec<Layer>, policy: String) -> Self {
        for layer in &layers {
            metrics.layer("broker", layer.name, layer.state == State::InForce);
        }
        Self {
            channel,
            metrics,
            layers,
            policy,
            started: Instant::now(),
        }
    }

    /// Whether calls can be served: there is a worker, and its database answers.
    pub fn is_ready(&self) -> bool {
        let worker = self.channel.worker();
        worker.sample.is_some_and(|sample| sample.is_connected)
    }

    /// For everyone.
    pub fn brief(&self) -> Page {
        let (is_well, json) = self.report();
        Page {
            json: json.to_string(),
            is_well,
        }
    }

    /// For the operator: the same, and what it rests on.
    pub fn detailed(&self) -> Page {
        let (is_well, mut json) = self.report();
        let worker = self.channel.worker();
        let welcome = worker.welcome.as_ref();
        if let Value::Object(members) = &mut json {
            members.insert("policy".to_owned(), json!(self.policy));
            members.insert(
                "sandbox".to_owned(),
                json!({
                    "broker": self.layers.iter().map(describe).collect::<Vec<_>>(),
                    "worker": welcome.map(|welcome| &welcome.sandbox),
                }),
            );
            members.insert(
                "worker".to_owned(),
                json!({
                    "connected": worker.is_connected,
                    "version": welcome.map(|welcome| &welcome.version),
                    "policy": welcome.map(|welcome| welcome.policy.to_string()),
                    "adapter": welcome.map(|welcome| &welcome.capabilities.adapter),
                    "restarts": worker.restarts,
                    "calls_in_flight": worker.in_flight,
                    "dropped_reports": worker.dropped_reports,
                    "queued": worker.sample.map(|sample| sample.queued),
                    "audit_lag": worker.sample.map(|sample| sample.audit_lag),
                    "sessions": worker.sample.map(|sample| sample.sessions),
                }),
            );
        }
        Page {
            json: json.to_string(),
            is_well,
        }
    }

    /// The Prometheus page.
    pub fn metrics(&self) -> Option<String> {
        self.metrics.page(&self.channel.worker()).ok()
    }

    fn report(&self) -> (bool, Value) {
        let sample = self.channel.worker().sample;
        let is_well = sample.is_some_and(|sample| sample.is_connected);
        let json = json!({
            "status": if is_well { "healthy" } else { "degraded" },
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.started.elapsed().as_secs(),
            "connections": {
                "active": self.metrics.clients.get(),
                "total": self.metrics.accepted.get(),
            },
            "database": {
                "connected": is_well,
                "latency_ms": sample.map(|sample| f64::from(sample.latency_us) / 1_000.0),
            },
        });
        (is_well, json)
    }
}

fn describe(layer: &Layer) -> Value {
    match &layer.state {
        State::InForce => json!({"layer": layer.name, "state": "in force"}),
        State::Missing(why) => json!({"layer": layer.name, "state": "missing", "why": why}),
        State::Off => json!({"layer": layer.name, "state": "off"}),
    }
}
