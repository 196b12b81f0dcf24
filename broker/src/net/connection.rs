//! One connection, one task: reads messages, works on a bounded number of calls at once, and sends whatever is ready
//! with one flush.

mod answer;
mod work;

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{AbortHandle, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message as Frame, Utf8Bytes};

use super::client_stream::Departure;
use super::close::{Closing, End};
use super::drain::Drain;
use super::intake::{LIGHT, Load, Metered};
use super::long::{LONG, LongMessages, Turn};
use super::patience::{Part, Patience, Proven};
use super::standing::Standing;
use crate::auth::{Caller, Credentials};
use crate::call::Method;
use crate::call::Params;
use crate::channel::Weight;
use crate::respond;
use crate::rpc::{Dialect, Id, Message, RawRequest, Unanswerable};
use crate::serve::{Aftermath, Broker};
use work::{Finished, Work, work_off, work_off_in_turn};

/// How long a client gets to answer the closing handshake.
const CLOSING: Duration = Duration::from_secs(2);
/// What is read and thrown away at most, so that the kernel doesn't answer unread bytes with a reset that would take the
/// close frame along.
const UNREAD_BYTES: u64 = 4 * 1024 * 1024;
/// Calls in a row that the rate limit may hold back before the client counts as flooding.
const HELD_BACK: u32 = 1_000;
/// Of whom so many were held back in a row is not read on before everybody else has had a turn, and then so many calls of his. To refuse
/// one costs about as much as to answer one.
const HELD_BACK_AT_A_TURN: u32 = 8;
/// Calls that a connection may have under way however many others there are. With more of each, fewer connections that send
/// ahead would fill the worker's queue, and be refused for the rest.
const FEW: usize = 1;
/// Bytes of messages that are worked on at once; beyond it the socket is not read.
const WORKED_ON_BYTES: usize = 4 * 1024 * 1024;
/// Pings and pongs between two looks at the clock, which are seconds apart, and cancellations of what is not under way. Libraries
/// send some; a thousand are meant to keep the broker busy.
const CONTROL_FRAMES: u32 = 1_000;

/// Bounds on one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Calls at once.
    pub in_flight: usize,
    /// A client that answers no ping for so long is gone.
    pub idle: Duration,
    /// Who shows no proof that holds, and asks for nothing that needs none, for so long is sent away.
    pub unproven: Duration,
    /// A message has to come within this time, from its first byte to its last.
    pub message: Duration,
    /// What is sent has to be taken within this time.
    pub write: Duration,
}

/// A connection. Made outside of any future, so that no future holds its stream twice.
pub struct Connection<'a, S> {
    socket: WebSocketStream<Metered<S>>,
    broker: &'a Arc<Broker>,
    credentials: &'a Arc<Credentials>,
    long: &'a Arc<LongMessages>,
    agreed: Option<Dialect>,
    limits: ConnectionLimits,
    /// Calls that `$/cancelRequest` may name.
    cancellable: Vec<Cancellable>,
    tickets: u64,
    /// Calls that are worked on; a batch counts as many as it holds.
    outstanding: usize,
    held_back: u32,
    control_frames: u32,
    patience: Patience,
    /// What has come of a message that is not complete.
    unfinished: Load,
    /// Bytes of messages that are worked on, as far as they are weighed.
    worked_on: usize,
    /// The session of the connection's own token, once it is open.
    session: Option<Session>,
    /// Set when nothing more is read; what was read is still answered.
    ending: Option<Closing>,
    /// Weights of answers that were queued since the last flush.
    unflushed: Vec<Weight>,
    /// The client has said that it goes: nothing is sent to it any more.
    is_left: bool,
}

/// What a frame asks for.
enum Asked {
    /// Nothing of us.
    Nothing,
    /// This, which weighs so much.
    Work(Work, Option<Load>),
    /// A long message that nobody has read yet.
    Long(Utf8Bytes, Load),
}

/// A long message, read when its turn had come.
struct Read {
    message: Result<Message, Unanswerable>,
    load: Load,
    turn: Turn,
}

/// Reading one.
type Reading = Pin<Box<dyn Future<Output = Option<Read>> + Send>>;

/// What a connection is told to do.
enum Order {
    /// To read nothing more, and to end when what was read is answered.
    End(Closing),
    /// To end at once.
    Leave,
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

/// There is no memory for it.
struct Shed;

/// What reading comes to.
enum Heard {
    Frame(Option<Result<Frame, Error>>),
    /// A message has begun, or has grown.
    Part,
    /// That the client is gone, of a socket that is not read.
    Gone,
}

impl<'a, S: AsyncRead + AsyncWrite + Departure + Unpin> Connection<'a, S> {
    /// A connection that was just upgraded. `agreed` is the dialect of its subprotocol; `unfinished` weighs what it has sent
    /// of a message.
    pub fn new(
        socket: WebSocketStream<Metered<S>>,
        (broker, credentials): (&'a Arc<Broker>, &'a Arc<Credentials>),
        long: &'a Arc<LongMessages>,
        agreed: Option<Dialect>,
        limits: ConnectionLimits,
        unfinished: Load,
    ) -> Self {
        Self {
            socket,
            broker,
            credentials,
            long,
            agreed,
            limits,
            cancellable: Vec::new(),
            tickets: 0,
            outstanding: 0,
            held_back: 0,
            control_frames: 0,
            patience: Patience::new(limits, Instant::now()),
            unfinished,
            worked_on: 0,
            session: None,
            ending: None,
            unflushed: Vec::new(),
            is_left: false,
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

    async fn serve(&mut self, drain: Drain, standing: Standing) -> End {
        let mut calls = FuturesUnordered::new();
        let mut reading: Option<Reading> = None;
        let mut orders = orders(drain, standing);
        let clock = sleep_until(self.next_tick());
        tokio::pin!(clock);
        loop {
            if let Some(closing) = self.ending
                && calls.is_empty()
                && reading.is_none()
            {
                return End::Closing(closing);
            }
            // What comes behind a long message waits for it to be read, as its sender wrote it behind it.
            let can_read = self.ending.is_none() && self.has_room() && reading.is_none();
            self.patience.listen(can_read);
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
                heard = hear(&mut self.socket, can_read) => match heard {
                    Heard::Gone => Err(End::Gone),
                    Heard::Part => self.weigh(),
                    Heard::Frame(frame) => {
                        let mut next = Some(frame);
                        let mut step = Ok(());
                        let mut taken: u32 = 0;
                        while let (Some(frame), Ok(())) = (next.take(), &step) {
                            taken = taken.saturating_add(1);
                            match self.hear(frame) {
                                Ok(Asked::Work(work, load)) => calls.push(self.begin(work, load, None)),
                                Ok(Asked::Long(text, load)) => reading = Some(self.read_in_turn(text, load)),
                                Ok(Asked::Nothing) => {}
                                Err(end) => step = Err(end),
                            }
                            let is_his_turn = !self.is_slowed_down() || taken < HELD_BACK_AT_A_TURN;
                            if is_his_turn && self.has_room() && reading.is_none() {
                                next = self.socket.next().now_or_never();
                            }
                        }
                        step
                    }
                },
                read = done(&mut reading), if reading.is_some() => {
                    reading = None;
                    self.outstanding = self.outstanding.saturating_sub(1);
                    match read {
                        Some(Read { message, load, turn }) => {
                            let work = self.sort(message, None);
                            calls.push(self.begin(work, Some(load), Some(turn)));
                            Ok(())
                        }
                        // The process ends.
                        None => Err(End::Gone),
                    }
                }
                () = &mut clock => {
                    if self.is_in_doubt() {
                        self.outstanding = self.outstanding.saturating_add(1);
                        calls.push(self.begin(Work::Confirm, None, None));
                    }
                    self.tick().await
                }
                Some(order) = orders.next() => match order {
                    Order::Leave => Err(End::Closing(Closing::CutOff)),
                    // What was read before is still answered: it was judged by what was in force.
                    Order::End(closing) => {
                        self.ending.get_or_insert(closing);
                        Ok(())
                    }
                },
            };
            if let Err(end) = step {
                return end;
            }
            if self.socket.get_mut().take_pause() || self.is_slowed_down() {
                // Tokio wakes whoever yields after it has looked at all sockets: those who send little come first.
                tokio::task::yield_now().await;
            }
            let due = self.next_tick();
            if due != clock.deadline() {
                clock.as_mut().reset(due);
            }
        }
    }

    /// Whether another message may be taken on. Of what the worker takes at once each connection has as many calls as are left
    /// over: who sends ahead waits in his own socket, and costs nobody the work of refusing him.
    fn has_room(&self) -> bool {
        let has_room = self.outstanding < self.limits.in_flight && self.worked_on < WORKED_ON_BYTES;
        has_room && (self.outstanding < FEW || self.outstanding < self.broker.channel.calls_left())
    }

    fn is_slowed_down(&self) -> bool {
        self.held_back >= HELD_BACK_AT_A_TURN
    }

    fn hear(&mut self, frame: Option<Result<Frame, Error>>) -> Result<Asked, End> {
        self.patience.heard(Instant::now());
        match frame {
            Some(Ok(Frame::Text(text))) => {
                self.socket.get_mut().complete();
                self.unfinished.weigh(0);
                let asked = self.understand(text);
                self.bear(asked)
            }
            Some(Ok(Frame::Binary(_))) => Err(End::Closing(Closing::Binary)),
            // Pings are answered, and a closing handshake is finished, by reading on.
            Some(Ok(Frame::Ping(payload) | Frame::Pong(payload))) => {
                self.socket.get_mut().complete_control(payload.len());
                self.control_frames = self.control_frames.saturating_add(1);
                self.bear(Asked::Nothing)
            }
            Some(Ok(Frame::Close(_))) => {
                self.is_left = true;
                Ok(Asked::Nothing)
            }
            Some(Ok(Frame::Frame(_))) => Ok(Asked::Nothing),
            Some(Err(error)) => Err(End::from(&error)),
            None => Err(End::Gone),
        }
    }

    /// What costs the client nothing and asks for nothing is borne so often.
    fn bear(&self, asked: Asked) -> Result<Asked, End> {
        if self.control_frames > CONTROL_FRAMES {
            Err(End::Closing(Closing::Flooding))
        } else {
            Ok(asked)
        }
    }

    /// Weighs what has come of a message. When memory runs short, who dawdles makes room for who doesn't.
    fn weigh(&mut self) -> Result<(), End> {
        let stream = self.socket.get_mut();
        stream.look();
        let Some((bytes, since)) = stream.unfinished() else {
            return Ok(());
        };
        let has_room = self.unfinished.weigh(bytes);
        let allowed = self.unfinished.patience(self.limits.message);
        let is_weighed = self.unfinished.bytes() > 0;
        if !has_room || (is_weighed && self.patience.is_late(since, allowed, Instant::now())) {
            return Err(End::Closing(Closing::Full));
        }
        Ok(())
    }

    fn understand(&mut self, text: Utf8Bytes) -> Asked {
        let length = text.len();
        let load = (length > LIGHT).then(|| self.unfinished.beside(length)).flatten();
        let weighed = load.as_ref().map_or(0, Load::bytes);
        self.worked_on = self.worked_on.saturating_add(weighed);
        match load {
            Some(load) if length > LONG => {
                self.outstanding = self.outstanding.saturating_add(1);
                Asked::Long(text, load)
            }
            load => {
                let is_shed = load.is_none() && length > LIGHT;
                let message = Message::parse(&text, self.agreed);
                Asked::Work(self.sort(message, is_shed.then_some(Shed)), load)
            }
        }
    }

    /// Has a long message read when its turn has come.
    fn read_in_turn(&self, text: Utf8Bytes, load: Load) -> Reading {
        let (long, caller, agreed) = (Arc::clone(self.long), self.credentials.payer(), self.agreed);
        Box::pin(async move {
            let turn = long.turn(&caller).await;
            let message = turn.run(async move { Message::parse(&text, agreed) }).await?;
            Some(Read { message, load, turn })
        })
    }

    /// Begins to work on what a message asks for, on the thread for long messages if it has a turn there.
    fn begin(
        &mut self,
        work: Work,
        load: Option<Load>,
        turn: Option<Turn>,
    ) -> impl Future<Output = Finished> + use<'a, S> {
        let (ticket, calls) = (self.ticket(), work.calls());
        let (broker, credentials) = (self.broker, self.credentials);
        async move {
            match turn {
                None => work_off(broker, credentials, work, ticket, load).await,
                Some(turn) => {
                    let (broker, credentials) = (Arc::clone(broker), Arc::clone(credentials));
                    let worked_off = work_off_in_turn(broker, credentials, work, ticket, load, turn);
                    // None when the process ends.
                    (Box::pin(worked_off).await).unwrap_or_else(|| Finished::lost(ticket, calls))
                }
            }
        }
    }

    fn sort(&mut self, message: Result<Message, Unanswerable>, shed: Option<Shed>) -> Work {
        let work = match (message, shed) {
            (Ok(Message::One(raw)), _) if Method::by_name(&raw.method) == Some(Method::Cancel) => {
                Work::Done(self.cancel(&raw))
            }
            (Ok(Message::One(raw)), Some(Shed)) => Work::ShedOne(raw),
            (Ok(Message::Batch(items)), Some(Shed)) => Work::ShedBatch(items),
            (Ok(Message::One(raw)), None) => {
                let (handle, registration) = AbortHandle::new_pair();
                if let Some(id) = &raw.id {
                    self.cancellable.push(Cancellable {
                        ticket: self.tickets.wrapping_add(1),
                        id: id.clone(),
                        handle,
                    });
                }
                Work::One(raw, registration)
            }
            (Ok(Message::Batch(items)), None) => Work::Batch(items),
            (Err(unanswerable), _) => Work::Refuse(unanswerable),
        };
        self.outstanding = self.outstanding.saturating_add(work.calls());
        work
    }

    /// Whether the connection's session was ended before its time and no call has found out yet, or its proof was never
    /// looked at since nothing was asked.
    fn is_in_doubt(&self) -> bool {
        let rulebook = self.broker.rulebook.load();
        let is_doubted = match &self.session {
            Some(session) => session.caller.is_in_doubt(&rulebook),
            None => {
                self.credentials.has_own_proof() && !self.credentials.is_proven() && self.outstanding == 0
            }
        };
        self.ending.is_none() && is_doubted
    }

    /// What is known of who is there.
    fn proven(&self) -> Proven {
        if self.credentials.is_proven() {
            Proven::Somebody
        } else if self.held_back > 0 {
            Proven::HeldBack
        } else if self.outstanding > 0 || self.credentials.has_own_proof() {
            Proven::NotYetJudged
        } else {
            Proven::Nothing
        }
    }

    /// Ends the calls of that id. They are answered, as every call is.
    fn cancel(&mut self, raw: &RawRequest) -> Option<String> {
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
        if !is_found {
            self.control_frames = self.control_frames.saturating_add(1);
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
            load,
        } = finished;
        self.worked_on = self
            .worked_on
            .saturating_sub(load.as_ref().map_or(0, Load::bytes));
        drop(load);
        self.outstanding = self.outstanding.saturating_sub(calls);
        if let Some(position) = self.cancellable.iter().position(|call| call.ticket == ticket) {
            self.cancellable.swap_remove(position);
        }
        if let Some(text) = text {
            self.answer(text, weights).await?;
        }
        match aftermath {
            // Else who is held back could go on for ever, with a cancellation behind each call.
            None => {}
            Some(Aftermath::GoOn) => self.held_back = 0,
            Some(Aftermath::Slow) => self.held_back = self.held_back.saturating_add(1),
            Some(Aftermath::Unauthenticated) => self.ending = Some(Closing::Unauthenticated),
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
        taken(self.limits.write, self.socket.flush()).await?;
        self.unflushed.clear();
        Ok(())
    }

    fn next_tick(&self) -> Instant {
        let ends = self.session.as_ref().and_then(|session| session.ends);
        let regular = self.patience.next_look(self.proven(), self.part());
        match ends {
            Some(ends) if self.ending.is_none() => regular.min(ends),
            Some(_) | None => regular,
        }
    }

    /// What has come of a message that is not complete.
    fn part(&self) -> Option<Part> {
        let (_, since) = self.socket.get_ref().unfinished()?;
        Some(Part {
            since,
            is_weighed: self.unfinished.bytes() > 0,
        })
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.patience.looked(now);
        self.control_frames = 0;
        let is_over = self
            .session
            .as_ref()
            .is_some_and(|session| session.ends.is_some_and(|ends| ends <= now));
        if is_over && self.ending.is_none() {
            self.ending = Some(Closing::Unauthenticated);
        }
        // What is unfinished is looked at by the clock as well: it may not grow any more.
        if self.ending.is_none() && self.has_room() {
            self.weigh()?;
        }
        if let Some(closing) = self.patience.is_out(self.proven(), self.part(), now) {
            return Err(End::Closing(closing));
        }
        if self.patience.wants_a_ping(now) {
            taken(
                self.limits.write,
                self.socket.send(Frame::Ping(Vec::new().into())),
            )
            .await?;
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

/// What others order a connection to do. Together, so that they cost nothing as long as nobody orders anything: each is looked at only
/// when it was woken.
fn orders(drain: Drain, standing: Standing) -> FuturesUnordered<BoxFuture<'static, Order>> {
    let (mut begins, mut ends) = (drain.clone(), drain);
    let begins = async move {
        begins.has_begun().await;
        Order::End(Closing::GoingAway)
    };
    let lost = standing.lost().map(|()| Order::End(Closing::Revoked));
    let ends = async move {
        ends.is_over().await;
        Order::Leave
    };
    [begins.boxed(), lost.boxed(), ends.boxed()].into_iter().collect()
}

/// The next frame, or that a message goes on which is worth a look. Of a socket that is not to be read, only that its client is gone:
/// what it asked for would else be kept until somebody writes to it.
async fn hear<S>(socket: &mut WebSocketStream<Metered<S>>, can_read: bool) -> Heard
where
    S: AsyncRead + AsyncWrite + Departure + Unpin,
{
    poll_fn(|context| {
        if !can_read {
            return socket.get_mut().poll_gone(context).map(|()| Heard::Gone);
        }
        match socket.poll_next_unpin(context) {
            Poll::Ready(frame) => Poll::Ready(Heard::Frame(frame)),
            Poll::Pending if socket.get_ref().has_news() || socket.get_ref().has_paused() => {
                Poll::Ready(Heard::Part)
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits until a long message is read, if one is being read.
async fn done(reading: &mut Option<Reading>) -> Option<Read> {
    match reading {
        Some(reading) => reading.await,
        None => pending().await,
    }
}

/// A client that takes nothing for too long is cut off, and one whose stream broke is gone. Most take all at once, and nobody looks at a
/// clock for them. The write has one turn at a time: where it lets others go first, they do.
async fn taken(patience: Duration, write: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
    let (mut write, mut end) = (pin!(write), None);
    let taken = poll_fn(|context| {
        if let Poll::Ready(taken) = write.as_mut().poll(context) {
            return Poll::Ready(Some(taken));
        }
        let end = end.get_or_insert_with(|| Box::pin(sleep(patience)));
        end.as_mut().poll(context).map(|()| None)
    });
    match taken.await {
        Some(taken) => taken.map_err(|_| End::Gone),
        None => Err(End::Stalled),
    }
}

#[cfg(test)]
mod tests;
