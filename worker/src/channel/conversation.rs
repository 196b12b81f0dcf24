//! One broker's conversation: greeting, then messages until either side ends it. Phases are checked against the closed list.

mod sessions;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbal_daemon::local_stream::LocalStream;
use dbal_identity::Verified;
use dbal_shared::fault::Code;
use dbal_shared::frame::{FrameError, FrameReader};
use dbal_shared::ids::{CallId, Digest, EntityId, SessionHandle};
use dbal_shared::limits::{CALLS_IN_FLIGHT, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{
    Advice, Countersignature, Execute, Hello, PROTOCOL, Phase, Refused, Rejected, Report, ToBroker, ToWorker,
    Transact, Welcome,
};
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::calls::{Calls, InUse};
use super::heads::Heads;
use super::{Shared, drains, outbox};
use crate::database::sample::Sample;
use crate::execute::{self, Rejection};
use crate::generate::now_ms;
use crate::job::{Control, Job, Outgoing, Refusal, Task, Ticket};
use crate::ledger::{Memo, cut};
use crate::opaque::NoSession;
use crate::rulebook::Rulebook;
use crate::session::{Found, Session, Sessions};
use sessions::Wanted;

/// How long a broker may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// How long the rest of a frame may take. Both ends are on one machine, and a frame is written at once.
const FRAME: Duration = Duration::from_secs(10);
/// How often sessions are looked at whose proofs have ended.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a draining channel looks whether its calls are answered.
const DRAIN_POLL: Duration = Duration::from_millis(5);
/// How long a draining channel goes on listening at least: several round trips.
const DRAIN_LINGER: Duration = Duration::from_millis(50);
/// Row JSON that may wait to be written, in bytes. A broker that lets more gather does not read, and is cut off.
const WAITING_BYTES: usize = 256 * 1024 * 1024;
/// Look-ups of sessions at once: enough to keep the database busy, too few to keep others from it.
const LOOKUPS: usize = 64;
/// Longest remote address that is kept, in bytes.
const REMOTE_BYTES: usize = 64;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the broker closed the channel")]
    Closed,
    #[error("the worker drains")]
    Drained,
    #[error("the channel broke")]
    Io(#[source] io::Error),
    #[error("the broker did not greet in time")]
    NoGreeting,
    #[error(
        "a broker of version {version} speaks protocol {protocol}, this worker protocol {PROTOCOL}: install the same version \
         of both and restart both (docs/deploy.md, Upgrading)"
    )]
    OtherProtocol { protocol: u16, version: String },
    #[error(
        "the broker's schema is {broker}, this worker's {worker}: give both the same entity files and restart both \
         (docs/deploy.md, Upgrading)"
    )]
    OtherSchema { broker: Digest, worker: Digest },
    #[error("the broker does not read its answers")]
    NotReading,
    #[error("the broker began a frame and did not end it in time")]
    HalfFrame,
    /// Already audited.
    #[error("incident")]
    Incident,
    #[error("a frame that is no message: {0}")]
    Frame(#[source] FrameError),
    #[error("a message out of phase")]
    Phase,
    #[error("a call number that is in use")]
    CallInUse,
    #[error("a countersignature that is not one of a head that was shown")]
    Countersignature,
}

/// Holds one conversation to its end.
pub(super) async fn hold(stream: LocalStream, shared: Arc<Shared>, drain: watch::Receiver<bool>) {
    let (reading, writing) = tokio::io::split(stream);
    let (outgoing, outgone) = mpsc::channel(CALLS_IN_FLIGHT);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let writer = tokio::spawn(outbox::drain(
        outgone,
        writing,
        Arc::clone(&waiting_bytes),
        Arc::clone(&shared.ledger),
    ));
    let rulebooks = shared.rulebook.subscribe();
    let (told, looked) = mpsc::channel(LOOKUPS);
    let rulebook = Arc::clone(&rulebooks.borrow());
    let mut conversation = Conversation {
        sessions: Sessions::new(Arc::clone(&shared.sessions)),
        samples: shared.database.samples(),
        rulebooks,
        rulebook,
        stream: reading,
        frames: FrameReader::new(FRAME_TO_WORKER_BYTES),
        half_since: None,
        outgoing,
        waiting_bytes,
        calls: Calls::new(),
        drain,
        is_draining: false,
        has_reports: false,
        lookups: Arc::new(Semaphore::new(LOOKUPS)),
        told,
        looked,
        heads: Heads::default(),
        shared,
    };
    let Err(end) = conversation.run().await;
    match &end {
        End::Closed | End::Drained | End::Incident => tracing::info!(%end, "channel ended"),
        End::Io(_)
        | End::NoGreeting
        | End::OtherProtocol { .. }
        | End::OtherSchema { .. }
        | End::NotReading
        | End::HalfFrame => {
            tracing::warn!(%end, "channel ended");
        }
        // A broker that speaks our version can't send these.
        End::Frame(_) | End::Phase | End::CallInUse | End::Countersignature => {
            conversation.shared.ledger.protocol_incident(&end.to_string());
        }
    }
    drop(conversation);
    if let Err(error) = writer.await {
        tracing::error!(%error, "the outbox ended badly");
    }
}

struct Conversation {
    shared: Arc<Shared>,
    stream: ReadHalf<LocalStream>,
    frames: FrameReader,
    /// When the part of a frame was there whose rest is missing.
    half_since: Option<Instant>,
    sessions: Sessions,
    /// Bounded. A place in it is taken before a message that will be answered is read, so a broker that does not take its
    /// answers is not listened to either.
    outgoing: mpsc::Sender<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
    calls: Calls,
    samples: watch::Receiver<Sample>,
    rulebooks: watch::Receiver<Arc<Rulebook>>,
    /// The one that this channel goes by. INVARIANT: every session in `sessions` was opened under it.
    rulebook: Arc<Rulebook>,
    drain: watch::Receiver<bool>,
    is_draining: bool,
    has_reports: bool,
    /// Places for look-ups of sessions.
    lookups: Arc<Semaphore>,
    told: mpsc::Sender<(Wanted, Result<Verified, NoSession>)>,
    looked: mpsc::Receiver<(Wanted, Result<Verified, NoSession>)>,
    heads: Heads,
}

impl Drop for Conversation {
    /// Nobody is left to hear: what has not begun need not begin.
    fn drop(&mut self) {
        for call in self.calls.all() {
            call.cancel();
        }
    }
}

/// A call that will be answered.
struct Accepted {
    control: Arc<Control>,
    place: OwnedPermit<Outgoing>,
}

/// There is no other way out of a conversation than its end.
type Never = std::convert::Infallible;

impl Conversation {
    async fn run(&mut self) -> Result<Never, End> {
        tokio::time::timeout(GREETING, self.greet())
            .await
            .map_err(|_| End::NoGreeting)??;
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(message) = self.next_message(Phase::Serving)? {
                self.half_since = None;
                if let Some(message) = self.take_at_once(message)? {
                    Box::pin(self.take(message)).await?;
                }
                if self.waiting_bytes.load(Ordering::Relaxed) > WAITING_BYTES {
                    return Err(End::NotReading);
                }
            }
            if self.frames.is_within_frame() {
                self.half_since.get_or_insert_with(Instant::now);
            }
            if std::mem::take(&mut self.has_reports) {
                // No answer follows a report that would flush it; a broker that only reports must not fill the buffer. A
                // failure makes the ledger refuse calls, which is all there is to do.
                let _ = self.shared.ledger.flush();
            }
            tokio::select! {
                read = self.stream.read_buf(self.frames.space()) => match read {
                    Ok(0) => return Err(End::Closed),
                    Ok(_) => {}
                    Err(error) => return Err(End::Io(error)),
                },
                _ = sweep.tick() => {
                    if self.half_since.is_some_and(|since| since.elapsed() > FRAME) {
                        return Err(End::HalfFrame);
                    }
                    self.sweep().await?;
                }
                Some((wanted, judged)) = self.looked.recv() => self.looked_up(wanted, judged).await?,
                Ok(()) = self.samples.changed() => {
                    let sample = *self.samples.borrow_and_update();
                    let health = self.shared.health(sample);
                    // A sample that finds no place is worth nothing a second later.
                    let _ = self.outgoing.try_send(Outgoing::Message(ToBroker::Health(health)));
                    self.show_head();
                }
                Ok(()) = self.rulebooks.changed() => self.take_up().await?,
                () = drains(&mut self.drain) => return self.wind_down().await,
            }
        }
    }

    async fn greet(&mut self) -> Result<(), End> {
        let hello = loop {
            match self.next_message(Phase::Greeting)? {
                Some(ToWorker::Hello(hello)) => break hello,
                // INVARIANT: `next_message` let only what belongs to the phase through.
                Some(_) => return Err(End::Phase),
                None => {
                    if self.stream.read_buf(self.frames.space()).await.map_err(End::Io)? == 0 {
                        return Err(End::Closed);
                    }
                }
            }
        };
        let Hello {
            protocol,
            schema,
            policy,
            version,
        } = hello;
        let ours = &self.rulebook.policy;
        let (our_schema, our_policy) = (ours.schema().hash(), ours.hash());
        let version = cut(&version, REMOTE_BYTES);
        if protocol != PROTOCOL {
            self.send(ToBroker::Rejected(Rejected::Protocol { expected: PROTOCOL }))
                .await?;
            let version = version.to_owned();
            return Err(End::OtherProtocol { protocol, version });
        }
        if schema != our_schema {
            self.send(ToBroker::Rejected(Rejected::Schema { expected: our_schema }))
                .await?;
            return Err(End::OtherSchema {
                broker: schema,
                worker: our_schema,
            });
        }
        if policy != our_policy {
            tracing::warn!(broker = %policy, worker = %our_policy, "broker and worker hold different policies");
        }
        tracing::info!(version, "broker connected");
        self.send(ToBroker::Welcome(Welcome {
            protocol: PROTOCOL,
            schema: our_schema,
            policy: our_policy,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: self.shared.database.capabilities().clone(),
            sandbox: self.shared.sandbox.clone(),
        }))
        .await?;
        let sample = *self.samples.borrow_and_update();
        self.send(ToBroker::Health(self.shared.health(sample))).await
    }

    fn next_message(&mut self, phase: Phase) -> Result<Option<ToWorker>, End> {
        let message: Option<ToWorker> = self.frames.next_message().map_err(End::Frame)?;
        match message {
            Some(message) if !message.belongs_to(phase) => Err(End::Phase),
            message => Ok(message),
        }
    }

    /// Goes by the rulebook that a reload has put in force. Sessions end with the old one: their proofs may not hold
    /// under its keys, and their subjects speak of its rules. The broker shows the proofs again.
    async fn take_up(&mut self) -> Result<(), End> {
        self.rulebook = Arc::clone(&self.rulebooks.borrow_and_update());
        for session in self.sessions.close_all() {
            self.send(ToBroker::SessionEnded(session)).await?;
        }
        // At once: the broker tells from it whether both go by the same policy.
        let sample = *self.samples.borrow();
        self.send(ToBroker::Health(self.shared.health(sample))).await
    }

    /// Takes a call for which nothing has to be waited for, which most messages are, and gives others back: a future is copied to
    /// where it waits.
    fn take_at_once(&mut self, message: ToWorker) -> Result<Option<ToWorker>, End> {
        let ToWorker::Execute(execute) = message else {
            return Ok(Some(message));
        };
        let place = self.outgoing.clone().try_reserve_owned();
        match place {
            Ok(place) if !self.has_other_rules() => {
                let control = self.begin(execute.call, execute.budget_ms)?;
                self.execute(execute, Accepted { control, place }).map(|()| None)
            }
            Ok(_) | Err(_) => Ok(Some(ToWorker::Execute(execute))),
        }
    }

    /// Whether a reload has put others in force than this channel goes by.
    fn has_other_rules(&self) -> bool {
        // An error means that the sender is gone, which only the end of the worker makes so.
        self.rulebooks.has_changed().unwrap_or(false)
    }

    async fn take(&mut self, message: ToWorker) -> Result<(), End> {
        if self.has_other_rules() {
            self.take_up().await?;
        }
        match message {
            ToWorker::Hello(_) => Err(End::Phase),
            ToWorker::OpenSession(open) => self.open_session(open).await,
            ToWorker::CloseSession(session) => {
                // Closing what is not there closes nothing: the worker may have ended it at the same time.
                self.sessions.close(session);
                Ok(())
            }
            ToWorker::Execute(execute) => {
                let accepted = self.accept(execute.call, execute.budget_ms).await?;
                self.execute(execute, accepted)
            }
            ToWorker::Transact(transact) => {
                let accepted = self.accept(transact.call, transact.budget_ms).await?;
                self.transact(transact, accepted)
            }
            ToWorker::Cancel(call) => {
                // Unknown ones have been answered meanwhile.
                if let Some(control) = self.calls.running(call) {
                    control.cancel();
                }
                Ok(())
            }
            ToWorker::Report(Report::Refused(refused)) => {
                self.report(&refused);
                self.has_reports = true;
                Ok(())
            }
            ToWorker::Report(Report::Explained(explained)) => {
                let session = self.live(Some(explained.session));
                let entity = self.entity_name(explained.entity);
                self.shared
                    .ledger
                    .explained(&explained, session.as_deref(), entity.as_deref());
                self.has_reports = true;
                Ok(())
            }
            ToWorker::Report(Report::Lifecycle(event)) => {
                self.shared.ledger.broker(&event);
                Ok(())
            }
            ToWorker::Countersigned(countersignature) => self.countersigned(&countersignature),
        }
    }

    /// Shows the broker how far the audit trail reaches, if that is more than before.
    fn show_head(&mut self) {
        let Some(head) = self.heads.next(&self.shared.ledger) else {
            return;
        };
        // One that finds no place is shown with the next sample, or a later one in its place.
        if self
            .outgoing
            .try_send(Outgoing::Message(ToBroker::Head(head)))
            .is_ok()
        {
            self.heads.shown(head);
        }
    }

    fn countersigned(&mut self, countersignature: &Countersignature) -> Result<(), End> {
        if !self.heads.take(&countersignature.head) || !dbal_witness::holds(countersignature) {
            return Err(End::Countersignature);
        }
        self.shared.ledger.countersigned(countersignature);
        self.has_reports = true;
        Ok(())
    }

    fn execute(&mut self, execute: Execute, accepted: Accepted) -> Result<(), End> {
        let call = execute.call;
        let mut memo = execute::memo(&execute);
        let now_ms = now_ms();
        let found = self.sessions.find(execute.session, now_ms);
        let judged = self.now().and_then(|()| {
            execute::judge(
                execute,
                found,
                &self.rulebook.policy,
                &self.shared.cursors,
                now_ms,
                &mut memo,
            )
        });
        self.take_on(call, accepted, memo, judged)
    }

    fn transact(&mut self, transact: Transact, accepted: Accepted) -> Result<(), End> {
        let call = transact.call;
        let mut memo = execute::memo_together(&transact);
        let now_ms = now_ms();
        let found = self.sessions.find(transact.session, now_ms);
        let judged = self.now().and_then(|()| {
            let policy = &self.rulebook.policy;
            execute::judge_together(transact, found, policy, &self.shared.cursors, now_ms, &mut memo)
        });
        self.take_on(call, accepted, memo, judged)
    }

    /// Makes room for a call's answer before anything else of it is looked at. What that takes is of the call's own time.
    async fn accept(&mut self, call: CallId, budget_ms: u32) -> Result<Accepted, End> {
        let control = self.begin(call, budget_ms)?;
        let place = self.outgoing.clone().reserve_owned().await;
        let place = place.map_err(|_| End::Closed)?;
        Ok(Accepted { control, place })
    }

    /// From now on the call may take so long, and can be cancelled.
    fn begin(&mut self, call: CallId, budget_ms: u32) -> Result<Arc<Control>, End> {
        let control = execute::control(budget_ms, self.shared.query_timeout);
        let remembered = self.calls.remember(call, &control);
        remembered.map_err(|InUse| End::CallInUse)?;
        Ok(control)
    }

    /// Hands what was judged good to the database, and answers the rest.
    fn take_on(
        &mut self,
        call: CallId,
        accepted: Accepted,
        memo: Memo,
        judged: Result<Task, Rejection>,
    ) -> Result<(), End> {
        let Accepted { control, place } = accepted;
        if let Err(Rejection::Incident(refusal)) = &judged {
            self.shared.ledger.incident(&memo, &refusal.detail);
        }
        let waiting_bytes = Arc::clone(&self.waiting_bytes);
        let ledger = Arc::clone(&self.shared.ledger);
        let ticket = Ticket::new(call, memo, control, place, waiting_bytes, ledger);
        match judged {
            Ok(task) => {
                self.shared.database.submit(Job { task, ticket });
                Ok(())
            }
            Err(Rejection::Refused(refusal)) => {
                ticket.answer(Err(refusal));
                Ok(())
            }
            Err(Rejection::Incident(refusal)) => {
                ticket.answer(Err(refusal));
                Err(End::Incident)
            }
        }
    }

    /// Whether calls are taken at the moment.
    fn now(&self) -> Result<(), Rejection> {
        let (advice, detail) = if self.is_draining {
            // The broker shows the proof to the next worker and asks that.
            (Advice::UnknownSession, "the worker drains")
        } else if self.shared.ledger.is_refusing() {
            (Advice::Retry, "the audit trail can't be written")
        } else {
            return Ok(());
        };
        let refusal = Refusal::new(Code::Unavailable, advice, detail);
        Err(Rejection::Refused(refusal))
    }

    fn report(&mut self, refused: &Refused) {
        let session = self.live(refused.session);
        let entity = self.entity_name(refused.entity);
        self.shared
            .ledger
            .reported(refused, session.as_deref(), entity.as_deref());
    }

    fn live(&mut self, handle: Option<SessionHandle>) -> Option<Arc<Session>> {
        match handle.map(|handle| self.sessions.find(handle, now_ms())) {
            Some(Found::Live(session)) => Some(session),
            Some(Found::Expired | Found::Unconfirmed | Found::Closed | Found::NeverIssued) | None => None,
        }
    }

    fn entity_name(&self, entity: Option<EntityId>) -> Option<String> {
        let entity = self.rulebook.policy.schema().entity(entity?)?;
        Some(entity.name.clone())
    }

    /// Lets calls in flight end, and stops those that take too long; refuses those that the broker sent before it heard of the
    /// drain, so that none is lost.
    async fn wind_down(&mut self) -> Result<Never, End> {
        self.is_draining = true;
        self.send(ToBroker::Draining).await?;
        let began = tokio::time::Instant::now();
        let mut is_late = false;
        loop {
            while let Some(message) = self.next_message(Phase::Serving)? {
                Box::pin(self.take(message)).await?;
            }
            // Every call in flight holds a place in the outbox, and so does every message that is not written yet.
            let is_quiet = self.outgoing.capacity() == self.outgoing.max_capacity();
            if is_quiet && began.elapsed() >= DRAIN_LINGER {
                return Err(End::Drained);
            }
            if !is_late && began.elapsed() >= self.shared.drain {
                is_late = true;
                tracing::warn!("calls that are still in flight are stopped: they did not end in time");
                for call in self.calls.all() {
                    call.end();
                }
            }
            tokio::select! {
                read = self.stream.read_buf(self.frames.space()) => match read {
                    Ok(0) => return Err(End::Closed),
                    Ok(_) => {}
                    Err(error) => return Err(End::Io(error)),
                },
                () = tokio::time::sleep(DRAIN_POLL) => {}
            }
        }
    }

    async fn send(&mut self, message: ToBroker) -> Result<(), End> {
        self.outgoing
            .send(Outgoing::Message(message))
            .await
            .map_err(|_| End::Closed)
    }
}
