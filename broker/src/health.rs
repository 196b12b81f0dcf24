//! What probes and operators are told. Made from what is known already: asking costs the database nothing.

use std::sync::Arc;
use std::time::Instant;

use dbal_sandbox::{Layer, State};
use dbal_shared::message::{self, CacheSample, Countersignature, Head, LayerState};
use dbal_witness::digits;
use serde_json::{Value, json};

use crate::channel::{Channel, Trail, WorkerState};
use crate::metrics::Metrics;
use crate::reload::{Reloaded, Reloads};
use crate::traces::Traces;

/// The state of the daemon.
pub struct Health {
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
    traces: Arc<Traces>,
    layers: Vec<Layer>,
    landlock: String,
    reloads: Arc<Reloads>,
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
    /// Made when the broker starts to serve. `landlock` is the ABI in use, for people.
    pub fn new(
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
        traces: Arc<Traces>,
        layers: Vec<Layer>,
        landlock: String,
        reloads: Arc<Reloads>,
    ) -> Self {
        for layer in &layers {
            metrics.layer("broker", layer.name, layer.state == State::InForce);
        }
        Self {
            channel,
            metrics,
            traces,
            layers,
            landlock,
            reloads,
            started: Instant::now(),
        }
    }

    /// Whether calls can be served: there is a worker, its database answers, and both go by the same policy.
    pub fn is_ready(&self) -> bool {
        let worker = self.channel.worker();
        worker.sample.is_some_and(|sample| sample.is_connected) && self.agrees(&worker)
    }

    fn agrees(&self, worker: &WorkerState) -> bool {
        worker
            .policy
            .is_none_or(|policy| policy == self.reloads.last().policy)
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
            members.insert("audit".to_owned(), trail(&worker.trail));
            let Reloaded {
                policy,
                succeeded,
                failed,
                error,
            } = self.reloads.last();
            members.insert("policy".to_owned(), json!(policy.to_string()));
            members.insert("policies_agree".to_owned(), json!(self.agrees(&worker)));
            members.insert(
                "reloads".to_owned(),
                json!({"succeeded": succeeded, "failed": failed, "error": error}),
            );
            members.insert(
                "sandbox".to_owned(),
                json!({
                    "landlock": self.landlock,
                    "broker": self.layers.iter().map(ours).collect::<Value>(),
                    "worker": welcome.map(|welcome| welcome.sandbox.iter().map(theirs).collect::<Value>()),
                }),
            );
            members.insert(
                "worker".to_owned(),
                json!({
                    "connected": worker.is_connected,
                    "version": welcome.map(|welcome| &welcome.version),
                    "policy": worker.policy.map(|policy| policy.to_string()),
                    "failed_reloads": worker.sample.map(|sample| sample.failed_reloads),
                    "adapter": welcome.map(|welcome| &welcome.capabilities.adapter),
                    "restarts": worker.restarts,
                    "calls_in_flight": worker.in_flight,
                    "dropped_reports": worker.dropped_reports,
                    "queued": worker.sample.map(|sample| sample.queued),
                    "audit_lag": worker.sample.map(|sample| sample.audit_lag),
                    "sessions": worker.sample.map(|sample| sample.sessions),
                    "cache": worker.sample.and_then(|sample| sample.cache).map(described),
                    "expired_rows": worker.sample.map(|sample| sample.expired_rows),
                    "expired_rows_held": worker.sample.map(|sample| sample.expired_rows_held),
                }),
            );
        }
        Page {
            json: json.to_string(),
            is_well,
        }
    }

    /// The newest head of the audit trail, countersigned where there is a key, for whoever keeps it out of the worker's reach;
    /// `null` if none was shown.
    pub fn head(&self) -> String {
        let trail = self.channel.worker().trail;
        let head = trail.head.map(|(head, _)| reached(&head));
        trail
            .countersigned
            .as_ref()
            .map_or(json!(head), countersigned)
            .to_string()
    }

    /// The Prometheus page.
    pub fn metrics(&self) -> Option<String> {
        self.metrics
            .page(
                &self.channel.worker(),
                &self.reloads.last(),
                self.traces.dropped(),
            )
            .ok()
    }

    /// Calls by entity, operation and status.
    pub fn entity_calls(&self) -> String {
        self.metrics.entity_calls.page()
    }

    fn report(&self) -> (bool, Value) {
        let worker = self.channel.worker();
        let sample = worker.sample;
        let is_connected = sample.is_some_and(|sample| sample.is_connected);
        let is_well = is_connected && self.agrees(&worker);
        let json = json!({
            "status": if is_well { "healthy" } else { "degraded" },
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.started.elapsed().as_secs(),
            "connections": {
                "active": self.metrics.clients.get(),
                "total": self.metrics.accepted.get(),
            },
            "database": {
                "connected": is_connected,
                "latency_ms": sample.map(|sample| f64::from(sample.latency_us) / 1_000.0),
            },
        });
        (is_well, json)
    }
}

fn described(sample: CacheSample) -> Value {
    let CacheSample {
        hits,
        misses,
        evictions,
        invalidations,
        entries,
        bytes,
        is_on,
    } = sample;
    json!({
        "on": is_on, "hits": hits, "misses": misses, "evictions": evictions, "invalidations": invalidations,
        "entries": entries, "bytes": bytes,
    })
}

fn trail(trail: &Trail) -> Value {
    let Trail {
        head,
        countersigned: signed,
        refused,
    } = trail;
    json!({
        "head": head.map(|(head, _)| reached(&head)),
        "shown_s_ago": head.map(|(_, at)| at.elapsed().as_secs()),
        "countersigned": signed.map(|signed| signed.head.sequence),
        "refused": refused,
    })
}

fn reached(head: &Head) -> Value {
    json!({"seq": head.sequence, "hash": head.hash.to_string()})
}

/// As the audit record of it has it.
fn countersigned(signed: &Countersignature) -> Value {
    let Countersignature {
        head,
        after,
        key,
        signature,
    } = signed;
    let mut json = reached(head);
    if let Value::Object(members) = &mut json {
        members.extend(after.map(|after| ("after".to_owned(), reached(&after))));
        members.insert("key".to_owned(), json!(digits(key)));
        members.insert("signature".to_owned(), json!(digits(signature)));
    }
    json
}

fn ours(layer: &Layer) -> Value {
    let Layer { name, state } = layer;
    match state {
        State::InForce => holds(name),
        State::Missing(why) => misses(name, why),
        State::Off => is_off(name),
    }
}

fn theirs(layer: &message::Layer) -> Value {
    let message::Layer { name, state } = layer;
    match state {
        LayerState::InForce => holds(name),
        LayerState::Missing { why } => misses(name, why),
        LayerState::Off => is_off(name),
    }
}

fn holds(layer: &str) -> Value {
    json!({"layer": layer, "state": "in force"})
}

fn misses(layer: &str, why: &str) -> Value {
    json!({"layer": layer, "state": "missing", "why": why})
}

fn is_off(layer: &str) -> Value {
    json!({"layer": layer, "state": "off"})
}
