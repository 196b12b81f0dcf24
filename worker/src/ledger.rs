//! The one place that turns what happened into audit records, and decides what happens when they can't be written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dbal_audit::{AuditError, Event, Journal, Outcome, Record, Tended};
use dbal_config::OnFailure;
use dbal_policy::{Asked, Policy};
use dbal_schema::ColumnSet;
use dbal_shared::fault::Code;
use dbal_shared::ids::{Digest, EntityId, RequestId};
use dbal_shared::message::{
    Advice, Countersignature, Explained, Failure, Head, Lifecycle, Refused, Reply, Tried,
};
use dbal_shared::plan::Operation;
use dbal_shared::principal::Principal;
use dbal_shared::trace::Trace;

use crate::allowance::Allowance;
use crate::generate::now_ns;
use crate::job::Refusal;
use crate::session::Session;
use crate::traces::Traces;

/// Longest reason of a record, in bytes: the broker or SQLite writes it, so it is not believed to be short.
const REASON_BYTES: usize = 512;
/// Between pieces of 128 KiB that take some milliseconds: compressing gets about a fifth of one processor, and keeps up with
/// ten thousand records a second.
const COMPRESS_PAUSE: Duration = Duration::from_millis(5);
/// Longest address or method name of a report, in bytes.
const NAME_BYTES: usize = 64;

/// The journal and what depends on it.
pub struct Ledger {
    journal: Journal,
    on_failure: OnFailure,
    is_refusing: AtomicBool,
    /// Whether it was said that the trail can't be written, where calls go on.
    is_unwritten: AtomicBool,
    /// Whether it was said that the trail can't be rotated.
    is_untended: AtomicBool,
    traces: Option<Traces>,
    /// Nothing is to be begun that takes long.
    is_ending: AtomicBool,
    /// For the reports of all brokers together: one that is taken can come again under another channel.
    reports: Mutex<Allowance>,
    /// Rows that were removed since their time was over.
    expired: AtomicU64,
    /// And those that can't be, as far as is known.
    expired_held: AtomicU64,
}

/// Who removes rows whose time is over. Nobody else writes records of that event, whatever callers are called.
const OURSELVES: &str = "dbal-worker";

/// What became of a removal of rows whose time was over.
#[derive(Debug)]
pub enum Removal<'a> {
    /// So many are gone.
    Done {
        /// Their number.
        rows: u64,
        /// How long it took.
        took: Duration,
    },
    /// They are or they are not.
    Unknown {
        /// How many at most.
        most: u64,
        /// How long it took.
        took: Duration,
        /// Why nobody knows.
        refusal: &'a Refusal,
    },
    /// They stay.
    NotDone {
        /// Why.
        refusal: &'a Refusal,
    },
}

/// What the audit will say of a call, gathered on its way.
#[derive(Clone, Debug)]
pub struct Memo {
    /// The request.
    pub request: RequestId,
    /// Whose call it is.
    pub session: Option<Arc<Session>>,
    /// The method's name.
    pub method: &'static str,
    /// The operation; none for a transaction, which has one in each of its calls.
    pub operation: Option<Operation>,
    /// Keys of rows that it names or makes.
    pub keys: Vec<String>,
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// The policy that judged it, and of which entity: who is refused must find out why.
    pub judged: Option<(Arc<Policy>, EntityId)>,
    /// What the policy counted.
    pub complexity: Option<u32>,
    /// Rows that it read or changed, where that is known before the answer.
    pub rows: Option<u64>,
    /// What there is to say of a success.
    pub note: Option<&'static str>,
    /// When the call came.
    pub since: Instant,
    /// When the database began to work on it, if it did.
    pub database_since: Option<Instant>,
    /// Where it stands in which trace, as the broker says.
    pub trace: Option<Trace>,
    /// The calls of a transaction. Each gets a record of its own.
    pub calls: Vec<Memo>,
}

impl Memo {
    /// Of a question that this process asks itself. It is never written down.
    pub fn of_our_own() -> Self {
        Self {
            request: RequestId { boot: 0, sequence: 0 },
            session: None,
            method: "session",
            operation: Some(Operation::Read),
            keys: Vec::new(),
            rule: None,
            judged: None,
            complexity: None,
            rows: None,
            note: None,
            since: Instant::now(),
            database_since: None,
            trace: None,
            calls: Vec::new(),
        }
    }

    /// The entity's name.
    pub fn entity(&self) -> Option<&str> {
        let (policy, entity) = self.judged.as_ref()?;
        let entity = policy.schema().entity(*entity)?;
        Some(&entity.name)
    }

    /// Whether the call changes the database.
    pub fn is_write(&self) -> bool {
        let itself = self.operation.is_some_and(|operation| match operation {
            Operation::Read | Operation::List => false,
            Operation::Create | Operation::Update | Operation::Delete => true,
        });
        itself || self.calls.iter().any(Memo::is_write)
    }
}

impl Ledger {
    /// A ledger over an open journal.
    pub fn new(journal: Journal, on_failure: OnFailure) -> Self {
        Self {
            journal,
            on_failure,
            is_refusing: AtomicBool::new(false),
            is_unwritten: AtomicBool::new(false),
            is_untended: AtomicBool::new(false),
            traces: None,
            is_ending: AtomicBool::new(false),
            reports: Mutex::new(Allowance::full(Instant::now())),
            expired: AtomicU64::new(0),
            expired_held: AtomicU64::new(0),
        }
    }

    /// Writes spans as well.
    #[must_use]
    pub fn traced_by(mut self, traces: Option<Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// Records the end of a call and returns what the broker gets.
    pub fn call(&self, memo: &Memo, outcome: Result<Reply, Refusal>) -> Result<Reply, Failure> {
        for (position, call) in memo.calls.iter().enumerate() {
            if self.call_of_transaction(position, call, &outcome).is_err() {
                return Err(unwritten(outcome.is_ok() && memo.is_write()));
            }
        }
        let (how, code, detail, rows) = match &outcome {
            Ok(reply) => (Outcome::Allowed, None, memo.note, Some(reply.rows)),
            Err(Refusal { failure, detail }) => (
                how(failure.code, failure.advice),
                Some(failure.code),
                Some(cut(detail, REASON_BYTES)),
                None,
            ),
        };
        if let Err(Refusal { failure, detail }) = &outcome
            && failure.code == Code::Internal
        {
            tracing::error!(request = %memo.request, method = memo.method, detail, "a call failed by our own fault");
        }
        tracing::debug!(
            request = %memo.request,
            method = memo.method,
            code = code.map(Code::number),
            detail,
            rows,
            trace_id = memo.trace.map(|trace| tracing::field::display(trace.id)),
            "executed"
        );
        if let Some(traces) = &self.traces {
            traces.tell(memo, code, rows);
        }
        let why = Why::of(memo, code);
        let record = Record {
            code,
            detail,
            rows,
            claims: &why.claims,
            policy: why.policy,
            tried: &why.tried,
            ..of_memo(memo, Event::Call, how)
        };
        match self.append(&record) {
            Ok(()) => outcome.map_err(|refusal| refusal.failure),
            Err(()) => Err(unwritten(outcome.is_ok() && memo.is_write())),
        }
    }

    /// Records what became of one call of a transaction: what became of the transaction, and whose fault that is.
    fn call_of_transaction(
        &self,
        position: usize,
        memo: &Memo,
        outcome: &Result<Reply, Refusal>,
    ) -> Result<(), ()> {
        let Err(Refusal { failure, detail }) = outcome else {
            return self.append(&Record {
                rows: memo.rows,
                ..of_memo(memo, Event::Call, Outcome::Allowed)
            });
        };
        let is_culprit = failure.at.map(usize::from) == Some(position);
        let how = if is_culprit || failure.advice == Advice::OutcomeUnknown {
            how(failure.code, failure.advice)
        } else {
            Outcome::Failed
        };
        let detail = if is_culprit {
            cut(detail, REASON_BYTES)
        } else {
            "the transaction that it belongs to failed"
        };
        let why = Why::of(memo, is_culprit.then_some(failure.code));
        self.append(&Record {
            code: Some(failure.code),
            detail: Some(detail),
            claims: &why.claims,
            policy: why.policy,
            tried: &why.tried,
            ..of_memo(memo, Event::Call, how)
        })
    }

    /// Records that the broker did what an honest one can't do.
    pub fn incident(&self, memo: &Memo, detail: &str) {
        tracing::error!(request = %memo.request, method = memo.method, detail, "incident: the channel is closed");
        let record = Record {
            detail: Some(detail),
            ..of_memo(memo, Event::Incident, Outcome::Denied)
        };
        // A failure is logged by `append`; the incident ends the channel either way.
        let _ = self.append(&record);
    }

    /// Records an incident that belongs to no call.
    pub fn protocol_incident(&self, detail: &str) {
        tracing::error!(detail, "incident: the channel is closed");
        let _ = self.append(&Record {
            detail: Some(detail),
            ..Record::new(now_ns(), Event::Incident, Outcome::Denied)
        });
    }

    /// Records a proof that held, and what it was: calls name the principal, and only this names the key.
    pub fn accepted_proof(&self, principal: &Principal, remote: &str, by: &str) {
        let Principal {
            id,
            roles,
            tenant,
            claims: _,
        } = principal;
        let _ = self.append(&Record {
            principal: id.as_deref(),
            roles,
            tenant: tenant.as_deref(),
            remote: Some(remote),
            detail: Some(cut(by, REASON_BYTES)),
            ..Record::new(now_ns(), Event::Authentication, Outcome::Allowed)
        });
    }

    /// Records a proof that did not hold.
    pub fn refused_proof(&self, remote: &str, code: Code, detail: &str) {
        let _ = self.append(&Record {
            remote: Some(remote),
            code: Some(code),
            detail: Some(detail),
            ..Record::new(now_ns(), Event::Authentication, Outcome::Denied)
        });
    }

    /// Whether one more report of a broker is written down. Others are counted, and the count is written down with the next sync:
    /// no incident, since clients that are refused without end could make an honest broker send as many.
    fn takes_report(&self) -> bool {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.takes(Instant::now())
    }

    fn tell_of_others(&self) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(others) = reports.beyond(Instant::now()) else {
            return;
        };
        drop(reports);
        tracing::warn!(others, "a broker reports more than is written down one by one");
        let _ = self.append(&Record {
            detail: Some("reports of a broker that came too fast to be written down one by one"),
            rows: Some(others),
            ..Record::new(now_ns(), Event::Lost, Outcome::Denied)
        });
    }

    /// Records what the broker refused by itself.
    pub fn reported(&self, refused: &Refused, session: Option<&Session>, entity: Option<&str>) {
        let Refused {
            request,
            session: _,
            remote,
            entity: _,
            operation,
            method,
            code,
            reason,
            rule,
            policy,
            tried,
            repeated,
            trace,
        } = refused;
        if !self.takes_report() {
            return;
        }
        let principal = session.map(|session| &session.principal);
        let _ = self.append(&Record {
            request: Some(*request),
            principal: principal.and_then(|principal| principal.id.as_deref()),
            roles: principal.map_or(&[], |principal| principal.roles.as_slice()),
            tenant: principal.and_then(|principal| principal.tenant.as_deref()),
            remote: Some(session.map_or_else(|| cut(remote, NAME_BYTES), |session| session.remote.as_str())),
            method: method.as_deref().map(|method| cut(method, NAME_BYTES)),
            operation: *operation,
            entity,
            code: Some(*code),
            detail: Some(cut(reason, REASON_BYTES)),
            rule: rule.as_deref().map(|rule| cut(rule, NAME_BYTES)),
            claims: &principal.map_or_else(Vec::new, claims),
            policy: *policy,
            tried,
            repeated: (*repeated > 0).then(|| u64::from(*repeated)),
            trace: *trace,
            ..Record::new(now_ns(), Event::Call, how(*code, Advice::Final))
        });
    }

    /// Records that a call was explained by the broker, and would be allowed.
    pub fn explained(&self, explained: &Explained, session: Option<&Session>, entity: Option<&str>) {
        let Explained {
            request,
            session: _,
            entity: _,
            operation,
            method,
            rule,
            complexity,
            trace,
        } = explained;
        if !self.takes_report() {
            return;
        }
        let principal = session.map(|session| &session.principal);
        let _ = self.append(&Record {
            request: Some(*request),
            principal: principal.and_then(|principal| principal.id.as_deref()),
            roles: principal.map_or(&[], |principal| principal.roles.as_slice()),
            tenant: principal.and_then(|principal| principal.tenant.as_deref()),
            remote: session.map(|session| session.remote.as_str()),
            method: Some("explain"),
            operation: *operation,
            entity,
            detail: Some(&format!("explained {}", cut(method, NAME_BYTES))),
            rule: rule.as_deref(),
            complexity: Some(*complexity),
            trace: *trace,
            ..Record::new(now_ns(), Event::Call, Outcome::Allowed)
        });
    }

    /// Records an event of the broker's life.
    pub fn broker(&self, lifecycle: &Lifecycle) {
        if !self.takes_report() {
            return;
        }
        let (event, detail) = match lifecycle {
            Lifecycle::Started { version } => (Event::BrokerStarted, cut(version, NAME_BYTES).to_owned()),
            Lifecycle::Stopping => (Event::BrokerStopping, String::new()),
            Lifecycle::PolicyReloaded { policy } => (Event::PolicyReloaded, format!("broker: {policy}")),
        };
        self.worker(event, &detail);
    }

    /// Records that this process is about to go by another policy.
    pub fn reloaded(&self, policy: Digest) {
        self.worker(Event::PolicyReloaded, &format!("worker: {policy}"));
    }

    /// Records that this process is about to go by other keys.
    pub fn reloaded_keys(&self) {
        self.worker(Event::KeysReloaded, "worker");
    }

    /// Records that a reload failed, so that the old policy stays in force.
    pub fn not_reloaded(&self, reason: &str) {
        let _ = self.append(&Record {
            detail: Some(cut(reason, REASON_BYTES)),
            ..Record::new(now_ns(), Event::PolicyReloaded, Outcome::Failed)
        });
    }

    /// Records what a broker has signed of this trail.
    pub fn countersigned(&self, countersignature: &Countersignature) {
        let _ = self.append(&Record {
            countersigned: Some(countersignature),
            ..Record::new(now_ns(), Event::Countersigned, Outcome::Allowed)
        });
    }

    /// How far the trail reaches on the disk, if there is more to show than record number `shown`.
    pub fn head_beyond(&self, shown: u64) -> Option<Head> {
        self.journal.head_beyond(shown)
    }

    /// Records what became of rows whose time was over, and counts them. What can't be written down is logged by `append`, and no
    /// more is removed while [`Ledger::is_refusing`].
    pub fn expired(&self, entity: &str, removal: &Removal<'_>) {
        let (outcome, rows, took, refusal) = match removal {
            Removal::Done { rows, took } => {
                self.expired.fetch_add(*rows, Ordering::Relaxed);
                tracing::debug!(entity, rows, "removed rows whose time was over");
                (Outcome::Allowed, Some(*rows), Some(took), None)
            }
            Removal::Unknown { most, took, refusal } => {
                (Outcome::Unknown, Some(*most), Some(took), Some(refusal))
            }
            Removal::NotDone { refusal } => (Outcome::Failed, None, None, Some(refusal)),
        };
        let _ = self.append(&Record {
            principal: Some(OURSELVES),
            operation: Some(Operation::Delete),
            entity: Some(entity),
            code: refusal.map(|refusal| refusal.failure.code),
            detail: refusal.map(|refusal| cut(&refusal.detail, REASON_BYTES)),
            duration_us: took.and_then(|took| u64::try_from(took.as_micros()).ok()),
            rows,
            ..Record::new(now_ns(), Event::Expired, outcome)
        });
    }

    /// Notes how many rows whose time is over can't be removed.
    pub fn holds_expired(&self, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.expired_held.store(rows, Ordering::Relaxed);
    }

    /// Rows that were removed since their time was over, and those that can't be.
    pub fn expired_rows(&self) -> (u64, u64) {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (number(&self.expired), number(&self.expired_held))
    }

    /// Records an event of this process's life.
    pub fn worker(&self, event: Event, detail: &str) {
        let detail = (!detail.is_empty()).then_some(detail);
        let _ = self.append(&Record {
            detail,
            ..Record::new(now_ns(), event, Outcome::Allowed)
        });
    }

    /// Hands every record so far to the kernel. INVARIANT: the channel sends no answer before this returned `Ok`.
    pub fn flush(&self) -> Result<(), Failure> {
        match self.settle(self.journal.flush()) {
            Ok(()) => Ok(()),
            Err(()) => Err(unwritten(false)),
        }
    }

    /// Hands every record so far to the disk, where that is not done with each flush, and goes on in another file or removes
    /// old ones when that is due.
    pub fn sync(&self) {
        self.tell_of_others();
        let synced = self.settle(self.journal.flush().and_then(|()| self.journal.sync()));
        if synced.is_ok() {
            self.tend();
        }
    }

    /// Calls don't wait for this to succeed: the trail can be written where it is.
    fn tend(&self) {
        let Tended { ended, head, removed } = match self.journal.tend() {
            Ok(tended) => tended,
            Err(error) => {
                if !self.is_untended.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the audit trail can't go on in another file, or an old one can't be removed");
                }
                return;
            }
        };
        self.is_untended.store(false, Ordering::Relaxed);
        // Where the log goes, somebody who can write the folder can't: `dbal audit verify --head` asks for these.
        if let Some((record, head)) = head {
            tracing::info!(record, head, "the head of the audit trail");
        }
        if let Some((file, head)) = ended {
            tracing::info!(file = %file.display(), head, "a file of the audit trail is full; it goes on in another");
        }
        for file in removed {
            tracing::info!(file = %file.display(), "a file of the audit trail was removed, as configured");
        }
    }

    /// Compresses one file that ended, if there is one. Takes seconds, most of which it waits.
    pub fn compress(&self) {
        let goes_on = || {
            std::thread::sleep(COMPRESS_PAUSE);
            !self.is_ending.load(Ordering::Relaxed)
        };
        match self.journal.compress(goes_on) {
            Ok(Some(file)) => {
                tracing::debug!(file = %file.display(), "a file of the audit trail is compressed");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a file of the audit trail stays as it is, uncompressed"),
        }
    }

    /// Gives up what takes long.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether calls have to be refused because they could not be written down.
    pub fn is_refusing(&self) -> bool {
        self.is_refusing.load(Ordering::Relaxed)
    }

    /// Records that are not on the disk yet.
    pub fn lag(&self) -> u64 {
        self.journal.lag()
    }

    fn append(&self, record: &Record<'_>) -> Result<(), ()> {
        match self.journal.append(record) {
            Ok(()) => Ok(()),
            Err(error) => self.settle(Err(error)),
        }
    }

    fn settle(&self, result: Result<(), AuditError>) -> Result<(), ()> {
        let refuses = match self.on_failure {
            OnFailure::Refuse => true,
            OnFailure::Continue => false,
        };
        let error = match result {
            Ok(()) => {
                if self.is_refusing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit trail can be written again; calls are taken");
                }
                if self.is_unwritten.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit trail can be written again");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if !refuses {
            // Once, not for every call: the log may be on the disk that is full.
            if !self.is_unwritten.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "the audit trail can't be written; calls go on, as configured");
            }
            return Ok(());
        }
        if !self.is_refusing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the audit trail can't be written; calls are refused until it can");
        }
        Err(())
    }
}

/// What lets an operator find out why a call was refused here that the broker had let pass.
#[derive(Default)]
struct Why {
    claims: Vec<String>,
    policy: Option<Digest>,
    tried: Vec<Tried>,
}

impl Why {
    /// Nothing but for refusals that somebody may ask about.
    fn of(memo: &Memo, code: Option<Code>) -> Self {
        let (Some(code), Some((policy, entity)), Some(session)) = (code, &memo.judged, &memo.session) else {
            return Self::default();
        };
        let asked = match code {
            // A row that no rule leads to: which rules were asked stands in `rule`. It happens in honest use, and often.
            Code::NotFound | Code::Invalid | Code::TooLarge => None,
            Code::Forbidden => memo.operation.map(|operation| Asked {
                entity: *entity,
                operation,
                plan: None,
                refused: ColumnSet::new(),
            }),
            Code::Malformed
            | Code::Unauthorized
            | Code::Conflict
            | Code::RateLimited
            | Code::Internal
            | Code::Unsupported
            | Code::Unavailable
            | Code::Timeout
            | Code::Quota
            | Code::SandboxViolation => return Self::default(),
        };
        let tried = asked.map(|asked| policy.tried(&session.principal, &session.subject, &asked));
        Self {
            claims: claims(&session.principal),
            policy: Some(policy.hash()),
            tried: tried.unwrap_or_default(),
        }
    }
}

/// What a caller is told whose call could not be written down. What was done and not recorded may not be called undone.
pub fn unwritten(is_done: bool) -> Failure {
    Failure {
        code: Code::Unavailable,
        fields: Vec::new(),
        advice: if is_done {
            Advice::OutcomeUnknown
        } else {
            Advice::Retry
        },
        at: None,
    }
}

fn of_memo(memo: &Memo, event: Event, outcome: Outcome) -> Record<'_> {
    let Memo {
        request,
        session,
        method,
        operation,
        keys,
        rule,
        judged: _,
        complexity,
        rows: _,
        note: _,
        since,
        database_since: _,
        trace,
        calls: _,
    } = memo;
    let principal = session.as_ref().map(|session| &session.principal);
    Record {
        request: Some(*request),
        principal: principal.and_then(|principal| principal.id.as_deref()),
        roles: principal.map_or(&[], |principal| principal.roles.as_slice()),
        tenant: principal.and_then(|principal| principal.tenant.as_deref()),
        remote: session.as_ref().map(|session| session.remote.as_str()),
        method: Some(method),
        operation: *operation,
        entity: memo.entity(),
        keys,
        rule: rule.as_deref(),
        complexity: *complexity,
        duration_us: u64::try_from(since.elapsed().as_micros()).ok(),
        trace: trace.map(|trace| trace.id),
        ..Record::new(now_ns(), event, outcome)
    }
}

fn how(code: Code, advice: Advice) -> Outcome {
    match advice {
        Advice::OutcomeUnknown => return Outcome::Unknown,
        Advice::Final
        | Advice::Retry
        | Advice::StalePolicy
        | Advice::UnknownSession
        | Advice::OtherRequest
        | Advice::TooLongToKeep => {}
    }
    match code {
        Code::Malformed
        | Code::Unauthorized
        | Code::Forbidden
        | Code::TooLarge
        | Code::RateLimited
        | Code::SandboxViolation => Outcome::Denied,
        Code::NotFound
        | Code::Conflict
        | Code::Invalid
        | Code::Internal
        | Code::Unsupported
        | Code::Unavailable
        | Code::Timeout
        | Code::Quota => Outcome::Failed,
    }
}

/// Names of the claims that a proof brings along. Their values stay out of the audit.
fn claims(principal: &Principal) -> Vec<String> {
    principal.claims.iter().map(|(name, _)| name.clone()).collect()
}

/// The first `most` bytes of a text, or fewer where a character would be cut.
pub fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}
