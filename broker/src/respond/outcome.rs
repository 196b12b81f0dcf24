//! What came of one request, in one place: metrics, log and audit report are made from it and from nothing else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_policy::Asked;
use dbal_schema::ColumnSet;
use dbal_shared::fault::Code;
use dbal_shared::ids::{EntityId, RequestId};
use dbal_shared::message::{Refused, Tried};
use dbal_shared::plan::Operation;
use dbal_shared::trace::Trace;

use crate::auth::Caller;
use crate::call::{Method, refused_columns};
use crate::traces::Traced;
use dbal_call::Refusal;

/// Longest reason of a report, in bytes; the audit keeps no more.
const REASON_BYTES: usize = 512;

/// One request from the moment it was read.
pub struct Outcome {
    /// Names it in the logs of both processes.
    pub request: RequestId,
    /// The client's address.
    pub address: IpAddr,
    /// The method, if it is one of ours.
    pub method: Option<Method>,
    /// Who, once that is known.
    pub caller: Option<Arc<Caller>>,
    /// What it is about, once the plan is known.
    pub entity: Option<EntityId>,
    /// What is to be done, once the plan is known.
    pub operation: Option<Operation>,
    /// The policy's verdict, once it was asked.
    pub verdict: Option<Verdict>,
    /// Whether the worker saw the call, and so audits it.
    pub was_executed: bool,
    /// Rows read or changed.
    pub rows: u64,
    /// Microseconds in the database.
    pub database_us: u32,
    /// Where it stands in which trace.
    pub trace: Option<Traced>,
    /// Whether the client has said for how long it waits, or that it waits no longer.
    pub is_given_up: bool,
    began: Instant,
}

/// What the policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It granted something.
    Allowed,
    /// It did not.
    Denied,
}

impl Outcome {
    /// A request that was just read.
    pub fn begin(request: RequestId, address: IpAddr, method: Option<Method>) -> Self {
        Self {
            request,
            address,
            method,
            caller: None,
            entity: None,
            operation: None,
            verdict: None,
            was_executed: false,
            rows: 0,
            database_us: 0,
            trace: None,
            is_given_up: false,
            began: Instant::now(),
        }
    }

    /// Notes a refusal of the policy's, or of the words that it lets the caller use.
    pub fn judge(&mut self, refusal: &Refusal) {
        if matches!(refusal.code(), Code::Forbidden | Code::NotFound) {
            self.verdict = Some(Verdict::Denied);
        }
    }

    /// What the worker is told of the trace.
    pub fn onward(&self) -> Option<Trace> {
        self.trace.and_then(|traced| traced.onward())
    }

    /// When it was read.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The entity's name.
    pub fn entity_name(&self) -> Option<&str> {
        let policy = self.caller.as_ref()?.policy();
        let entity = policy.schema().entity(self.entity?)?;
        Some(&entity.name)
    }

    /// How long it took so far.
    pub fn duration(&self) -> Duration {
        self.began.elapsed()
    }

    /// The method as labels and logs show it: one of ours or `unknown`, so that clients can't make up labels.
    pub fn method_name(&self) -> &'static str {
        self.method.map_or("unknown", Method::name)
    }

    /// Entity and operation that it is about, as far as that was understood.
    pub fn about(&self, refusal: Option<&Refusal>) -> Option<(EntityId, Operation)> {
        let about = refusal.and_then(Refusal::subject_matter);
        about.or(self.entity.zip(self.operation))
    }

    /// What the audit must hold of a refusal that the worker did not see.
    pub fn report(&self, refusal: &Refusal) -> Option<Refused> {
        let is_audited = match refusal.code() {
            // No operation was asked for, or none by anyone: the log and the metrics have it.
            Code::Malformed => false,
            Code::RateLimited => self.caller.as_ref().is_some_and(|caller| caller.is_limit_news()),
            Code::Unauthorized
            | Code::Forbidden
            | Code::NotFound
            | Code::Conflict
            | Code::TooLarge
            | Code::Invalid
            | Code::Internal
            | Code::Unsupported
            | Code::Unavailable
            | Code::Timeout
            | Code::Quota
            | Code::SandboxViolation => !self.was_executed,
        };
        let about = refusal.subject_matter();
        is_audited.then(|| Refused {
            request: self.request,
            session: self.caller.as_ref().map(|caller| caller.session().handle()),
            remote: self.address.to_string(),
            entity: self.entity.or(about.map(|(entity, _)| entity)),
            operation: about.map(|(_, operation)| operation).or(self.operation),
            method: self.method.map(|method| method.name().to_owned()),
            code: refusal.code(),
            reason: cut(refusal.operator()),
            rule: refusal.rule().map(str::to_owned),
            policy: self.caller.as_ref().map(|caller| caller.policy().hash()),
            tried: self.tried(refusal),
            trace: self.trace.map(|trace| trace.id),
            repeated: 0,
        })
    }

    /// What each rule came to. Where the refusal came before the policy was asked, it is asked here: few calls end so.
    fn tried(&self, refusal: &Refusal) -> Vec<Tried> {
        match (&self.caller, refusal.subject_matter()) {
            (Some(caller), Some((entity, operation)))
                if refusal.is_decision() && refusal.tried().is_empty() =>
            {
                let policy = caller.policy();
                let refused = policy
                    .schema()
                    .entity(entity)
                    .map_or_else(ColumnSet::new, |entity| refused_columns(refusal, entity));
                let asked = Asked {
                    entity,
                    operation,
                    plan: None,
                    refused,
                };
                policy.tried(caller.session().principal(), caller.subject(), &asked)
            }
            (Some(_) | None, _) => refusal.tried().to_vec(),
        }
    }

    /// One line for the log: refusals of the caller's making at `debug`, ours at `warn`.
    pub fn log(&self, refusal: Option<&Refusal>) {
        let principal = self
            .caller
            .as_ref()
            .and_then(|caller| caller.session().principal().id.as_deref());
        let trace_id = self.trace.map(|trace| tracing::field::display(trace.id));
        let span_id = self
            .trace
            .and_then(|trace| trace.span())
            .map(tracing::field::display);
        let microseconds = u64::try_from(self.duration().as_micros()).unwrap_or(u64::MAX);
        let Some(refusal) = refusal else {
            tracing::debug!(
                request = %self.request,
                method = self.method_name(),
                principal,
                remote = %self.address,
                rows = self.rows,
                database_us = self.database_us,
                us = microseconds,
                trace_id,
                span_id,
                "answered"
            );
            return;
        };
        let code = refusal.code();
        let is_theirs = code == Code::Timeout && self.is_given_up;
        if code.is_ours() && !is_theirs {
            tracing::warn!(
                request = %self.request,
                method = self.method_name(),
                principal,
                remote = %self.address,
                code = code.number(),
                why = refusal.operator(),
                us = microseconds,
                trace_id,
                span_id,
                "failed"
            );
        } else {
            tracing::debug!(
                request = %self.request,
                method = self.method_name(),
                principal,
                remote = %self.address,
                code = code.number(),
                why = refusal.operator(),
                rule = refusal.rule(),
                us = microseconds,
                trace_id,
                span_id,
                "refused"
            );
        }
    }
}

/// A reason as records have it. The worker cuts it too, but a long one would wait for the worker in our memory.
fn cut(reason: &str) -> String {
    let end = reason.floor_char_boundary(REASON_BYTES);
    reason.get(..end).unwrap_or_default().to_owned()
}
