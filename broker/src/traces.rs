//! Which calls are traced, and the broker's span of each. A trace is its caller's; one of a hundred calls, or as many as are
//! configured, begins one here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dbal_daemon::spans::{Kind, Span, Spans, fresh_span, fresh_trace};
use dbal_shared::trace::{SpanId, Trace, TraceId};

use crate::respond::{Outcome, Refusal};

/// Decides for each call, and writes what came of it.
pub struct Traces {
    spans: Option<Arc<Spans>>,
    /// Of calls that bring no trace: how many of a million begin one.
    begun_of_million: u64,
    calls: AtomicU64,
}

/// A call's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The trace.
    pub id: TraceId,
    /// The span around it, if the caller has one.
    parent: Option<SpanId>,
    /// The broker's own span, where one is written.
    own: Option<SpanId>,
}

const MILLION: u64 = 1_000_000;

impl Traces {
    /// Without `spans` traces are only named: in the log, the audit trail and towards the worker.
    pub fn new(spans: Option<Spans>, share: f64) -> Self {
        // From 0 to 1, as configured; nothing is lost that anybody would miss.
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a float can't be turned into an integer otherwise, and saturates"
        )]
        let begun_of_million = (share * MILLION as f64).round() as u64;
        Self {
            spans: spans.map(Arc::new),
            begun_of_million,
            calls: AtomicU64::new(0),
        }
    }

    /// For a call whose caller has not said anything of a trace (yet).
    pub fn begin(&self) -> Option<Traced> {
        let spans = self.spans.as_ref().filter(|_| self.begun_of_million > 0)?;
        // Evenly: each call adds its share, and where that makes a whole one, it is traced.
        let before = self.calls.fetch_add(1, Ordering::Relaxed) % MILLION;
        let whole = |calls: u64| calls.saturating_mul(self.begun_of_million).div_euclid(MILLION);
        if whole(before.saturating_add(1)) == whole(before) || !spans.has_room() {
            return None;
        }
        Some(Traced {
            id: fresh_trace()?,
            parent: None,
            own: Some(fresh_span()?),
        })
    }

    /// For a call whose caller has a trace. It is recorded if the caller records it.
    pub fn join(&self, trace: Trace) -> Traced {
        let Trace { id, span, is_sampled } = trace;
        let spans = self.spans.as_ref();
        let is_recorded = is_sampled && spans.is_some_and(|spans| spans.has_room());
        Traced {
            id,
            parent: Some(span),
            own: is_recorded.then(fresh_span).flatten(),
        }
    }

    /// Writes the broker's span of a call that has ended.
    pub fn tell(&self, outcome: &Outcome, refusal: Option<&Refusal>) {
        let Some(Traced {
            id,
            parent,
            own: Some(own),
        }) = outcome.trace
        else {
            return;
        };
        let Some(spans) = &self.spans else { return };
        let entity = outcome.entity_name();
        let method = outcome.method_name();
        let mut attributes = vec![
            ("rpc.system", "jsonrpc".into()),
            ("rpc.method", method.into()),
            ("dbal.request", outcome.request.to_string().into()),
        ];
        if let Some(entity) = entity {
            attributes.push(("dbal.entity", entity.into()));
        }
        match refusal {
            None => attributes.push(("dbal.rows", outcome.rows.into())),
            Some(refusal) => {
                let code = refusal.code().number();
                attributes.push(("rpc.jsonrpc.error_code", code.into()));
                attributes.push(("error.type", code.to_string().into()));
            }
        }
        spans.tell(&[Span {
            trace: id,
            id: own,
            parent,
            kind: Kind::Server,
            name: entity.map_or_else(|| method.to_owned(), |entity| format!("{method} {entity}")),
            began: outcome.began(),
            ended: Instant::now(),
            attributes,
            failure: refusal
                .filter(|refusal| refusal.code().is_ours())
                .map(|refusal| refusal.code().message().to_owned()),
        }]);
    }

    /// Calls whose spans were not written.
    pub fn dropped(&self) -> u64 {
        self.spans.as_ref().map_or(0, |spans| spans.dropped())
    }
}

impl Traced {
    /// What whoever works for this call is told of it; none where there is no span to hang theirs on.
    pub fn onward(&self) -> Option<Trace> {
        Some(Trace {
            id: self.id,
            span: self.own.or(self.parent)?,
            is_sampled: self.own.is_some(),
        })
    }

    /// The broker's own span, for the log.
    pub fn span(&self) -> Option<SpanId> {
        self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(flags: &str) -> Trace {
        Trace::parse(&format!(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"
        ))
        .unwrap()
    }

    #[test]
    fn without_spans_a_trace_is_passed_on_as_it_came_and_none_begins() {
        let traces = Traces::new(None, 1.0);
        assert_eq!(traces.begin(), None);
        let place = traces.join(client("01"));
        let onward = place.onward().unwrap();
        assert_eq!((onward.id, onward.span), (client("01").id, client("01").span));
        assert!(
            !onward.is_sampled,
            "nobody hangs a span on one that is not written"
        );
    }

    #[test]
    fn what_the_caller_records_is_recorded_below_its_span() {
        let spans = Spans::to_stdout("dbal-broker", 1).unwrap();
        let traces = Traces::new(Some(spans), 0.0);
        let place = traces.join(client("00"));
        assert_eq!(place.span(), None);
        let place = traces.join(client("01"));
        assert_eq!(place.onward().unwrap().span, place.span().unwrap());
        assert!(place.onward().unwrap().is_sampled);
        // No more than the second has room for.
        let crowded = (0..3)
            .filter(|_| traces.join(client("01")).span().is_none())
            .count();
        assert!(crowded >= 1 && traces.dropped() >= 1);
    }

    #[test]
    fn as_many_calls_begin_a_trace_as_are_configured() {
        for (share, wanted) in [(0.0, 0), (0.01, 10), (0.25, 250), (1.0, 1_000)] {
            let spans = Spans::to_stdout("dbal-broker", 10_000).unwrap();
            let traces = Traces::new(Some(spans), share);
            let begun = (0..1_000).filter(|_| traces.begin().is_some()).count();
            assert_eq!(begun, wanted, "{share}");
        }
    }
}
