//! Calls that come when they are due, whether those before are answered or not (an open loop): who waits for answers asks
//! for less the slower they come, and so never asks for more than can be done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_tests::client::Login;
use dbal_tests::crowd::Crowd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::super::honest::Latencies;
use super::super::stage::Stage;
use super::wire::{Inbox, Said, frame};

/// How often a connection looks whether something is due, at most.
const TICK: Duration = Duration::from_millis(2);

/// When calls come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as there is a place for them.
    AsAnswered,
    /// So many a second, of all connections together.
    Every(f64),
}

/// What is offered.
#[derive(Clone, Copy)]
pub(super) struct Offer<'a> {
    /// Tokens of the callers, among whom connections are divided.
    pub(super) tokens: &'a [Arc<str>],
    /// Connections.
    pub(super) connections: usize,
    /// Calls of a connection that are sent and not answered, at most. What is due beyond is never sent.
    pub(super) window: usize,
    /// When.
    pub(super) pace: Pace,
    /// For how long.
    pub(super) span: Duration,
    /// The call of that number, by its id.
    pub(super) text: &'a dyn Fn(&str, usize) -> String,
}

/// What came of it within the span.
#[derive(Default)]
pub(super) struct Told {
    /// Calls that were due.
    pub(super) due: u64,
    /// Those of them for which there was no place.
    pub(super) held_back: u64,
    /// Calls that were refused with 503 or 429.
    pub(super) refused: u64,
    /// Calls with another error.
    pub(super) failed: u64,
    /// Of those with a result: from sending to the answer.
    from_sent: Vec<Duration>,
    /// The same from when they were due.
    from_due: Vec<Duration>,
}

impl Told {
    fn add(&mut self, other: Self) {
        let Self {
            due,
            held_back,
            refused,
            failed,
            from_sent,
            from_due,
        } = other;
        self.due += due;
        self.held_back += held_back;
        self.refused += refused;
        self.failed += failed;
        self.from_sent.extend(from_sent);
        self.from_due.extend(from_due);
    }

    /// Times of the answered, from sending and from when they were due.
    pub(super) fn latencies(&mut self, span: Duration) -> (Latencies, Latencies) {
        let of = |times: &mut Vec<Duration>| Latencies::of(std::mem::take(times), 0, span);
        (of(&mut self.from_sent), of(&mut self.from_due))
    }
}

impl Offer<'_> {
    /// Offers it. What `begins` says when all are connected comes back as well.
    pub(super) async fn run<T>(self, stage: &Stage, begins: impl FnOnce() -> T) -> (Told, T) {
        let mut lines = Vec::new();
        for nth in 0..self.connections {
            let token = &self.tokens[nth % self.tokens.len()];
            let client = stage.crowd.client(Crowd::source(0), Login::Header(token)).await;
            let frames: Vec<Vec<u8>> = (0..self.window)
                .map(|slot| frame(&(self.text)(&slot.to_string(), nth * self.window + slot)))
                .collect();
            let mut line = Line::new(client.expect("a connection").into_stream(), frames);
            // Whoever is judged with the first call is judged before the clock starts.
            line.warm_up().await;
            lines.push(line);
        }
        let each = match self.pace {
            Pace::AsAnswered => None,
            Pace::Every(rate) => Some(rate / self.connections as f64),
        };
        let begun = begins();
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (nth, line) in lines.into_iter().enumerate() {
            // Not all at the same moment.
            let early = nth as f64 / self.connections as f64;
            tasks.spawn(line.offer(each.map(|rate| Clock { rate, early }), began, self.span));
        }
        let mut told = Told::default();
        while let Some(one) = tasks.join_next().await {
            told.add(one.expect("a connection"));
        }
        (told, begun)
    }
}

/// When calls of one connection are due.
#[derive(Clone, Copy)]
struct Clock {
    rate: f64,
    /// The part of the first pause that is left out.
    early: f64,
}

impl Clock {
    fn due_by(self, since: Duration) -> u64 {
        (since.as_secs_f64() * self.rate + self.early) as u64
    }

    fn due(self, nth: u64) -> Duration {
        Duration::from_secs_f64(((nth as f64 - self.early) / self.rate).max(0.0))
    }
}

/// A connection and the calls that are under way on it.
struct Line<S> {
    stream: S,
    /// A call's bytes, by its number.
    frames: Vec<Vec<u8>>,
    /// Numbers that are not under way.
    free: Vec<usize>,
    /// By number: when it was due, and when it was sent.
    under_way: Vec<(Instant, Instant)>,
    inbox: Inbox,
    outbox: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    fn new(stream: S, frames: Vec<Vec<u8>>) -> Self {
        Self {
            stream,
            free: (0..frames.len()).rev().collect(),
            under_way: vec![(Instant::now(), Instant::now()); frames.len()],
            frames,
            inbox: Inbox::default(),
            outbox: Vec::new(),
        }
    }

    async fn warm_up(&mut self) {
        self.stream.write_all(&self.frames[0]).await.expect("a call");
        self.stream.flush().await.expect("a call");
        while self.inbox.next().is_none() {
            let read = self.stream.read_buf(&mut self.inbox.bytes).await;
            assert!(read.is_ok_and(|read| read > 0), "an answer");
        }
        self.inbox.compact();
    }

    async fn offer(mut self, clock: Option<Clock>, began: Instant, span: Duration) -> Told {
        let mut told = Told::default();
        while began.elapsed() < span {
            self.take_on(clock, began, &mut told);
            if !self.outbox.is_empty() {
                let sending = async {
                    self.stream.write_all(&self.outbox).await?;
                    self.stream.flush().await
                };
                // The window fits the socket's buffer: only a connection that is over doesn't take it.
                match timeout(span, sending).await {
                    Ok(Ok(())) => self.outbox.clear(),
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            let soon = Instant::now() + TICK;
            let wake = match clock {
                None => began + span,
                Some(clock) => (began + clock.due(told.due + 1)).max(soon).min(began + span),
            };
            tokio::select! {
                read = self.stream.read_buf(&mut self.inbox.bytes) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => self.hear(&mut told),
                },
                () = sleep_until(wake.into()) => {}
            }
        }
        told
    }

    /// Puts what is due into the outbox, as far as there are places.
    fn take_on(&mut self, clock: Option<Clock>, began: Instant, told: &mut Told) {
        let now = Instant::now();
        let due = match clock {
            None => told.due + self.free.len() as u64,
            Some(clock) => clock.due_by(now - began),
        };
        while told.due < due {
            let Some(slot) = self.free.pop() else {
                told.held_back += due - told.due;
                told.due = due;
                return;
            };
            told.due += 1;
            let since = clock.map_or(now, |clock| began + clock.due(told.due));
            self.under_way[slot] = (since, now);
            self.outbox.extend_from_slice(&self.frames[slot]);
        }
    }

    fn hear(&mut self, told: &mut Told) {
        let now = Instant::now();
        while let Some((slot, said)) = self.inbox.next() {
            let (due, sent) = self.under_way[slot];
            self.free.push(slot);
            match said {
                Said::Result => {
                    told.from_sent.push(now - sent);
                    told.from_due.push(now.saturating_duration_since(due));
                }
                Said::Refused => told.refused += 1,
                Said::Failed => told.failed += 1,
            }
        }
        self.inbox.compact();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_their_rate_and_not_before() {
        let clock = Clock {
            rate: 100.0,
            early: 0.5,
        };
        for nth in 1..1_000 {
            let due = clock.due(nth);
            assert!(clock.due_by(due + Duration::from_micros(1)) >= nth);
            assert!(clock.due_by(due.saturating_sub(Duration::from_micros(1))) < nth);
        }
        assert_eq!(clock.due_by(Duration::from_secs(10)), 1_000);
    }

    #[tokio::test]
    async fn what_finds_no_place_is_counted_and_not_sent() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let line = Line::new(ours, vec![frame(r#"{"id":"0"}"#), frame(r#"{"id":"1"}"#)]);
        let clock = Clock {
            rate: 1_000.0,
            early: 0.0,
        };
        let span = Duration::from_millis(200);
        let told = line.offer(Some(clock), Instant::now(), span).await;
        assert!(told.due > 50, "{}", told.due);
        assert_eq!(told.held_back, told.due - 2);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.expect("what was sent");
        assert_eq!(sent.len(), 2 * frame(r#"{"id":"0"}"#).len());
    }
}
