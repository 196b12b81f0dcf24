//! Why a request gets no result: what the client is told, and what only the operator is.

use std::borrow::Cow;
use std::time::Duration;

use dbal_policy::Cost;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::EntityId;
use dbal_shared::message::Tried;
use dbal_shared::plan::Operation;
use serde::Serialize;

use crate::method::Method;

/// What is said of a cursor: nothing of why, since whoever forges one should learn nothing.
pub const INVALID_CURSOR: &str = "invalid cursor";
/// Faults told of one request. A message can hold a hundred thousand mistakes; an answer, a record and a log line that
/// name them all would be many times as large as the message.
pub const FAULTS: usize = 100;

/// A refusal at any station of a request's way.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    kind: Kind,
    // Boxed: a refusal is what every station may answer with, and most answers are none.
    words: Box<Words>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Words {
    details: Details,
    operator: String,
    rule: Option<String>,
    /// What the call was about.
    about: Option<(EntityId, Operation)>,
    /// Rules that could have granted it.
    tried: Vec<Tried>,
    /// What it would cost, and what the caller may spend, where that is the reason.
    cost: Option<(Cost, u32)>,
}

/// What kind of refusal. The first four have numbers of their own in JSON-RPC 2.0 (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not JSON.
    Parse,
    /// JSON, but no request.
    InvalidRequest,
    /// No such method.
    UnknownMethod,
    /// Parameters of the wrong shape.
    InvalidParams,
    /// The application's own code.
    Code(Code),
}

impl Kind {
    /// The application's code, which native clients, logs and metrics see.
    pub fn code(self) -> Code {
        match self {
            Kind::Parse | Kind::InvalidRequest | Kind::UnknownMethod => Code::Malformed,
            Kind::InvalidParams => Code::Invalid,
            Kind::Code(code) => code,
        }
    }
}

/// What is wrong with one field of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// The field, or a path to it.
    pub field: String,
    /// What is wrong.
    pub error: String,
}

impl FieldFault {
    /// A fault found by the schema.
    pub fn new(field: impl Into<String>, fault: &Fault) -> Self {
        Self {
            field: field.into(),
            error: fault.to_string(),
        }
    }

    /// An option that there is not.
    pub fn unknown_option(field: impl Into<String>, known: &[&str]) -> Self {
        Self::text(field, format!("unknown option; there are {}", known.join(", ")))
    }

    /// A fault in an option or operator.
    pub fn text(field: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            error: error.into(),
        }
    }
}

/// The `details` of a native error and the `data` of a JSON-RPC one. Every text in it is fit for the client's eyes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// All faults at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFault>,
    /// Line in the message, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether nothing was done and trying again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// `unknown` where a write may or may not have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Which call of a transaction failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<usize>,
    /// What the database or this version can't do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<&'static str>,
    /// What to tell the operator, who finds it in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Names the refusal in the audit trail: `dbal policy why` tells the operator more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

impl Details {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Refusal {
    /// A refusal whose reason both client and operator may read.
    pub fn new(kind: Kind, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        Self {
            kind,
            words: Box::new(Words {
                operator: reason.clone().into_owned(),
                details: Details {
                    reason: Some(reason),
                    ..Details::default()
                },
                ..Words::default()
            }),
        }
    }

    /// A refusal that tells the client its code alone, and the operator why.
    pub fn silent(code: Code, operator: impl Into<String>) -> Self {
        Self {
            kind: Kind::Code(code),
            words: Box::new(Words {
                operator: operator.into(),
                ..Words::default()
            }),
        }
    }

    /// Not JSON (or JSON that is refused: duplicate keys, depth, NUL), at this place.
    pub fn parse(reason: String, line: usize, column: usize) -> Self {
        let mut refusal = Self::new(Kind::Parse, reason);
        refusal.words.details.line = Some(line);
        refusal.words.details.column = Some(column);
        refusal
    }

    /// 401
    pub fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Code(Code::Unauthorized), reason)
    }

    /// 404 for an entity, a method's row and so on.
    pub fn not_found(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Code(Code::NotFound), reason)
    }

    /// 422 with every fault, as far as there are at most [`FAULTS`].
    pub fn invalid(mut fields: Vec<FieldFault>) -> Self {
        fields.truncate(FAULTS);
        let names: Vec<&str> = fields.iter().map(|fault| fault.field.as_str()).collect();
        Self::silent(Code::Invalid, format!("faults in {}", names.join(", "))).with_fields(fields)
    }

    /// 429
    pub fn rate_limited(wait: Duration, operator: impl Into<String>) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        let mut refusal = Self::silent(Code::RateLimited, operator);
        refusal.words.details.retry_after = Some(seconds.max(1));
        refusal
    }

    /// 501
    pub fn unsupported(capability: &'static str) -> Self {
        let mut refusal = Self::new(
            Kind::Code(Code::Unsupported),
            format!("not supported: {capability}"),
        );
        refusal.words.details.capability = Some(capability);
        refusal
    }

    /// 503 and nothing was done.
    pub fn unavailable(operator: impl Into<String>) -> Self {
        let mut refusal = Self::silent(Code::Unavailable, operator);
        refusal.words.details.retryable = Some(true);
        refusal
    }

    /// Whether a write happened is not known.
    #[must_use]
    pub fn with_unknown_outcome(mut self) -> Self {
        self.words.details.outcome = Some("unknown");
        self.words.details.retryable = Some(false);
        self
    }

    /// Says whether asking again may help.
    #[must_use]
    pub fn with_retryable(mut self, is_retryable: bool) -> Self {
        self.words.details.retryable = Some(is_retryable);
        self
    }

    /// Adds faults.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldFault>) -> Self {
        self.words.details.fields = fields;
        self
    }

    /// Says which call of a transaction it is about.
    #[must_use]
    pub fn at_call(mut self, call: usize) -> Self {
        self.words.details.call = Some(call);
        self.words.operator = format!("call {call}: {}", self.words.operator);
        self
    }

    /// Says that it is what a call would get that was only explained.
    #[must_use]
    pub fn of_explained(mut self, method: Method) -> Self {
        self.words.operator = format!("explained {}: {}", method.name(), self.words.operator);
        self
    }

    /// Names the incident for the operator.
    #[must_use]
    pub fn with_incident(mut self, incident: String) -> Self {
        self.words.details.incident = Some(incident);
        self
    }

    /// Tells the operator more than the client.
    #[must_use]
    pub fn for_operator(mut self, operator: String, rule: Option<String>) -> Self {
        self.words.operator = operator;
        self.words.rule = rule;
        self
    }

    /// Says what the call was about, unless that is said already.
    #[must_use]
    pub fn about(mut self, entity: EntityId, operation: Operation) -> Self {
        self.words.about.get_or_insert((entity, operation));
        self
    }

    /// Adds what each rule came to, for the audit.
    #[must_use]
    pub fn with_tried(mut self, tried: Vec<Tried>) -> Self {
        self.words.tried = tried;
        self
    }

    /// Adds what the call would cost, of so much that is allowed.
    #[must_use]
    pub fn costing(mut self, cost: Cost, max: u32) -> Self {
        self.words.cost = Some((cost, max));
        self
    }

    /// Names the decision, for whoever asks the operator why.
    #[must_use]
    pub fn decided_as(mut self, decision: String) -> Self {
        self.words.details.decision = Some(decision);
        self
    }

    /// Whether somebody may ask why. All refusals of these codes are named alike: a name for hidden things only would
    /// tell them from those that do not exist.
    pub fn is_decision(&self) -> bool {
        match self.code() {
            Code::Forbidden | Code::NotFound | Code::TooLarge | Code::Invalid => true,
            Code::Malformed
            | Code::Unauthorized
            | Code::Conflict
            | Code::RateLimited
            | Code::Internal
            | Code::Unsupported
            | Code::Unavailable
            | Code::Timeout
            | Code::Quota
            | Code::SandboxViolation => false,
        }
    }

    /// Entity and operation that it is about, as far as they were understood. For the operator.
    pub fn subject_matter(&self) -> Option<(EntityId, Operation)> {
        self.words.about
    }

    /// What each rule came to. For the audit.
    pub fn tried(&self) -> &[Tried] {
        &self.words.tried
    }

    /// What the call would cost and may cost, where it is refused for that.
    pub fn cost(&self) -> Option<(Cost, u32)> {
        self.words.cost
    }

    /// What kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The application's code.
    pub fn code(&self) -> Code {
        self.kind.code()
    }

    /// For the client; none when there is nothing to say beyond the message.
    pub fn details(&self) -> Option<&Details> {
        (!self.words.details.is_empty()).then_some(&self.words.details)
    }

    /// For the log and the audit.
    pub fn operator(&self) -> &str {
        &self.words.operator
    }

    /// The rule that decided, if one did.
    pub fn rule(&self) -> Option<&str> {
        self.words.rule.as_deref()
    }
}
