//! One stream to one worker, from greeting to break: who waits for which answer, and what was handed to the socket.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use dbal_shared::fault::Code;
use dbal_shared::frame::{FrameError, FrameReader, write_frame};
use dbal_shared::ids::{CallId, SessionHandle};
use dbal_shared::limits::{CALLS_IN_FLIGHT, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{
    Advice, Answer, Failure, Head, Health, SessionOpened, SessionRefused, ToBroker, ToWorker,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

use super::session::Ended;
use super::weight::Scale;
use super::{Answered, lock};

/// Bytes that may wait for the socket; beyond it new calls are refused instead of growing the queue.
const OUTBOX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that are worth a write of their own while more messages are being made, so that the worker begins before all of them are:
/// a dozen reads.
const WORTH_BYTES: usize = 2 * 1024;
/// What the outbox keeps allocated when it is empty.
const OUTBOX_KEPT_BYTES: usize = 64 * 1024;

/// A read that is asked again later gives the same, so its answer may be thrown away.
const TOO_MUCH_HELD: Failure = Failure {
    code: Code::Unavailable,
    fields: Vec::new(),
    advice: Advice::Retry,
    at: None,
};

/// The state that callers and the stream's driver share.
pub(crate) struct Link {
    state: Mutex<State>,
    filled: Notify,
    /// The outbox is worth a write.
    worth: Notify,
    scale: Scale,
}

struct State {
    outbox: Vec<u8>,
    last_call: u64,
    /// Every call up to this one has left the outbox for the socket.
    handed_over: u64,
    pending: HashMap<CallId, Pending>,
    sessions: HashMap<SessionHandle, Arc<Ended>>,
    /// The stream stands.
    is_open: bool,
    /// The worker drains: what is asked is still answered, nothing new may be asked.
    is_draining: bool,
}

/// Who waits, and for which kind of answer: a worker can't answer one question with another's answer.
struct Pending {
    question: Question,
    waiting: oneshot::Sender<Settled>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Session,
    Read,
    Write,
}

/// How a question ended.
pub(super) enum Settled {
    Answer(Result<Answered, Failure>),
    Opened(SessionOpened, Arc<Ended>),
    Refused(SessionRefused),
    Broken { was_sent: bool },
}

/// Why a question could not be asked; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskError {
    Closed,
    Full,
    TooLong,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the worker closed the channel")]
    Closed,
    #[error("the channel broke")]
    Io(#[from] io::Error),
    #[error("the worker sent what is no message")]
    Frame(#[from] FrameError),
    #[error("the worker sent {0}, which is out of order")]
    OutOfOrder(&'static str),
}

/// What the driver tells its owner.
pub(super) enum Event {
    Health(Health),
    Draining,
    Head(Head),
}

/// A question that was asked. Dropping it tells the worker that nobody waits any more.
pub(super) struct Waiting {
    link: Arc<Link>,
    call: CallId,
    answer: oneshot::Receiver<Settled>,
    is_settled: bool,
}

/// Tells, also after its `Waiting` is gone, whether the call has left for the socket.
pub(super) struct Handover {
    link: Arc<Link>,
    call: CallId,
}

impl Link {
    pub(super) fn new(scale: Scale) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                outbox: Vec::new(),
                last_call: 0,
                handed_over: 0,
                pending: HashMap::new(),
                sessions: HashMap::new(),
                is_open: true,
                is_draining: false,
            }),
            filled: Notify::new(),
            worth: Notify::new(),
            scale,
        })
    }

    /// Puts a question into the outbox.
    pub(super) fn ask(
        self: &Arc<Self>,
        question: impl FnOnce(CallId) -> ToWorker,
    ) -> Result<Waiting, AskError> {
        let (waiting, answer) = oneshot::channel();
        let (call, is_worth_it) = {
            let mut state = lock(&self.state);
            if state.is_draining {
                return Err(AskError::Closed);
            }
            if state.pending.len() >= CALLS_IN_FLIGHT {
                return Err(AskError::Full);
            }
            let call = CallId(state.last_call.saturating_add(1));
            let message = question(call);
            let question = match &message {
                ToWorker::Execute(execute) if execute.plan.action.is_write() => Question::Write,
                ToWorker::Transact(transact) if transact.is_write() => Question::Write,
                ToWorker::Execute(_) | ToWorker::Transact(_) => Question::Read,
                ToWorker::OpenSession(_)
                | ToWorker::Hello(_)
                | ToWorker::CloseSession(_)
                | ToWorker::Cancel(_)
                | ToWorker::Report(_)
                | ToWorker::Countersigned(_) => Question::Session,
            };
            let is_worth_it = state.put(&message)?;
            state.last_call = call.0;
            state.pending.insert(call, Pending { question, waiting });
            (call, is_worth_it)
        };
        self.ring(is_worth_it);
        Ok(Waiting {
            link: Arc::clone(self),
            call,
            answer,
            is_settled: false,
        })
    }

    /// Puts a message that wants no answer into the outbox, if there is room.
    pub(super) fn tell(&self, message: &ToWorker) -> Result<(), AskError> {
        let is_worth_it = lock(&self.state).put(message)?;
        self.ring(is_worth_it);
        Ok(())
    }

    fn ring(&self, is_worth_it: bool) {
        self.filled.notify_one();
        if is_worth_it {
            self.worth.notify_one();
        }
    }

    /// Whether it takes questions.
    pub(super) fn is_open(&self) -> bool {
        let state = lock(&self.state);
        state.is_open && !state.is_draining
    }

    /// Whether everything that was told or asked has left for the socket.
    pub(super) fn is_flushed(&self) -> bool {
        lock(&self.state).outbox.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).pending.len()
    }

    pub(super) fn forget_session(&self, handle: SessionHandle) {
        lock(&self.state).sessions.remove(&handle);
    }

    /// Moves bytes both ways until the stream ends. Both directions are one task: under load a wake-up for one finds
    /// work for the other.
    pub(super) async fn drive(
        &self,
        reader: FrameReader,
        receive: impl AsyncRead + Unpin,
        send: impl AsyncWrite + Unpin,
        event: impl FnMut(Event),
    ) -> LinkError {
        let ended = tokio::select! {
            ended = self.receive(reader, receive, event) => ended,
            ended = self.send(send) => ended,
        };
        self.close();
        ended
    }

    /// No more questions; whoever waits learns whether the question had left.
    pub(super) fn close(&self) {
        let (pending, handed_over) = {
            let mut state = lock(&self.state);
            state.is_open = false;
            state.outbox = Vec::new();
            state.sessions.clear();
            (std::mem::take(&mut state.pending), state.handed_over)
        };
        for (call, Pending { waiting, .. }) in pending {
            let _ = waiting.send(Settled::Broken {
                was_sent: call.0 <= handed_over,
            });
        }
    }

    async fn send(&self, mut stream: impl AsyncWrite + Unpin) -> LinkError {
        let mut batch = Vec::new();
        loop {
            self.filled.notified().await;
            // Lets the tasks that are ready put their messages too: one write for many of them. Who is alone need not look.
            if self.in_flight() > 1 {
                tokio::select! {
                    biased;
                    () = self.worth.notified() => {}
                    () = tokio::task::yield_now() => {}
                }
            }
            lock(&self.state).hand_over(&mut batch);
            if let Err(error) = stream.write_all(&batch).await {
                return error.into();
            }
            batch.clear();
            batch.shrink_to(OUTBOX_KEPT_BYTES);
        }
    }

    async fn receive(
        &self,
        mut reader: FrameReader,
        mut stream: impl AsyncRead + Unpin,
        mut event: impl FnMut(Event),
    ) -> LinkError {
        loop {
            // Frames may stand in the buffer already when a greeting was read from the same stream.
            loop {
                match reader.next_message::<ToBroker>() {
                    Ok(Some(message)) => {
                        if let Err(error) = self.settle(message, &mut event) {
                            return error;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return error.into(),
                }
            }
            match stream.read_buf(reader.space()).await {
                Ok(0) => return LinkError::Closed,
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    }

    fn settle(&self, message: ToBroker, event: &mut impl FnMut(Event)) -> Result<(), LinkError> {
        match message {
            ToBroker::Answer(Answer { call, outcome }) => {
                self.answer(call, |question| match (question, outcome) {
                    (Question::Session, _) => None,
                    (Question::Read | Question::Write, Err(failure)) => Some(Settled::Answer(Err(failure))),
                    (Question::Read, Ok(reply)) => {
                        Some(Settled::Answer(match self.scale.hold(reply.json.len()) {
                            Some(weight) => Ok(Answered { reply, weight }),
                            None => Err(TOO_MUCH_HELD),
                        }))
                    }
                    (Question::Write, Ok(reply)) => {
                        let weight = self.scale.must_hold(reply.json.len());
                        Some(Settled::Answer(Ok(Answered { reply, weight })))
                    }
                })
            }
            ToBroker::SessionOpened(opened) => {
                let ended = Arc::new(Ended::default());
                lock(&self.state)
                    .sessions
                    .insert(opened.session, Arc::clone(&ended));
                let (call, handle) = (opened.call, opened.session);
                self.answer(call, |question| match question {
                    Question::Session => Some(Settled::Opened(opened, ended)),
                    Question::Read | Question::Write => None,
                })
                .inspect_err(|_| self.forget_session(handle))
            }
            ToBroker::SessionRefused(refused) => self.answer(refused.call, |question| match question {
                Question::Session => Some(Settled::Refused(refused)),
                Question::Read | Question::Write => None,
            }),
            ToBroker::SessionEnded(handle) => {
                let ended = lock(&self.state).sessions.remove(&handle);
                if let Some(ended) = ended {
                    ended.set();
                }
                Ok(())
            }
            ToBroker::Health(health) => {
                event(Event::Health(health));
                Ok(())
            }
            ToBroker::Draining => {
                lock(&self.state).is_draining = true;
                event(Event::Draining);
                Ok(())
            }
            ToBroker::Head(head) => {
                event(Event::Head(head));
                Ok(())
            }
            ToBroker::Welcome(_) => Err(LinkError::OutOfOrder("a second greeting")),
            ToBroker::Rejected(_) => Err(LinkError::OutOfOrder("a late rejection")),
        }
    }

    /// Wakes whoever asked. `settled` is none when this is no answer to that question.
    fn answer(
        &self,
        call: CallId,
        settled: impl FnOnce(Question) -> Option<Settled>,
    ) -> Result<(), LinkError> {
        let asked = lock(&self.state).pending.remove(&call);
        let Some(Pending { question, waiting }) = asked else {
            // Whoever asked has stopped waiting. Nobody will use a session that was opened for them, nor close it.
            if let Some(Settled::Opened(opened, _)) = settled(Question::Session) {
                self.discard(opened.session);
            }
            return Ok(());
        };
        let settled = settled(question).ok_or(LinkError::OutOfOrder("the answer to another question"))?;
        if let Err(Settled::Opened(opened, _)) = waiting.send(settled) {
            self.discard(opened.session);
        }
        Ok(())
    }

    fn discard(&self, session: SessionHandle) {
        self.forget_session(session);
        let _ = self.tell(&ToWorker::CloseSession(session));
    }

    fn abandon(&self, call: CallId) {
        let was_pending = lock(&self.state).pending.remove(&call).is_some();
        if was_pending {
            // Where there is no room, the deadline that the worker knows ends the call.
            let _ = self.tell(&ToWorker::Cancel(call));
        }
    }
}

impl State {
    /// Whether that makes the outbox worth a write.
    fn put(&mut self, message: &ToWorker) -> Result<bool, AskError> {
        if !self.is_open {
            return Err(AskError::Closed);
        }
        if self.outbox.len() >= OUTBOX_BYTES {
            return Err(AskError::Full);
        }
        let before = self.outbox.len();
        write_frame(message, FRAME_TO_WORKER_BYTES, &mut self.outbox).map_err(|_| AskError::TooLong)?;
        Ok(before < WORTH_BYTES && self.outbox.len() >= WORTH_BYTES)
    }

    fn hand_over(&mut self, batch: &mut Vec<u8>) {
        std::mem::swap(&mut self.outbox, batch);
        self.handed_over = self.last_call;
    }
}

impl Waiting {
    pub(super) fn handover(&self) -> Handover {
        Handover {
            link: Arc::clone(&self.link),
            call: self.call,
        }
    }

    pub(super) async fn settled(mut self) -> Settled {
        let settled = (&mut self.answer).await;
        self.is_settled = true;
        // The sender goes without a word only together with the link's whole state.
        settled.unwrap_or(Settled::Broken { was_sent: true })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_settled {
            self.link.abandon(self.call);
        }
    }
}

impl Handover {
    pub(super) fn by_now(&self) -> bool {
        self.call.0 <= lock(&self.link.state).handed_over
    }
}
