//! Spans for OpenTelemetry, in OTLP's JSON encoding, one request a line, on standard output. Whoever runs a daemon collects its lines
//! already: journald, a container's log, a file that the service manager opened. So nothing is connected to, no file is opened,
//! and the sandbox stays as it is. docs/tracing.md has the collector's side.

use std::io::{self, Write};
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dbal_shared::trace::{SpanId, TraceId};
use serde_json::{Map, Value, json};

/// Lines that wait for whoever reads them; a line has about 1 KiB. Beyond that spans are dropped: no call waits for them.
const WAITING: usize = 1_024;
const SECOND: Duration = Duration::from_secs(1);

/// What a span is of (`Span.SpanKind` in opentelemetry/proto/trace/v1/trace.proto).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work within a process.
    Internal,
    /// An answer to somebody's request.
    Server,
    /// A request to somebody else.
    Client,
}

/// A span that has ended.
#[derive(Debug)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span around it.
    pub parent: Option<SpanId>,
    /// What it is of.
    pub kind: Kind,
    /// Few different ones: never a key or a value.
    pub name: String,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What else there is to say: texts, integers.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if that is not its caller's fault.
    pub failure: Option<String>,
}

/// Where spans go.
pub struct Spans {
    lines: SyncSender<String>,
    service: &'static str,
    per_second: u32,
    second: Mutex<(Instant, u32)>,
    dropped: AtomicU64,
}

impl Spans {
    /// To standard output. Makes a thread, so it is called when the process has locked itself in.
    pub fn to_stdout(service: &'static str, per_second: u32) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || write(&waiting))?;
        Ok(Self::into(lines, service, per_second))
    }

    fn into(lines: SyncSender<String>, service: &'static str, per_second: u32) -> Self {
        Self {
            lines,
            service,
            per_second,
            second: Mutex::new((Instant::now(), 0)),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether one more call may be recorded in this second: clients may ask for it, and shall not fill a disk.
    pub fn has_room(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = &mut *second;
        if since.elapsed() >= SECOND {
            (*since, *count) = (Instant::now(), 0);
        }
        if *count < self.per_second {
            *count = count.saturating_add(1);
            return true;
        }
        drop(second);
        self.drop_one();
        false
    }

    /// Writes spans of one call, if whoever reads them keeps up.
    pub fn tell(&self, spans: &[Span]) {
        if self.lines.try_send(self.line(spans)).is_err() {
            self.drop_one();
        }
    }

    /// Calls whose spans were not written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn drop_one(&self) {
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "spans are dropped: more calls than `traces.calls_per_second`, or nobody reads standard output"
            );
        }
    }

    /// An `ExportTraceServiceRequest`.
    fn line(&self, spans: &[Span]) -> String {
        let now = (Instant::now(), SystemTime::now());
        let spans: Vec<Value> = spans.iter().map(|span| encoded(span, now)).collect();
        let version = env!("CARGO_PKG_VERSION");
        let resource = [
            ("service.name", Value::from(self.service)),
            ("service.version", Value::from(version)),
            ("service.namespace", Value::from("dbal")),
        ];
        json!({"resourceSpans": [{
            "resource": {"attributes": attributes(&resource)},
            "scopeSpans": [{"scope": {"name": "dbal", "version": version}, "spans": spans}],
        }]})
        .to_string()
    }
}

/// An id for a trace that begins here; none where the kernel gives no randomness.
pub fn fresh_trace() -> Option<TraceId> {
    let [high, low] = [getrandom::u64().ok()?, getrandom::u64().ok()?];
    NonZeroU128::new((u128::from(high) << 64) | u128::from(low)).map(TraceId)
}

/// An id for a span of ours.
pub fn fresh_span() -> Option<SpanId> {
    NonZeroU64::new(getrandom::u64().ok()?).map(SpanId)
}

/// Until nobody can say anything any more. Whoever reads may be slow, or gone: that is no failure of the daemon's.
fn write(lines: &Receiver<String>) {
    while let Ok(mut line) = lines.recv() {
        // In one write: under `dbal run` two processes share the pipe, and a write below PIPE_BUF is not torn (pipe(7)).
        line.push('\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// OTLP's JSON encoding: ids in hexadecimal, enums as numbers, 64-bit numbers as decimal texts
/// (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding).
fn encoded(span: &Span, now: (Instant, SystemTime)) -> Value {
    let Span {
        trace,
        id,
        parent,
        kind,
        name,
        began,
        ended,
        attributes: more,
        failure,
    } = span;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("traceId", trace.to_string().into());
    put("spanId", id.to_string().into());
    if let Some(parent) = parent {
        put("parentSpanId", parent.to_string().into());
    }
    put("name", name.as_str().into());
    put("kind", kind.number().into());
    put("startTimeUnixNano", unix_ns(*began, now).into());
    put("endTimeUnixNano", unix_ns(*ended, now).into());
    put("attributes", attributes(more));
    if let Some(failure) = failure {
        // STATUS_CODE_ERROR
        put("status", json!({"code": 2, "message": failure}));
    }
    Value::Object(members)
}

/// Both processes have the machine's clock, so their spans fit together.
fn unix_ns(moment: Instant, (now, wall): (Instant, SystemTime)) -> String {
    let ago = now.saturating_duration_since(moment);
    let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.saturating_sub(ago).as_nanos().to_string()
}

fn attributes(of: &[(&'static str, Value)]) -> Value {
    let one = |(key, value): &(&'static str, Value)| {
        let value = match value {
            Value::Number(number) => json!({"intValue": number.to_string()}),
            Value::String(text) => json!({"stringValue": text}),
            Value::Bool(is_so) => json!({"boolValue": is_so}),
            // INVARIANT: nobody puts these in.
            Value::Null | Value::Array(_) | Value::Object(_) => json!({"stringValue": value.to_string()}),
        };
        json!({"key": key, "value": value})
    };
    of.iter().map(one).collect()
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str) -> Span {
        let ended = Instant::now();
        Span {
            trace: TraceId(NonZeroU128::new(0x4bf9_2f35).unwrap()),
            id: fresh_span().unwrap(),
            parent: Some(SpanId(NonZeroU64::new(0xf0).unwrap())),
            kind: Kind::Server,
            name: name.to_owned(),
            began: ended.checked_sub(Duration::from_micros(1_500)).unwrap_or(ended),
            ended,
            attributes: vec![("rpc.method", "list".into()), ("dbal.rows", 3.into())],
            failure: None,
        }
    }

    #[test]
    fn a_line_is_a_request_in_otlps_json() {
        let (lines, waiting) = sync_channel(4);
        let spans = Spans::into(lines, "dbal-broker", 10);
        let failed = Span {
            parent: None,
            kind: Kind::Client,
            failure: Some("500\n\"quoted\"".to_owned()),
            ..span("b")
        };
        spans.tell(&[span("list Note"), failed]);
        let line = waiting.recv().unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        let told: Value = serde_json::from_str(&line).unwrap();
        let resource = told.pointer("/resourceSpans/0/resource/attributes/0").unwrap();
        assert_eq!(
            *resource,
            json!({"key": "service.name", "value": {"stringValue": "dbal-broker"}})
        );
        let one = told.pointer("/resourceSpans/0/scopeSpans/0/spans/0").unwrap();
        assert_eq!(one["traceId"], "0000000000000000000000004bf92f35");
        assert_eq!(one["parentSpanId"], "00000000000000f0");
        assert_eq!((&one["kind"], &one["name"]), (&json!(2), &json!("list Note")));
        assert_eq!(
            one["attributes"][1],
            json!({"key": "dbal.rows", "value": {"intValue": "3"}})
        );
        assert!(one.get("status").is_none(), "{one}");
        let ns = |name: &str| one[name].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(ns("endTimeUnixNano") - ns("startTimeUnixNano"), 1_500_000);
        let other = told.pointer("/resourceSpans/0/scopeSpans/0/spans/1").unwrap();
        assert!(other.get("parentSpanId").is_none());
        assert_eq!(other["status"], json!({"code": 2, "message": "500\n\"quoted\""}));
    }

    #[test]
    fn no_more_is_recorded_than_a_second_has_room_for_and_a_reader_takes() {
        let (lines, waiting) = sync_channel(1);
        let spans = Spans::into(lines, "dbal-broker", 3);
        let admitted = (0..10).filter(|_| spans.has_room()).count();
        // Under load a second may have passed in between.
        assert!((3..10).contains(&admitted), "{admitted}");
        let dropped = spans.dropped();
        assert!(dropped > 0);
        spans.tell(&[span("a")]);
        spans.tell(&[span("b")]);
        assert_eq!(spans.dropped(), dropped + 1);
        assert!(waiting.recv().unwrap().contains("\"a\""));
        drop(waiting);
        spans.tell(&[span("c")]);
        assert_eq!(spans.dropped(), dropped + 2);
    }
}
