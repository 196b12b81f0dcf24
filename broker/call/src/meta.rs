//! What a caller says about the call itself: patience, trace, and a name under which a write is done once. In `params._meta` or `options.meta`.

use std::time::Duration;

use dbal_shared::json::Json;
use dbal_shared::limits::IDEMPOTENCY_KEY_BYTES;
use dbal_shared::trace::Trace;

use super::arguments::shown;
use crate::refusal::{FieldFault, Refusal};

/// What there is to say.
const MEMBERS: &[&str] = &["timeoutMs", "traceparent", "idempotencyKey"];

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The caller waits no longer than this.
    pub patience: Option<Duration>,
    /// The trace that the call belongs to, see [`crate::trace`].
    pub trace: Option<Trace>,
    /// The caller's own name for this write.
    pub once: Option<String>,
}

impl Meta {
    pub(super) fn parse(json: Option<&Json>, path: &str) -> Result<Self, Refusal> {
        let mut meta = Self::default();
        let members = match json {
            None | Some(Json::Null) => return Ok(meta),
            Some(Json::Object(members)) => members,
            Some(other) => {
                return Err(one_fault(
                    path.to_owned(),
                    format!("must be an object, not {}", other.kind()),
                ));
            }
        };
        for (name, value) in members {
            let field = format!("{path}.{}", shown(name));
            match (name.as_str(), value) {
                (_, Json::Null) => {}
                ("timeoutMs", Json::Int(ms)) if *ms > 0 => {
                    meta.patience = u64::try_from(*ms).ok().map(Duration::from_millis);
                }
                ("timeoutMs", _) => {
                    return Err(one_fault(field, "must be an integer of 1 or more".to_owned()));
                }
                ("traceparent", trace) => match trace.as_text().and_then(Trace::parse) {
                    Some(trace) => meta.trace = Some(trace),
                    None => return Err(one_fault(field, "must be a W3C trace context".to_owned())),
                },
                ("idempotencyKey", key) => meta.once = Some(once(key, field)?),
                _ => {
                    let fault = FieldFault::unknown_option(field, MEMBERS);
                    return Err(Refusal::invalid(vec![fault]));
                }
            }
        }
        Ok(meta)
    }

    /// Takes what `other` says where this one says nothing. Of two names for one write nobody knows which it is to be found by.
    pub(super) fn complete(&mut self, other: Meta) -> Result<(), Refusal> {
        self.patience = self.patience.or(other.patience);
        self.trace = self.trace.or(other.trace);
        self.name(other.once)
    }

    /// Takes a name for the write, if it has none yet or the same.
    pub(super) fn name(&mut self, once: Option<String>) -> Result<(), Refusal> {
        match (&self.once, once) {
            (Some(known), Some(other)) if *known != other => Err(one_fault(
                "idempotencyKey".to_owned(),
                "is given twice, and not the same".to_owned(),
            )),
            (_, None) => Ok(()),
            (_, once @ Some(_)) => {
                self.once = once;
                Ok(())
            }
        }
    }
}

/// An idempotency key: any short text.
pub(super) fn once(json: &Json, field: String) -> Result<String, Refusal> {
    match json.as_text() {
        Some(key) if (1..=IDEMPOTENCY_KEY_BYTES).contains(&key.len()) => Ok(key.to_owned()),
        Some(_) | None => Err(one_fault(
            field,
            format!("must be a text of 1 to {IDEMPOTENCY_KEY_BYTES} bytes"),
        )),
    }
}

fn one_fault(field: String, error: String) -> Refusal {
    Refusal::invalid(vec![FieldFault { field, error }])
}
