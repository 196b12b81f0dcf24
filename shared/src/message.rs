//! The closed list of what may be said on the channel, and when.

use secrecy::SecretString;

use crate::fault::{Code, Fault};
use crate::ids::{CallId, ColumnId, Digest, EntityId, RequestId, SessionHandle};
use crate::plan::{Operation, Plan};
use crate::principal::Principal;
use crate::trace::{Trace, TraceId};

/// Version of the channel's protocol. Both sides must speak the same.
pub const PROTOCOL: u16 = 10;

/// Which messages are in order. Anything out of phase ends the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The broker has connected; only [`ToWorker::Hello`] may come.
    Greeting,
    /// Both agreed; everything but a greeting may come.
    Serving,
}

/// From broker to worker.
#[derive(Debug)]
pub enum ToWorker {
    /// First message: what the broker speaks and holds.
    Hello(Hello),
    /// Here is a caller's own proof; who is it?
    OpenSession(OpenSession),
    /// The caller is gone.
    CloseSession(SessionHandle),
    /// Do this for the bearer of a session.
    Execute(Execute),
    /// Do all of this for the bearer of a session, or nothing of it.
    Transact(Transact),
    /// Nobody waits for this call any more.
    Cancel(CallId),
    /// Something that the worker did not see and the audit must hold.
    Report(Report),
    /// A head of the audit trail that the worker showed, signed by the broker.
    Countersigned(Countersignature),
}

impl ToWorker {
    /// Whether the message may come in this phase.
    pub fn belongs_to(&self, phase: Phase) -> bool {
        match (self, phase) {
            (ToWorker::Hello(_), Phase::Greeting) => true,
            (ToWorker::Hello(_), Phase::Serving) => false,
            (
                ToWorker::OpenSession(_)
                | ToWorker::CloseSession(_)
                | ToWorker::Execute(_)
                | ToWorker::Transact(_)
                | ToWorker::Cancel(_)
                | ToWorker::Report(_)
                | ToWorker::Countersigned(_),
                phase,
            ) => phase == Phase::Serving,
        }
    }
}

/// The broker's greeting.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// See [`PROTOCOL`].
    pub protocol: u16,
    /// Hash of the broker's schema; must equal the worker's.
    pub schema: Digest,
    /// Hash of the broker's policy; may differ while one of both reloads.
    pub policy: Digest,
    /// The broker's version, for the log.
    pub version: String,
}

/// Asks for a session.
#[derive(Debug)]
pub struct OpenSession {
    /// Answered under this number.
    pub call: CallId,
    /// The caller's own proof.
    pub proof: Proof,
    /// The caller's address, for the audit.
    pub remote: String,
    /// The client certificate that the caller proved to the broker, which is all there is to believe it.
    pub certificate: Option<Certificate>,
}

/// A client certificate whose key was proven in the TLS handshake: to the broker. Nobody can prove it to the worker again, and
/// certificates are public; so it takes rights away (from tokens that are bound to another), and gives none of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of it (RFC 8705 §3.1: `x5t#S256`).
    pub thumbprint: Digest,
    /// What it is called: `dns:…`, `uri:…` and `cn:…`.
    pub names: Vec<String>,
}

/// What a caller shows to prove who it is.
#[derive(Debug)]
pub enum Proof {
    /// Nothing.
    Anonymous,
    /// A bearer token of any kind: JWT, API key or opaque session token.
    Bearer(SecretString),
    /// Its client certificate and nothing else.
    Certificate,
}

/// Asks for one plan to be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// Answered under this number.
    pub call: CallId,
    /// Names the request in the logs of both processes.
    pub request: RequestId,
    /// Whose rights count.
    pub session: SessionHandle,
    /// Milliseconds that are left of the caller's patience.
    pub budget_ms: u32,
    /// Policy under which the broker decided.
    pub policy: Digest,
    /// Digest of the broker's own grant, which the worker's must equal.
    pub grant: Digest,
    /// The caller's own name for this write, so that it is done once however often it is asked for.
    pub once: Option<String>,
    /// Where it stands in the caller's trace. It names spans and records, and decides nothing.
    pub trace: Option<Trace>,
    /// What the caller wants, not yet narrowed.
    pub plan: Plan,
}

/// Asks for several plans to be executed together: all of them or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Transact {
    /// Answered under this number.
    pub call: CallId,
    /// Names the request in the logs of both processes.
    pub request: RequestId,
    /// Whose rights count.
    pub session: SessionHandle,
    /// Milliseconds that are left of the caller's patience, for all of it.
    pub budget_ms: u32,
    /// Policy under which the broker decided.
    pub policy: Digest,
    /// What it may see of others that run beside it.
    pub isolation: Isolation,
    /// See [`Execute::once`].
    pub once: Option<String>,
    /// See [`Execute::trace`].
    pub trace: Option<Trace>,
    /// What the caller wants, in order, at most [`crate::limits::BATCH_CALLS`].
    pub calls: Vec<Wanted>,
}

impl Transact {
    /// Whether any of it changes the database.
    pub fn is_write(&self) -> bool {
        self.calls.iter().any(|wanted| wanted.plan.action.is_write())
    }
}

/// One plan of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Digest of the broker's own grant, which the worker's must equal.
    pub grant: Digest,
    /// Not yet narrowed; its values may refer to what earlier calls answer.
    pub plan: Plan,
}

/// What a transaction may see of others that run beside it, as SQL names it. A database may give more than is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// What others have committed by the time of each statement.
    ReadCommitted,
    /// What others had committed when it began.
    RepeatableRead,
    /// As if nothing ran beside it.
    #[default]
    Serializable,
}

impl Isolation {
    /// All of them.
    pub const ALL: [Isolation; 3] = [
        Isolation::ReadCommitted,
        Isolation::RepeatableRead,
        Isolation::Serializable,
    ];

    /// The name that clients use.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read_committed",
            Isolation::RepeatableRead => "repeatable_read",
            Isolation::Serializable => "serializable",
        }
    }
}

/// What the broker saw and the worker must write down.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A call was refused before it became an `Execute`.
    Refused(Refused),
    /// A call was explained; it would be allowed.
    Explained(Explained),
    /// The broker started, stops, or has a new policy.
    Lifecycle(Lifecycle),
}

/// A call that the broker refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The request.
    pub request: RequestId,
    /// The session, if there was one.
    pub session: Option<SessionHandle>,
    /// The caller's address.
    pub remote: String,
    /// The entity, if it was known.
    pub entity: Option<EntityId>,
    /// The operation, if it was known.
    pub operation: Option<Operation>,
    /// The method's name as far as it is one of ours.
    pub method: Option<String>,
    /// The code that the client saw.
    pub code: Code,
    /// Why, for the operator. Bounded to 512 bytes by the worker.
    pub reason: String,
    /// The rule that decided, if one did.
    pub rule: Option<String>,
    /// The policy that refused it; none where nobody had been asked for their rights yet.
    pub policy: Option<Digest>,
    /// Rules that could have granted it, and what kept each from doing so. At most [`crate::limits::TRIED`].
    pub tried: Vec<Tried>,
    /// How many refusals just like this one, of the same caller, came after it within a second and are not reported one by
    /// one. 0 for the refusal itself.
    pub repeated: u32,
    /// The caller's trace.
    pub trace: Option<TraceId>,
}

/// A rule or restriction that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its id.
    pub rule: String,
    /// File, line and column.
    pub at: String,
    /// What it came to, and why.
    pub why: String,
}

/// A call that was explained and would be allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The request.
    pub request: RequestId,
    /// Who asked.
    pub session: SessionHandle,
    /// The entity; none for a transaction.
    pub entity: Option<EntityId>,
    /// The operation; none for a transaction.
    pub operation: Option<Operation>,
    /// The explained method.
    pub method: String,
    /// Rules that would grant it.
    pub rule: Option<String>,
    /// What the policy counted.
    pub complexity: u32,
    /// The caller's trace.
    pub trace: Option<TraceId>,
}

/// Events of the broker's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// The broker serves.
    Started {
        /// Its version.
        version: String,
    },
    /// The broker drains.
    Stopping,
    /// A new policy is in force in the broker.
    PolicyReloaded {
        /// Its hash.
        policy: Digest,
    },
}

/// From worker to broker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBroker {
    /// Greeting accepted.
    Welcome(Welcome),
    /// Greeting refused; the channel ends.
    Rejected(Rejected),
    /// A session is open.
    SessionOpened(SessionOpened),
    /// The proof did not hold.
    SessionRefused(SessionRefused),
    /// The result of an `Execute` or a `Transact`.
    Answer(Answer),
    /// A sample of the database's state, sent about once a second.
    Health(Health),
    /// The worker ends this session, e.g. because its token ended.
    SessionEnded(SessionHandle),
    /// The worker drains; send nothing new.
    Draining,
    /// How far the audit trail reaches. The broker remembers it, and signs it if it has a key.
    Head(Head),
}

/// The worker's greeting.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// See [`PROTOCOL`].
    pub protocol: u16,
    /// Hash of the worker's schema.
    pub schema: Digest,
    /// Hash of the worker's policy.
    pub policy: Digest,
    /// The worker's version.
    pub version: String,
    /// What the adapter can do.
    pub capabilities: Capabilities,
    /// Layers of the sandbox, as they were read back from the kernel.
    pub sandbox: Vec<Layer>,
}

/// A layer of the worker's sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, as `dbal sandbox status` prints it.
    pub name: String,
    /// Whether it holds.
    pub state: LayerState,
}

/// Whether a layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// The kernel says so.
    InForce,
    /// It should, and doesn't.
    Missing {
        /// Why.
        why: String,
    },
    /// Not asked for.
    Off,
}

/// What an adapter can do, as `getCapabilities` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the protocol's own list of booleans"
)]
pub struct Capabilities {
    /// `sqlite`, `postgresql`, `mysql` or `prisma`.
    pub adapter: String,
    /// The database's version.
    pub version: String,
    /// Whether `transaction` is served.
    pub transactions: bool,
    /// Whether `include` is served.
    pub joins: bool,
    /// Whether full-text search is served.
    pub full_text_search: bool,
    /// Whether rows can expire by themselves.
    pub ttl: bool,
    /// Whether json columns can be searched.
    pub json_queries: bool,
    /// Whether `aggregate` is served.
    pub aggregations: bool,
    /// Whether relation filters are served.
    pub relations: bool,
}

/// Why a greeting was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejected {
    /// Another protocol version.
    Protocol {
        /// The worker's.
        expected: u16,
    },
    /// Another schema.
    Schema {
        /// The worker's.
        expected: Digest,
    },
}

/// The worker's verdict on a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionOpened {
    /// The `OpenSession`'s number.
    pub call: CallId,
    /// Names the session from now on.
    pub session: SessionHandle,
    /// Who it is.
    pub principal: Principal,
    /// When the proof ends: Unix time in milliseconds.
    pub expires_at_ms: Option<i64>,
}

/// The worker's verdict on a proof that did not hold. The reason is for the operator's log.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRefused {
    /// The `OpenSession`'s number.
    pub call: CallId,
    /// Unauthorized, or Unavailable when there are too many sessions.
    pub code: Code,
    /// Whether it was perhaps guessed.
    pub standing: Standing,
    /// Why.
    pub reason: String,
}

/// What is to be thought of whoever showed a proof that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing shows that it ever was a proof: perhaps it was guessed.
    Unproven,
    /// It was real, and is over or meant for somebody else; or nothing is wrong with it.
    Lapsed,
}

/// The result of one `Execute` or `Transact`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The question's number.
    pub call: CallId,
    /// What came of it.
    pub outcome: Result<Reply, Failure>,
}

/// A result, already in the bytes that the client will see.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// JSON of the result; the broker splices it in without parsing.
    pub json: String,
    /// Rows read or changed.
    pub rows: u64,
    /// Microseconds spent in the database.
    pub database_us: u32,
}

/// Why there is no result. Columns are positions: the broker turns them into names that the caller may know.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The protocol's code.
    pub code: Code,
    /// What is wrong with which column.
    pub fields: Vec<(ColumnId, Fault)>,
    /// What the client may do.
    pub advice: Advice,
    /// Which call of a transaction failed, from 0; none where it was none of them, or there is but one.
    pub at: Option<u16>,
}

/// What a client may conclude from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Asking the same again gives the same.
    Final,
    /// Nothing was done; asking again may help.
    Retry,
    /// Whether it was done is not known.
    OutcomeUnknown,
    /// Nothing was done; broker and worker hold different policies at the moment.
    StalePolicy,
    /// Nothing was done; the session's handle is not known here, or the worker goes: open it again, where a worker is.
    UnknownSession,
    /// Nothing was done; the caller's name for this write stands for another one.
    OtherRequest,
    /// Nothing was done; the write has a name, and its answer is longer than those that are kept.
    TooLongToKeep,
}

/// A sample of the database's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the database answered.
    pub is_connected: bool,
    /// How long it took, in microseconds.
    pub latency_us: u32,
    /// Database connections in use.
    pub active_connections: u32,
    /// Database connections that there are for calls.
    pub pool: u32,
    /// Calls waiting for a connection.
    pub queued: u32,
    /// Records not yet flushed to the audit file's disk.
    pub audit_lag: u32,
    /// Sessions open.
    pub sessions: u32,
    /// Hash of the policy in force; another one than the greeting's after a reload.
    pub policy: Digest,
    /// Reloads that failed since the start.
    pub failed_reloads: u32,
    /// Answers that are kept; none where no entity wants it.
    pub cache: Option<CacheSample>,
    /// Rows that were removed since their time was over, since the worker's start.
    pub expired_rows: u64,
    /// Rows whose time is over and that can't be removed, as far as is known.
    pub expired_rows_held: u64,
}

/// A sample of the answers that are kept. The first four count since the worker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSample {
    /// Reads that were answered from what is kept.
    pub hits: u64,
    /// Reads that could have been, and were not there.
    pub misses: u64,
    /// Answers that made room for others.
    pub evictions: u64,
    /// Writes, here or elsewhere, after which some answers were no longer true.
    pub invalidations: u64,
    /// Answers that are kept.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// Whether anything is kept or given out at the moment: not while what other daemons write can't be heard.
    pub is_on: bool,
}

/// The last record of an audit trail that is on the disk. Its hash vouches for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record's number.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
}

/// A head that a broker was shown and has signed, with a key that the worker lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Countersignature {
    /// The head.
    pub head: Head,
    /// The head that the same broker signed before; none for the first since its start.
    pub after: Option<Head>,
    /// The broker's public key (Ed25519, RFC 8032).
    pub key: [u8; 32],
    /// Over both heads.
    pub signature: [u8; 64],
}
