//! One connection, one task: reads messages, works on a bounded number of calls at once, and sends whatever is ready
//! with one flush.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, AbortRegistration, Abortable, Aborted, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::close::{Closing, End};
use super::drain::Drain;
use super::standing::Standing;
use crate::auth::{Caller, Credentials};
use crate::call::Method;
use crate::call::Params;
use crate::channel::Weight;
use crate::respond;
use crate::rpc::{Dialect, Id, Message, RawRequest, Unanswerable};
use crate::serve::{Aftermath, Broker, Served};

/// A client that takes nothing for so long is gone.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// How long a client gets to answer the closing handshake.
const CLOSING: Duration = Duration::from_secs(2);
/// What is read and thrown away at most, so that the kernel doesn't answer unread bytes with a reset that would take the
/// close frame along.
const UNREAD_BYTES: u64 = 4 * 1024 * 1024;
/// Calls in a row that the rate limit may hold back before the client counts as flooding.
const HELD_BACK: u32 = 1_000;
/// How soon a session that the worker ended is noticed on a connection that asks nothing.
const SESSION_CHECK: Duration = Duration::from_secs(15);

/// Bounds on one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Calls at once.
    pub in_flight: usize,
    /// A client that answers no ping for so long is gone.
    pub idle: Duration,
}

impl ConnectionLimits {
    /// Silence after which a client is asked whether it is there: it may miss one ping and still stay.
    fn ping(self) -> Duration {
        self.idle.checked_div(3).unwrap_or(self.idle)
    }
}

/// A connection. Made outside of any future, so that no future holds its stream twice.
pub struct Connection<'a, S> {
    socket: WebSocketStream<S>,
    broker: &'a Broker,
    credentials: &'a Credentials,
    agreed: Option<Dialect>,
    limits: ConnectionLimits,
    /// Calls that `$/cancelRequest` may name.
    cancellable: Vec<Cancellable>,
    tickets: u64,
    /// Calls that are worked on; a batch counts as many as it holds.
    outstanding: usize,
    held_back: u32,
    heard: Instant,
    ticked: Instant,
    /// The session of the connection's own token, once it is open.
    session: Option<Session>,
    /// Set when nothing more is read; what was read is still answered.
    ending: Option<Closing>,
    /// Weights of answers that were queued since the last flush.
    unflushed: Vec<Weight>,
}

struct Session {
    caller: Arc<Caller>,
    ends: Option<Instant>,
}

struct Cancellable {
    ticket: u64,
    id: Id,
    handle: AbortHandle,
}

/// What a message asks for.
enum Work {
    One(RawRequest, AbortRegistration),
    Batch(Vec<Result<RawRequest, Unanswerable>>),
    Refuse(Unanswerable),
    Done(Option<String>),
    /// Nothing: the connection itself asks whether its proof still holds.
    Confirm,
}

/// A message's answer, when it is there.
struct Finished {
    ticket: u64,
    calls: usize,
    weights: Vec<Weight>,
    text: Option<String>,
    aftermath: Aftermath,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    /// A connection that was just upgraded. `agreed` is the dialect of its subprotocol.
    pub fn new(
        socket: WebSocketStream<S>,
        broker: &'a Broker,
        credentials: &'a Credentials,
        agreed: Option<Dialect>,
        limits: ConnectionLimits,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            broker,
            credentials,
            agreed,
            limits,
            cancellable: Vec::new(),
            tickets: 0,
            outstanding: 0,
            held_back: 0,
            heard: now,
            ticked: now,
            session: None,
            ending: None,
            unflushed: Vec::new(),
        }
    }

    /// Serves it to its end.
    pub async fn run(&mut self, drain: Drain, standing: Standing) -> End {
        let end = self.serve(drain, standing).await;
        if let End::Closing(closing) = end {
            self.close(closing).await;
        }
        end
    }

    async fn serve(&mut self, mut drain: Drain, standing: Standing) -> End {
        let mut calls = FuturesUnordered::new();
        let mut cut = drain.clone();
        let clock = sleep_until(self.next_tick());
        let lost = standing.lost();
        tokio::pin!(clock, lost);
        loop {
            if let Some(closing) = self.ending
                && calls.is_empty()
            {
                return End::Closing(closing);
            }
            let can_read = self.ending.is_none() && self.outstanding < self.limits.in_flight;
            let step = tokio::select! {
                Some(finished) = calls.next(), if !calls.is_empty() => {
                    // Everything that is ready goes out with one flush: a flush is a system call and a TLS record.
                    let mut next = Some(finished);
                    let mut step = Ok(());
                    while let (Some(finished), Ok(())) = (next.take(), &step) {
                        step = self.finish(finished).await;
                        next = calls.next().now_or_never().flatten();
                    }
                    match step {
                        Ok(()) => self.flush().await,
                        Err(end) => Err(end),
                    }
                }
                frame = self.socket.next(), if can_read => {
                    let mut next = Some(frame);
                    let mut step = Ok(());
                    while let (Some(frame), Ok(())) = (next.take(), &step) {
                        match self.hear(frame) {
                            Ok(Some(work)) => {
                                let ticket = self.ticket();
                                calls.push(work_off(self.broker, self.credentials, work, ticket));
                            }
                            Ok(None) => {}
                            Err(end) => step = Err(end),
                        }
                        if self.outstanding < self.limits.in_flight {
                            next = self.socket.next().now_or_never();
                        }
                    }
                    step
                }
                () = &mut clock => {
                    if self.is_in_doubt() {
                        self.outstanding = self.outstanding.saturating_add(1);
                        let ticket = self.ticket();
                        calls.push(work_off(self.broker, self.credentials, Work::Confirm, ticket));
                    }
                    self.tick().await
                }
                () = drain.has_begun(), if self.ending.is_none() => {
                    self.ending = Some(Closing::GoingAway);
                    Ok(())
                }
                // What was read before is still answered: it was judged by what was in force.
                () = &mut lost, if self.ending.is_none() => {
                    self.ending = Some(Closing::Revoked);
                    Ok(())
                }
                () = cut.is_over() => Err(End::Closing(Closing::CutOff)),
            };
            if let Err(end) = step {
                return end;
            }
            let due = self.next_tick();
            if due != clock.deadline() {
                clock.as_mut().reset(due);
            }
        }
    }

    fn hear(&mut self, frame: Option<Result<Frame, Error>>) -> Result<Option<Work>, End> {
        self.heard = Instant::now();
        match frame {
            Some(Ok(Frame::Text(text))) => Ok(Some(self.understand(&text))),
            Some(Ok(Frame::Binary(_))) => Err(End::Closing(Closing::Binary)),
            // Pings are answered, and a closing handshake is finished, by reading on.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) | Frame::Frame(_))) => Ok(None),
            Some(Err(error)) => Err(End::from(&error)),
            None => Err(End::Gone),
        }
    }

    fn understand(&mut self, text: &str) -> Work {
        let (calls, work) = match Message::parse(text, self.agreed) {
            Ok(Message::One(raw)) if Method::by_name(&raw.method) == Some(Method::Cancel) => {
                (1, Work::Done(self.cancel(&raw)))
            }
            Ok(Message::One(raw)) => {
                let (handle, registration) = AbortHandle::new_pair();
                if let Some(id) = &raw.id {
                    self.cancellable.push(Cancellable {
                        ticket: self.tickets.wrapping_add(1),
                        id: id.clone(),
                        handle,
                    });
                }
                (1, Work::One(raw, registration))
            }
            Ok(Message::Batch(items)) => (items.len(), Work::Batch(items)),
            Err(unanswerable) => (1, Work::Refuse(unanswerable)),
        };
        self.outstanding = self.outstanding.saturating_add(calls);
        work
    }

    /// Whether the connection's session was ended before its time and no call has found out yet.
    fn is_in_doubt(&self) -> bool {
        let rulebook = self.broker.rulebook.load();
        let doubted = |session: &Session| session.caller.is_in_doubt(&rulebook);
        self.ending.is_none() && self.session.as_ref().is_some_and(doubted)
    }

    /// Ends the calls of that id. They are answered, as every call is.
    fn cancel(&self, raw: &RawRequest) -> Option<String> {
        let wanted = match &raw.params {
            Params::Positional(values) => values.first(),
            Params::Named(members) => members.iter().find(|(name, _)| name == "id").map(|(_, id)| id),
        };
        let wanted = wanted.and_then(Id::parse);
        let mut is_found = false;
        for call in self
            .cancellable
            .iter()
            .filter(|call| Some(&call.id) == wanted.as_ref())
        {
            call.handle.abort();
            is_found = true;
        }
        let id = raw.id.as_ref()?;
        Some(respond::result(
            raw.dialect,
            id,
            if is_found { "true" } else { "false" },
        ))
    }

    fn ticket(&mut self) -> u64 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }

    /// Queues an answer and draws its consequences.
    async fn finish(&mut self, finished: Finished) -> Result<(), End> {
        let Finished {
            ticket,
            calls,
            weights,
            text,
            aftermath,
        } = finished;
        self.unflushed.extend(weights);
        self.outstanding = self.outstanding.saturating_sub(calls);
        if let Some(position) = self.cancellable.iter().position(|call| call.ticket == ticket) {
            self.cancellable.swap_remove(position);
        }
        if let Some(text) = text {
            stalled(self.socket.feed(Frame::text(text))).await?;
        }
        match aftermath {
            Aftermath::GoOn => self.held_back = 0,
            Aftermath::Slow => self.held_back = self.held_back.saturating_add(1),
            Aftermath::Unauthenticated => self.ending = Some(Closing::Unauthenticated),
        }
        if self.held_back > HELD_BACK {
            return Err(End::Closing(Closing::Flooding));
        }
        // Another one after a restart of the worker or a reload.
        if let Some(caller) = self.credentials.of_connection()
            && self
                .session
                .as_ref()
                .is_none_or(|session| !Arc::ptr_eq(&session.caller, &caller))
        {
            self.session = Some(Session {
                ends: caller
                    .remaining()
                    .and_then(|left| Instant::now().checked_add(left)),
                caller,
            });
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        stalled(self.socket.flush()).await?;
        self.unflushed.clear();
        Ok(())
    }

    fn next_tick(&self) -> Instant {
        let (pause, ends) = match &self.session {
            Some(session) => (self.limits.ping().min(SESSION_CHECK), session.ends),
            None => (self.limits.ping(), None),
        };
        let regular = self.ticked.checked_add(pause).unwrap_or(self.ticked);
        match ends {
            Some(ends) if self.ending.is_none() => regular.min(ends),
            Some(_) | None => regular,
        }
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.ticked = now;
        let is_over = self
            .session
            .as_ref()
            .is_some_and(|session| session.ends.is_some_and(|ends| ends <= now));
        if is_over && self.ending.is_none() {
            self.ending = Some(Closing::Unauthenticated);
        }
        let silent = now.saturating_duration_since(self.heard);
        // While its socket isn't read, a client can't be heard; that it takes answers is proof enough of life.
        if silent >= self.limits.idle && self.outstanding < self.limits.in_flight {
            return Err(End::Closing(Closing::Idle));
        }
        if silent >= self.limits.ping() {
            stalled(self.socket.send(Frame::Ping(Vec::new().into()))).await?;
        }
        Ok(())
    }

    /// Says why, and waits a little for the client to agree.
    async fn close(&mut self, closing: Closing) {
        let goodbye = async {
            self.socket.send(Frame::Close(Some(closing.frame()))).await.ok()?;
            while let Some(Ok(frame)) = self.socket.next().await {
                if frame.is_close() {
                    return Some(());
                }
            }
            // What follows a broken frame is no frame; it is only read so that closing doesn't become a reset.
            let mut unread = self.socket.get_mut().take(UNREAD_BYTES);
            tokio::io::copy(&mut unread, &mut tokio::io::sink())
                .await
                .ok()
                .map(|_| ())
        };
        let _ = timeout(CLOSING, goodbye).await;
        let _ = timeout(CLOSING, self.socket.get_mut().shutdown()).await;
    }
}

/// Works on one message.
async fn work_off(broker: &Broker, credentials: &Credentials, work: Work, ticket: u64) -> Finished {
    match work {
        Work::One(raw, registration) => {
            let request = broker.next_request();
            let served = Abortable::new(broker.serve(credentials, &raw, request), registration).await;
            let served = served.unwrap_or_else(|Aborted| broker.cancelled(credentials, &raw, request));
            Finished::one(ticket, served)
        }
        Work::Batch(items) => batch(broker, credentials, &items, ticket).await,
        Work::Refuse(unanswerable) => Finished::one(ticket, broker.refuse(credentials, &unanswerable)),
        Work::Confirm => Finished {
            ticket,
            calls: 1,
            weights: Vec::new(),
            text: None,
            aftermath: broker.confirm(credentials).await,
        },
        Work::Done(text) => Finished {
            ticket,
            calls: 1,
            weights: Vec::new(),
            text,
            aftermath: Aftermath::GoOn,
        },
    }
}

/// Works on the members of a batch side by side; one array answers them all (JSON-RPC 2.0 §6).
async fn batch(
    broker: &Broker,
    credentials: &Credentials,
    items: &[Result<RawRequest, Unanswerable>],
    ticket: u64,
) -> Finished {
    let served = join_all(items.iter().map(|item| async move {
        match item {
            Ok(raw) => broker.serve(credentials, raw, broker.next_request()).await,
            Err(unanswerable) => broker.refuse(credentials, unanswerable),
        }
    }))
    .await;
    let mut finished = Finished {
        ticket,
        calls: items.len(),
        weights: Vec::new(),
        text: None,
        aftermath: Aftermath::GoOn,
    };
    let mut texts = Vec::with_capacity(served.len());
    for one in served {
        finished.aftermath = finished.aftermath.max(one.aftermath);
        finished.weights.extend(one.weights);
        texts.extend(one.text);
    }
    finished.text = respond::batch(&texts);
    finished
}

impl Finished {
    fn one(ticket: u64, served: Served) -> Self {
        let Served {
            text,
            aftermath,
            weights,
        } = served;
        Self {
            ticket,
            calls: 1,
            weights,
            text,
            aftermath,
        }
    }
}

/// A client that takes nothing is gone, and so is one whose stream broke.
async fn stalled(write: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
    match timeout(WRITE_STALL, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

#[cfg(test)]
mod tests;
