//! Numbers for Prometheus. Label sets are closed: methods, codes and layers of ours, never a user or an entity.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::message::{CacheSample, Head, LayerState};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::call::Method;
use crate::channel::WorkerState;
use crate::entity_calls::EntityCalls;
use crate::net::close::End;
use crate::reload::Reloaded;
use crate::respond::{Outcome, Refusal, Verdict};

/// From a cached answer to a client's longest patience, in seconds.
const BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: &'static str,
    code: AnswerCode,
}

impl RequestLabels {
    fn of(method: &'static str, code: Option<Code>) -> Self {
        let (status, code) = match code {
            None => ("success", AnswerCode::Ok),
            Some(code) => ("error", AnswerCode::Refused(code)),
        };
        Self { method, status, code }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LayerLabels {
    process: &'static str,
    layer: String,
}

/// One line per process at a time: a hash goes when its policy does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    process: &'static str,
    hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcessLabel {
    process: &'static str,
}

/// `ok` or the code's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum AnswerCode {
    Ok,
    Refused(Code),
}

impl EncodeLabelValue for AnswerCode {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        match self {
            AnswerCode::Ok => "ok".encode(encoder),
            AnswerCode::Refused(code) => u64::from(code.number()).encode(encoder),
        }
    }
}

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// All metrics of the broker.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<MethodLabel, Histogram, Buckets>,
    /// Of both by method: what was answered, which most requests are. To look labels up takes longer than to count.
    answered: Vec<(Method, OnceLock<Answered>)>,
    verdicts: Verdicts,
    rate_limited: Counter,
    /// Calls by entity, beside the page that Prometheus reads.
    pub entity_calls: EntityCalls,
    /// Most client connections at once.
    pub clients_limit: Gauge<i64, AtomicI64>,
    /// Open client connections.
    pub clients: Gauge<i64, AtomicI64>,
    /// Client connections since the start.
    pub accepted: Counter<u64, AtomicU64>,
    /// Connections turned away because there was no place for them.
    pub turned_away: Counter,
    /// Times that accept(2) failed, e.g. for want of descriptors.
    pub accept_failures: Counter,
    closed: Family<ReasonLabel, Counter>,
    /// TLS handshakes that failed.
    pub failed_handshakes: Counter,
    worker: Gauges,
    sandbox: Family<LayerLabels, Gauge>,
    policies: Family<PolicyLabels, Gauge>,
    reload_failures: Family<ProcessLabel, Counter>,
    dropped_traces: Counter,
}

/// What counts the answered requests of a method.
struct Answered {
    requests: Counter,
    durations: Histogram,
}

/// Verdicts of the policy.
struct Verdicts {
    allowed: Counter,
    denied: Counter,
}

/// Copies of what the worker told last.
#[derive(Default)]
struct Gauges {
    connected: Gauge,
    database_connected: Gauge,
    active_connections: Gauge,
    pool: Gauge,
    queued: Gauge,
    audit_lag: Gauge,
    sessions: Gauge,
    in_flight: Gauge,
    restarts: Counter,
    dropped_reports: Counter,
    cache: Cache,
    expired_rows: Follower,
    expired_rows_held: Gauge,
    audit_head: Gauge,
    audit_countersigned: Gauge,
    audit_heads_refused: Counter,
}

/// What the worker tells of answers that it keeps.
#[derive(Default)]
struct Cache {
    hits: Follower,
    misses: Follower,
    evictions: Follower,
    invalidations: Follower,
    entries: Gauge,
    bytes: Gauge,
    is_on: Gauge,
}

/// A counter that another process counts, and begins anew when it does.
#[derive(Default)]
struct Follower {
    counter: Counter,
    last: AtomicU64,
}

impl Follower {
    fn follow(&self, now: u64) {
        let before = self.last.swap(now, Ordering::Relaxed);
        self.counter.inc_by(now.checked_sub(before).unwrap_or(now));
    }
}

impl Cache {
    fn register(&self, registry: &mut Registry) {
        let counters = [
            (
                "cache_hits",
                "Reads that were answered from what is kept",
                &self.hits,
            ),
            (
                "cache_misses",
                "Reads whose answer could have been kept, and was not",
                &self.misses,
            ),
            (
                "cache_evictions",
                "Kept answers that made room for others",
                &self.evictions,
            ),
            (
                "cache_invalidations",
                "Writes, here or by other daemons, after which some kept answers were not true any more",
                &self.invalidations,
            ),
        ];
        for (name, help, follower) in counters {
            registry.register(name, help, follower.counter.clone());
        }
        registry.register("cache_entries", "Answers that are kept", self.entries.clone());
        let help = "What kept answers take";
        registry.register_with_unit("cache", help, Unit::Bytes, self.bytes.clone());
        registry.register(
            "cache_on",
            "Whether answers are kept at the moment: not while what other daemons write can't be heard",
            self.is_on.clone(),
        );
    }

    fn copy(&self, sample: CacheSample) {
        let CacheSample {
            hits,
            misses,
            evictions,
            invalidations,
            entries,
            bytes,
            is_on,
        } = sample;
        self.hits.follow(hits);
        self.misses.follow(misses);
        self.evictions.follow(evictions);
        self.invalidations.follow(invalidations);
        let gauges = [(&self.entries, entries), (&self.bytes, bytes)];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.is_on.set(i64::from(is_on));
    }
}

impl Metrics {
    /// Zeros, over these entities.
    pub fn new(entities: &[Entity]) -> Self {
        let mut registry = Registry::with_prefix("dbal");
        let requests = Family::default();
        registry.register(
            "requests",
            "Requests by method, status and code",
            requests.clone(),
        );
        let durations = Family::new_with_constructor(Buckets);
        registry.register_with_unit(
            "request_duration",
            "Time from reading a request to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        let acl_checks = Family::<ResultLabel, Counter>::default();
        let verdict = |result| acl_checks.get_or_create_owned(&ResultLabel { result });
        let verdicts = Verdicts {
            allowed: verdict("allowed"),
            denied: verdict("denied"),
        };
        registry.register("acl_checks", "Verdicts of the policy", acl_checks.clone());
        let rate_limited = Counter::default();
        registry.register(
            "rate_limited",
            "Requests refused by a rate limit",
            rate_limited.clone(),
        );
        let clients = Gauge::default();
        registry.register("client_connections", "Open client connections", clients.clone());
        let clients_limit = Gauge::default();
        registry.register(
            "client_connections_limit",
            "Most client connections at once",
            clients_limit.clone(),
        );
        let accepted = Counter::default();
        registry.register(
            "accepted_connections",
            "Client connections since the start",
            accepted.clone(),
        );
        let turned_away = Counter::default();
        registry.register(
            "turned_away_connections",
            "Connections for which there was no place",
            turned_away.clone(),
        );
        let accept_failures = Counter::default();
        registry.register(
            "accept_failures",
            "Times that no client could be accepted",
            accept_failures.clone(),
        );
        let closed = Family::<ReasonLabel, Counter>::default();
        for reason in End::REASONS {
            // Rates need a beginning.
            let _ = closed.get_or_create(&ReasonLabel { reason });
        }
        registry.register(
            "closed_connections",
            "Connections by how they ended",
            closed.clone(),
        );
        let failed_handshakes = Counter::default();
        registry.register(
            "failed_handshakes",
            "TLS handshakes that failed",
            failed_handshakes.clone(),
        );
        let worker = Gauges::default();
        worker.register(&mut registry);
        let sandbox = Family::default();
        registry.register(
            "sandbox_layer",
            "Whether a layer of the sandbox is in force",
            sandbox.clone(),
        );
        let policies = Family::default();
        registry.register("policy_info", "The policy in force", policies.clone());
        let reload_failures = Family::default();
        registry.register(
            "reload_failures",
            "Reloads after which the old state stayed in force",
            reload_failures.clone(),
        );
        let dropped_traces = Counter::default();
        registry.register(
            "dropped_traces",
            "Calls whose spans were not written",
            dropped_traces.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            answered: Method::served().map(|method| (method, OnceLock::new())).collect(),
            verdicts,
            rate_limited,
            entity_calls: EntityCalls::of(entities),
            clients_limit,
            clients,
            accepted,
            turned_away,
            accept_failures,
            closed,
            failed_handshakes,
            worker,
            sandbox,
            policies,
            reload_failures,
            dropped_traces,
        }
    }

    /// Counts one request. The only place that does.
    pub fn count(&self, outcome: &Outcome, refusal: Option<&Refusal>) {
        let code = refusal.map(Refusal::code);
        let seconds = outcome.duration().as_secs_f64();
        let answered = (outcome.method.filter(|_| code.is_none())).and_then(|method| self.answered(method));
        if let Some(Answered { requests, durations }) = answered {
            requests.inc();
            durations.observe(seconds);
        } else {
            let method = outcome.method_name();
            self.requests
                .get_or_create(&RequestLabels::of(method, code))
                .inc();
            self.durations
                .get_or_create(&MethodLabel { method })
                .observe(seconds);
        }
        if let Some(verdict) = outcome.verdict {
            let counter = match verdict {
                Verdict::Allowed => &self.verdicts.allowed,
                Verdict::Denied => &self.verdicts.denied,
            };
            counter.inc();
        }
        if code == Some(Code::RateLimited) {
            self.rate_limited.inc();
        }
        if let Some((entity, operation)) = outcome.about(refusal) {
            self.entity_calls.count(entity, operation, code);
        }
    }

    /// From the first one on: what nobody asks for has no line.
    fn answered(&self, method: Method) -> Option<&Answered> {
        let (_, answered) = self.answered.iter().find(|(known, _)| *known == method)?;
        let method = method.name();
        Some(answered.get_or_init(|| Answered {
            requests: (self.requests).get_or_create_owned(&RequestLabels::of(method, None)),
            durations: self.durations.get_or_create_owned(&MethodLabel { method }),
        }))
    }

    /// Counts how a WebSocket, or what was to become one, ended.
    pub fn ended(&self, end: End) {
        let reason = end.reason();
        self.closed.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Notes whether a layer of the sandbox is in force.
    pub fn layer(&self, process: &'static str, layer: &str, is_in_force: bool) {
        let labels = LayerLabels {
            process,
            layer: layer.to_owned(),
        };
        self.sandbox.get_or_create(&labels).set(i64::from(is_in_force));
    }

    fn copy_reloads(&self, worker: &WorkerState, reloads: &Reloaded) {
        self.policies.clear();
        let failed = worker.sample.map(|sample| u64::from(sample.failed_reloads));
        for (process, policy, failed) in [
            ("broker", Some(reloads.policy), Some(reloads.failed)),
            ("worker", worker.policy, failed),
        ] {
            if let Some(policy) = policy {
                let hash = policy.to_string();
                self.policies
                    .get_or_create(&PolicyLabels { process, hash })
                    .set(1);
            }
            if let Some(failed) = failed {
                raise(
                    &self.reload_failures.get_or_create(&ProcessLabel { process }),
                    failed,
                );
            }
        }
    }

    /// The page that Prometheus reads (OpenMetrics text).
    pub fn page(
        &self,
        worker: &WorkerState,
        reloads: &Reloaded,
        dropped_traces: u64,
    ) -> Result<String, std::fmt::Error> {
        raise(&self.dropped_traces, dropped_traces);
        self.copy_reloads(worker, reloads);
        self.worker.copy(worker);
        for layer in worker.welcome.iter().flat_map(|welcome| &welcome.sandbox) {
            let is_in_force = layer.state == LayerState::InForce;
            self.layer("worker", &layer.name, worker.is_connected && is_in_force);
        }
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        let gauges = [
            ("worker_connected", "Whether there is a worker", &self.connected),
            (
                "database_connected",
                "Whether the database answered lately",
                &self.database_connected,
            ),
            (
                "active_connections",
                "Database connections in use",
                &self.active_connections,
            ),
            (
                "pool_connections",
                "Database connections that there are for calls",
                &self.pool,
            ),
            (
                "worker_queue",
                "Calls that wait for a database connection",
                &self.queued,
            ),
            (
                "audit_lag_records",
                "Audit records not yet on disk",
                &self.audit_lag,
            ),
            ("sessions", "Open sessions", &self.sessions),
            (
                "calls_in_flight",
                "Calls that wait for the worker",
                &self.in_flight,
            ),
            (
                "expired_rows_held",
                "Rows whose time is over and that can't be removed",
                &self.expired_rows_held,
            ),
            (
                "audit_head_record",
                "Number of the newest audit record that the worker has shown",
                &self.audit_head,
            ),
            (
                "audit_countersigned_record",
                "Number of the newest audit record that is countersigned",
                &self.audit_countersigned,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "worker_restarts",
            "Times that the worker came back",
            self.restarts.clone(),
        );
        registry.register(
            "dropped_reports",
            "Audit reports that found no room",
            self.dropped_reports.clone(),
        );
        self.cache.register(registry);
        registry.register(
            "expired_rows",
            "Rows that the worker removed since their time was over",
            self.expired_rows.counter.clone(),
        );
        registry.register(
            "audit_heads_refused",
            "Times that the audit trail did not go on from what was shown of it before",
            self.audit_heads_refused.clone(),
        );
    }

    fn copy(&self, worker: &WorkerState) {
        let WorkerState {
            is_connected,
            sample,
            policy: _,
            welcome: _,
            restarts,
            in_flight,
            dropped_reports,
            trail,
        } = worker;
        let number =
            |head: Option<Head>| head.map_or(0, |head| i64::try_from(head.sequence).unwrap_or(i64::MAX));
        self.audit_head.set(number(trail.head.map(|(head, _)| head)));
        let countersigned = trail.countersigned.map(|countersigned| countersigned.head);
        self.audit_countersigned.set(number(countersigned));
        raise(&self.audit_heads_refused, trail.refused);
        self.connected.set(i64::from(*is_connected));
        self.in_flight.set(i64::try_from(*in_flight).unwrap_or(i64::MAX));
        raise(&self.restarts, *restarts);
        raise(&self.dropped_reports, *dropped_reports);
        self.database_connected
            .set(i64::from(sample.is_some_and(|sample| sample.is_connected)));
        if let Some(sample) = sample {
            self.active_connections.set(sample.active_connections.into());
            self.pool.set(sample.pool.into());
            self.queued.set(sample.queued.into());
            self.audit_lag.set(sample.audit_lag.into());
            self.sessions.set(sample.sessions.into());
            self.cache.copy(sample.cache.unwrap_or_default());
            self.expired_rows.follow(sample.expired_rows);
            let held = i64::try_from(sample.expired_rows_held);
            self.expired_rows_held.set(held.unwrap_or(i64::MAX));
        }
    }
}

/// A counter that is counted elsewhere.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
