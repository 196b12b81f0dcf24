//! What one record says. No row values, no tokens; who, what, on which rows, with what outcome.

use dbal_shared::fault::Code;
use dbal_shared::ids::{Digest, RequestId};
use dbal_shared::message::{Countersignature, Tried};
use dbal_shared::plan::Operation;
use dbal_shared::trace::TraceId;

use crate::checkpoint::Checkpoint;

/// One record, borrowed from whoever has just finished the work. The journal adds number, chain and hash.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When: nanoseconds since 1970-01-01T00:00:00Z.
    pub time_ns: i64,
    /// What kind of thing happened.
    pub event: Event,
    /// How it ended.
    pub outcome: Outcome,
    /// The request, as both processes' logs name it.
    pub request: Option<RequestId>,
    /// The caller's trace.
    pub trace: Option<TraceId>,
    /// The principal's id.
    pub principal: Option<&'a str>,
    /// The principal's roles.
    pub roles: &'a [String],
    /// The principal's tenant.
    pub tenant: Option<&'a str>,
    /// The caller's address, as the broker saw it.
    pub remote: Option<&'a str>,
    /// The method that was called.
    pub method: Option<&'a str>,
    /// The operation that the policy decided on.
    pub operation: Option<Operation>,
    /// The entity.
    pub entity: Option<&'a str>,
    /// Keys of the rows that were read one by one or changed.
    pub keys: &'a [String],
    /// The code that the client saw.
    pub code: Option<Code>,
    /// Why, for the operator.
    pub detail: Option<&'a str>,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// Names of the principal's further claims.
    pub claims: &'a [String],
    /// The policy that refused it.
    pub policy: Option<Digest>,
    /// Rules that could have granted it, and what kept each from doing so.
    pub tried: &'a [Tried],
    /// How many refusals just like this one followed it and have no record of their own.
    pub repeated: Option<u64>,
    /// What the policy counted.
    pub complexity: Option<u32>,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// Rows read or changed.
    pub rows: Option<u64>,
    /// Records that are about to be removed, since their time is over.
    pub removed: Option<&'a Removed>,
    /// The signature of a checkpoint.
    pub checkpoint: Option<&'a Checkpoint>,
    /// An earlier record, as a broker has signed it.
    pub countersigned: Option<&'a Countersignature>,
}

/// Records whose files are removed, all that are older than record `to + 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// The hash of the last: the first record that stays names it.
    pub head: String,
}

impl Record<'_> {
    /// A record that says only this; name the rest with `..Record::new(…)`.
    pub fn new(time_ns: i64, event: Event, outcome: Outcome) -> Self {
        Self {
            time_ns,
            event,
            outcome,
            request: None,
            trace: None,
            principal: None,
            roles: &[],
            tenant: None,
            remote: None,
            method: None,
            operation: None,
            entity: None,
            keys: &[],
            code: None,
            detail: None,
            rule: None,
            claims: &[],
            policy: None,
            tried: &[],
            repeated: None,
            complexity: None,
            duration_us: None,
            rows: None,
            removed: None,
            checkpoint: None,
            countersigned: None,
        }
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody called a method.
    Call,
    /// A proof of identity was judged.
    Authentication,
    /// The worker serves.
    WorkerStarted,
    /// The worker drains.
    WorkerStopping,
    /// A broker serves.
    BrokerStarted,
    /// A broker drains.
    BrokerStopping,
    /// A new policy is in force.
    PolicyReloaded,
    /// Other keys are in force, and the same policy.
    KeysReloaded,
    /// The worker itself removed rows whose time was over, or could not.
    Expired,
    /// The broker did what an honest one can't do.
    Incident,
    /// The journal found an unfinished record at its end and went on after it.
    Recovered,
    /// Records could not be written for a while; `rows` tells how many are missing.
    Lost,
    /// Files past their time are about to be removed; `removed` tells which records they held.
    Removed,
    /// A signature over the chain so far.
    Checkpoint,
    /// The broker's signature over a head that it was shown.
    Countersigned,
}

impl Event {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Event::Call => "call",
            Event::Authentication => "authentication",
            Event::WorkerStarted => "worker-started",
            Event::WorkerStopping => "worker-stopping",
            Event::BrokerStarted => "broker-started",
            Event::BrokerStopping => "broker-stopping",
            Event::PolicyReloaded => "policy-reloaded",
            Event::KeysReloaded => "keys-reloaded",
            Event::Expired => "expired",
            Event::Incident => "incident",
            Event::Recovered => "recovered",
            Event::Lost => "lost",
            Event::Removed => "removed",
            Event::Checkpoint => "checkpoint",
            Event::Countersigned => "countersigned",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Permitted and done.
    Allowed,
    /// Refused: not permitted, not authenticated, too much.
    Denied,
    /// Permitted and not done: conflict, invalid values, no such row, database away.
    Failed,
    /// Permitted; whether it was done is not known.
    Unknown,
}

impl Outcome {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        }
    }
}
