//! One look at a broker: all that it tells, typed. Names in it are the broker's words, and are made harmless where they are shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::exposition::{Series, parse};
use super::latency::Buckets;
use crate::admin;
use crate::error::ToolError;

/// Calls by their code: `ok` or its number.
pub(super) type Tally = BTreeMap<String, f64>;

/// Most pairs of entity and operation that are looked at.
const ENTITIES: usize = 20_000;

/// What a broker told at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// `/health` of the administrative port.
    pub(super) health: Value,
    /// By method.
    pub(super) methods: BTreeMap<String, Tally>,
    /// By entity and operation.
    pub(super) entities: BTreeMap<(String, String), Tally>,
    /// By method.
    pub(super) durations: BTreeMap<String, Buckets>,
    /// Figures without labels, by name.
    pub(super) figures: BTreeMap<String, f64>,
}

/// A line of `/calls`.
#[derive(Deserialize)]
struct Calls {
    entity: String,
    operation: String,
    code: String,
    #[serde(rename = "calls")]
    count: f64,
}

impl Reading {
    /// Asks a broker.
    pub(super) fn take(admin: SocketAddr) -> Result<Self, ToolError> {
        let health = admin::health(admin)?;
        let metrics = page(admin, "/metrics")?;
        let at = Instant::now();
        let calls = page(admin, "/calls")?;
        Self::of(at, health, &metrics, &calls).map_err(|why| admin::unreachable(admin, "/metrics", &why))
    }

    /// Of what a broker told.
    pub(super) fn of(at: Instant, health: Value, metrics: &str, calls: &str) -> Result<Self, String> {
        let mut reading = Self {
            at,
            health,
            methods: BTreeMap::new(),
            entities: BTreeMap::new(),
            durations: BTreeMap::new(),
            figures: BTreeMap::new(),
        };
        for series in parse(metrics)? {
            reading.note(series);
        }
        let calls: Vec<Calls> =
            serde_json::from_str(calls).map_err(|error| format!("calls by entity: {error}"))?;
        for line in calls.into_iter().take(ENTITIES) {
            let Calls {
                entity,
                operation,
                code,
                count,
            } = line;
            let tally = reading.entities.entry((entity, operation)).or_default();
            tally.insert(code, count);
        }
        Ok(reading)
    }

    /// A figure; 0 where the broker has none of that name.
    pub(super) fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(0.0)
    }

    fn note(&mut self, series: Series) {
        match series.name.as_str() {
            "dbal_requests_total" => {
                let tally = self.methods.entry(series.label("method").to_owned()).or_default();
                tally.insert(series.label("code").to_owned(), series.value);
            }
            "dbal_request_duration_seconds_bucket" => {
                let buckets = self
                    .durations
                    .entry(series.label("method").to_owned())
                    .or_default();
                buckets.add(series.label("le"), series.value);
            }
            _ if series.labels.is_empty() => {
                self.figures.insert(series.name, series.value);
            }
            _ => {}
        }
    }
}

fn page(admin: SocketAddr, path: &str) -> Result<String, ToolError> {
    let answer = admin::get(admin, path)?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(admin::unreachable(
            admin,
            path,
            &format!(
                "answered {}: is it the administrative port of a broker?",
                answer.status
            ),
        ))
    }
}
