//! To the worker and back: one Unix stream, many calls in flight, and the truth about each when the stream breaks.
//!
//! A session belongs to the link that it was opened on. A link that breaks takes its sessions along, so nothing that a
//! former worker said is ever believed of the next one.

mod heads;
mod keeper;
mod link;
mod session;
mod weight;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dbal_shared::fault::Code;
use dbal_shared::ids::{CallId, Digest, RequestId};
use dbal_shared::limits::CALLS_IN_FLIGHT;
use dbal_shared::message::{
    self, Advice, Certificate, Countersignature, Execute, Failure, Head, Health, OpenSession, Proof, Reply,
    Report, Standing, ToWorker, Transact, Welcome,
};
use dbal_shared::trace::Trace;
use dbal_witness::Signer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::acl::Authorized;
use crate::call::Wanted;
use heads::Heads;
use link::{AskError, Link, Settled};
use weight::Scale;

pub use keeper::{Keeper, WorkerAddress};
pub use session::Session;
pub use weight::Weight;

/// Calls that a worker takes at once: its own `limits.queue` is 1024 by default, of which some are left for connections that ask for little.
const TAKEN_AT_ONCE: usize = 768;
/// How long a new call waits for a worker that is restarting. A restart takes well under a second.
const GAP: Duration = Duration::from_secs(2);
/// The worker enforces the deadline itself and knows better what came of the call, so its answer gets this much time
/// beyond the deadline to arrive.
const GRACE: Duration = Duration::from_millis(250);
/// What a busy worker gets to take the last reports, and how often it is looked whether it has.
const FLUSH: Duration = Duration::from_millis(500);
const FLUSH_POLL: Duration = Duration::from_millis(1);
/// Reports kept while there is no worker to write them down.
const REPORTS: usize = 1_024;
/// A sample of the database's state that is older than this tells nothing. The worker sends one each second.
const SAMPLE_AGE: Duration = Duration::from_secs(5);

/// What both sides must agree on before they talk.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// Hash of the schema.
    pub schema: Digest,
    /// Hash of the policy.
    pub policy: Digest,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub enum ChannelError {
    /// The worker answered so.
    Failed(Failure),
    /// The session's worker is gone or has forgotten it; nothing was done. Open a new one and ask again.
    SessionGone,
    /// The proof did not hold.
    ProofRefused {
        /// Unauthorized, or Unavailable when there are too many sessions.
        code: Code,
        /// Whether it was perhaps guessed.
        standing: Standing,
        /// For the operator.
        reason: String,
    },
    /// There is no worker, or too much is waiting for it; nothing was done.
    Unavailable(&'static str),
    /// The stream broke after the call was handed over: it may or may not have been done.
    Broken,
    /// The deadline passed.
    Timeout {
        /// Whether the worker may have done it nevertheless.
        was_sent: bool,
    },
    /// The call doesn't fit a frame.
    TooLarge,
}

/// The channel, shared by all connections.
pub struct Channel {
    link: watch::Receiver<Option<Arc<Link>>>,
    status: Arc<Status>,
    agreed: Arc<Mutex<Agreed>>,
    waiting: AtomicUsize,
}

/// What is known of the worker beside its answers.
#[derive(Default)]
struct Status {
    sample: Mutex<Option<(Instant, Health)>>,
    welcome: Mutex<Option<Welcome>>,
    greetings: AtomicU64,
    reports: Mutex<VecDeque<Report>>,
    dropped_reports: AtomicU64,
    scale: Scale,
    heads: Mutex<Heads>,
}

/// A reply, and its weight until it is written.
pub struct Answered {
    /// What the worker said.
    pub reply: Reply,
    /// To be dropped when the client has it.
    pub weight: Weight,
}

/// The worker as `/health` and the metrics show it.
#[derive(Clone, Debug)]
pub struct WorkerState {
    /// Whether there is a worker to talk to.
    pub is_connected: bool,
    /// The last sample, unless it is too old to mean anything.
    pub sample: Option<Health>,
    /// The policy that it goes by, as far as is known.
    pub policy: Option<Digest>,
    /// What the worker said when it greeted.
    pub welcome: Option<Welcome>,
    /// Times that a worker came back.
    pub restarts: u64,
    /// Calls that wait for an answer.
    pub in_flight: usize,
    /// Audit reports that found no room.
    pub dropped_reports: u64,
    /// What it has shown of its audit trail.
    pub trail: Trail,
}

/// The audit trail, as far as the worker has shown it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trail {
    /// The newest head, and when it was shown.
    pub head: Option<(Head, Instant)>,
    /// The newest head that was countersigned.
    pub countersigned: Option<Countersignature>,
    /// Heads that were refused, since they did not go on from what was shown before.
    pub refused: u64,
}

impl Channel {
    /// The channel's two ends: what calls use, and what keeps the stream to the worker alive.
    pub fn new(address: WorkerAddress, agreed: Agreed, signer: Option<Signer>) -> (Arc<Self>, Keeper) {
        let (publish, link) = watch::channel(None);
        let status = Arc::new(Status {
            heads: Mutex::new(Heads::new(signer)),
            ..Status::default()
        });
        let agreed = Arc::new(Mutex::new(agreed));
        let channel = Arc::new(Self {
            link,
            status: Arc::clone(&status),
            agreed: Arc::clone(&agreed),
            waiting: AtomicUsize::new(0),
        });
        (channel, Keeper::new(address, agreed, publish, status))
    }

    /// Greets workers with this policy from now on.
    pub fn go_by(&self, policy: Digest) {
        lock(&self.agreed).policy = policy;
    }

    /// Lets the worker judge a proof.
    pub async fn open_session(
        &self,
        proof: Proof,
        remote: String,
        certificate: Option<Certificate>,
        deadline: Instant,
    ) -> Result<Session, ChannelError> {
        let link = self.ready(deadline).await?;
        let waiting = link.ask(|call| {
            ToWorker::OpenSession(OpenSession {
                call,
                proof,
                remote,
                certificate,
            })
        });
        match timeout_at(deadline, waiting.map_err(ChannelError::from)?.settled()).await {
            Ok(Settled::Opened(opened, ended)) => Ok(Session::new(link, opened, ended)),
            Ok(Settled::Refused(refused)) => Err(ChannelError::ProofRefused {
                code: refused.code,
                standing: refused.standing,
                reason: refused.reason,
            }),
            Ok(Settled::Broken { .. } | Settled::Answer(_)) => Err(ChannelError::Unavailable(
                "the worker left while it judged a proof",
            )),
            Err(_) => Err(ChannelError::Timeout { was_sent: false }),
        }
    }

    /// Has the worker do what was authorized, and nothing less than that.
    pub async fn execute(
        &self,
        call: &Authorized,
        once: Option<&str>,
        request: RequestId,
        trace: Option<Trace>,
        deadline: Instant,
    ) -> Result<Answered, ChannelError> {
        let scale = &self.status.scale;
        let expected = scale.expect(call.wanted().plans());
        let room = match expected.kib {
            None => None,
            // Apart: most calls have no use for the room that this takes.
            Some(kib) => {
                let room = Box::pin(timeout_at(deadline, scale.room(call.payer(), kib))).await;
                Some(room.map_err(|_| {
                    let why = "the caller has not taken the long answers that it asked for before";
                    ChannelError::Unavailable(why)
                })?)
            }
        };
        let link = call.session().link();
        let waiting = link.ask(|id| question(call, once, (id, request, trace), milliseconds_until(deadline)));
        let waiting = waiting.map_err(|error| match error {
            AskError::Closed => ChannelError::SessionGone,
            AskError::Full | AskError::TooLong => error.into(),
        })?;
        let is_sent = waiting.handover();
        let late = deadline.checked_add(GRACE).unwrap_or(deadline);
        match timeout_at(late, waiting.settled()).await {
            Ok(Settled::Answer(Ok(Answered { reply, weight }))) => {
                if let Wanted::One(_) = call.wanted() {
                    scale.learn(&expected, reply.rows, reply.json.len());
                }
                let weight = weight.within(room);
                Ok(Answered { reply, weight })
            }
            Ok(Settled::Answer(Err(failure))) if failure.advice == Advice::UnknownSession => {
                Err(ChannelError::SessionGone)
            }
            Ok(Settled::Answer(Err(failure))) => Err(ChannelError::Failed(failure)),
            Ok(Settled::Broken { was_sent: false }) => Err(ChannelError::SessionGone),
            // The link never settles a call with the answer to another kind of question; see `Link::settle`.
            Ok(Settled::Broken { was_sent: true } | Settled::Opened(..) | Settled::Refused(_)) => {
                Err(ChannelError::Broken)
            }
            Err(_) => Err(ChannelError::Timeout {
                was_sent: is_sent.by_now(),
            }),
        }
    }

    /// Has the worker write down what it did not see itself.
    pub fn report(&self, report: Report) {
        let link = self.link.borrow().clone();
        let message = ToWorker::Report(report);
        let is_told = link.is_some_and(|link| link.tell(&message).is_ok());
        if let ToWorker::Report(report) = message
            && !is_told
        {
            self.status.keep(report);
        }
    }

    /// The worker as it is now.
    pub fn worker(&self) -> WorkerState {
        let link = self.link.borrow().clone();
        let welcome = lock(&self.status.welcome).clone();
        let sample = self.status.sample().filter(|_| link.is_some());
        let greeted_with = welcome
            .as_ref()
            .filter(|_| link.is_some())
            .map(|welcome| welcome.policy);
        WorkerState {
            is_connected: link.is_some(),
            policy: sample.map(|sample| sample.policy).or(greeted_with),
            sample,
            welcome,
            restarts: self.status.greetings.load(Ordering::Relaxed).saturating_sub(1),
            in_flight: link.map_or(0, |link| link.in_flight()),
            dropped_reports: self.status.dropped_reports.load(Ordering::Relaxed),
            trail: lock(&self.status.heads).trail(),
        }
    }

    /// How many more calls the worker takes without refusing any of them, as far as may be known here.
    pub fn calls_left(&self) -> usize {
        let in_flight = self.link.borrow().as_ref().map_or(0, |link| link.in_flight());
        TAKEN_AT_ONCE.saturating_sub(in_flight)
    }

    /// Waits until what was reported has left for the worker, as far as there is one: the last words before the end.
    pub async fn flush(&self) {
        let link = self.link.borrow().clone();
        let flushed = async {
            while link.as_ref().is_some_and(|link| !link.is_flushed()) {
                sleep(FLUSH_POLL).await;
            }
        };
        let _ = timeout(FLUSH, flushed).await;
    }

    /// Waits until a worker has greeted, at most until `deadline`.
    pub async fn greeted(&self, deadline: Instant) -> bool {
        let mut link = self.link.clone();
        matches!(
            timeout_at(deadline, link.wait_for(Option::is_some)).await,
            Ok(Ok(_))
        )
    }

    /// The link; waits a little for a worker that restarts.
    async fn ready(&self, deadline: Instant) -> Result<Arc<Link>, ChannelError> {
        const NO_WORKER: ChannelError = ChannelError::Unavailable("there is no worker");
        if let Some(link) = self.link.borrow().clone() {
            return Ok(link);
        }
        let _place = Place::take(&self.waiting).ok_or(NO_WORKER)?;
        let patience = Instant::now()
            .checked_add(GAP)
            .map_or(deadline, |gap| gap.min(deadline));
        let mut link = self.link.clone();
        match timeout_at(patience, link.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().ok_or(NO_WORKER),
            Ok(Err(_)) | Err(_) => Err(NO_WORKER),
        }
    }
}

impl Status {
    fn sample(&self) -> Option<Health> {
        let sample = *lock(&self.sample);
        sample
            .filter(|(at, _)| at.elapsed() < SAMPLE_AGE)
            .map(|(_, health)| health)
    }

    fn keep(&self, report: Report) {
        let mut reports = lock(&self.reports);
        if reports.len() < REPORTS {
            reports.push_back(report);
        } else {
            self.dropped_reports.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl From<AskError> for ChannelError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Closed => ChannelError::Unavailable("the worker has left"),
            AskError::Full => ChannelError::Unavailable("too many calls wait for the worker"),
            AskError::TooLong => ChannelError::TooLarge,
        }
    }
}

/// The message that asks for what was authorized.
fn question(
    call: &Authorized,
    once: Option<&str>,
    (id, request, trace): (CallId, RequestId, Option<Trace>),
    budget_ms: u32,
) -> ToWorker {
    let mut wanted = call
        .grants()
        .iter()
        .zip(call.wanted().plans())
        .map(|(grant, plan)| message::Wanted {
            grant: grant.digest(),
            plan: plan.clone(),
        });
    let (session, policy) = (call.session().handle(), call.policy());
    match (call.wanted(), wanted.next()) {
        (Wanted::One(_), Some(message::Wanted { grant, plan })) => ToWorker::Execute(Execute {
            call: id,
            request,
            session,
            budget_ms,
            policy,
            grant,
            once: once.map(str::to_owned),
            trace,
            plan,
        }),
        // INVARIANT: one plan has one grant, or it would not be authorized.
        (Wanted::One(_) | Wanted::Together(_), first) => ToWorker::Transact(Transact {
            call: id,
            request,
            session,
            budget_ms,
            policy,
            isolation: call.wanted().isolation(),
            once: once.map(str::to_owned),
            trace,
            calls: first.into_iter().chain(wanted).collect(),
        }),
    }
}

/// One of the bounded places for calls that wait for a worker.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let taken = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < CALLS_IN_FLIGHT).then_some(taken)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds_until(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    u32::try_from(left).unwrap_or(u32::MAX)
}

/// No task panics while it holds one of these (`panic` ends the process in release builds anyway).
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
