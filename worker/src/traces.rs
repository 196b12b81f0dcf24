//! The worker's spans of a call: its own work, and within that the database's. Which calls are recorded the broker says; how many, at
//! most, is decided here.

use std::time::Instant;

use dbal_daemon::spans::{Kind, Span, Spans, fresh_span};
use dbal_shared::fault::Code;
use serde_json::Value;

use crate::ledger::Memo;

/// Where they go.
pub struct Traces {
    spans: Spans,
    /// The database, as OpenTelemetry's conventions name it (`db.system.name`).
    system: String,
}

impl Traces {
    /// For this kind of database.
    pub fn new(spans: Spans, adapter: &str) -> Self {
        Self {
            spans,
            system: adapter.to_owned(),
        }
    }

    /// Writes the spans of a call that has just ended.
    pub fn tell(&self, memo: &Memo, code: Option<Code>, rows: Option<u64>) {
        let Some(trace) = memo.trace.filter(|trace| trace.is_sampled) else {
            return;
        };
        if !self.spans.has_room() {
            return;
        }
        let (Some(own), Some(of_database)) = (fresh_span(), fresh_span()) else {
            return;
        };
        let ended = Instant::now();
        let what = match memo.entity() {
            Some(entity) => format!("{} {entity}", memo.method),
            None => memo.method.to_owned(),
        };
        let failure = code
            .filter(|code| code.is_ours())
            .map(|code| code.message().to_owned());
        let mut told = vec![Span {
            trace: trace.id,
            id: own,
            parent: Some(trace.span),
            kind: Kind::Internal,
            name: format!("worker {what}"),
            began: memo.since,
            ended,
            attributes: of_worker(memo, code, rows),
            failure: failure.clone(),
        }];
        if let Some(began) = memo.database_since {
            told.push(Span {
                trace: trace.id,
                id: of_database,
                parent: Some(own),
                kind: Kind::Client,
                name: format!("{} {what}", self.system),
                began,
                ended,
                attributes: self.of_database(memo, rows),
                failure,
            });
        }
        self.spans.tell(&told);
    }

    fn of_database(&self, memo: &Memo, rows: Option<u64>) -> Vec<(&'static str, Value)> {
        let mut attributes = vec![("db.system.name", Value::from(self.system.as_str()))];
        let mut put = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));
        put("db.operation.name", Some(Value::from(memo.method)));
        put("dbal.entity", memo.entity().map(Value::from));
        put("db.response.returned_rows", rows.map(Value::from));
        // Of a transaction: how many calls it is made of.
        let calls = Some(memo.calls.len()).filter(|calls| *calls > 0);
        put("db.operation.batch.size", calls.map(Value::from));
        attributes
    }
}

fn of_worker(memo: &Memo, code: Option<Code>, rows: Option<u64>) -> Vec<(&'static str, Value)> {
    let mut attributes = vec![("dbal.request", Value::from(memo.request.to_string()))];
    let mut put = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));
    put("dbal.rule", memo.rule.as_deref().map(Value::from));
    put("dbal.complexity", memo.complexity.map(Value::from));
    put("dbal.rows", rows.map(Value::from));
    put("error.type", code.map(|code| code.number().to_string().into()));
    attributes
}
