//! A call on its way through the database threads, and the one answer that it is owed.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::{CallId, ColumnId};
use dbal_shared::message::{Advice, Answer, Failure, Reply, ToBroker};
use dbal_sql::ValidPlan;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{Notify, oneshot};

use crate::cache::Errand;
use crate::database::queue::Lane;
use crate::ledger::{Ledger, Memo};
use crate::once::Once;
use crate::together::Transaction;

/// Work that waits for a database thread. Small: it is moved a dozen times from queue to queue.
pub struct Job {
    /// What to do.
    pub task: Task,
    /// Who waits for it.
    pub ticket: Ticket,
}

/// What a database thread does in one transaction. It can be done again when all of it was rolled back: nothing in it
/// remembers a former try.
pub struct Task {
    /// What to do.
    pub what: What,
    /// The caller's name for it, under which it is done once.
    pub once: Option<Box<Once>>,
}

/// One plan or several.
pub enum What {
    /// One plan.
    One(Box<ValidPlan>),
    /// Several plans, all or none.
    Together(Box<Transaction>),
}

impl Task {
    /// Whether it changes the database.
    pub fn is_write(&self) -> bool {
        match &self.what {
            What::One(plan) => plan.action().is_write(),
            What::Together(transaction) => transaction.is_write(),
        }
    }
}

impl Job {
    /// Hands the outcome to whoever waits, and what is known of each plan to the audit.
    pub fn answer(self, outcome: Result<Reply, Refusal>) {
        let Self { task, ticket } = self;
        Self::told(&task, ticket, outcome);
    }

    /// The same where the task is still at work, or in use.
    pub fn told(task: &Task, mut ticket: Ticket, outcome: Result<Reply, Refusal>) {
        let Task { what, once } = task;
        let memo = ticket.memo();
        if once.as_ref().is_some_and(|once| once.was_done_before()) {
            memo.note = Some("done before under the same idempotency key; answered as then");
            // They have their records of then.
            memo.calls.clear();
        } else {
            match what {
                What::One(_) => {}
                What::Together(transaction) => transaction.tell(&mut memo.calls),
            }
        }
        ticket.answer(outcome);
    }
}

/// Why a call has no result: what the broker is told, and what only the operator is.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// For the broker.
    pub failure: Failure,
    /// For log and audit. No values.
    pub detail: String,
}

impl Refusal {
    /// A refusal that says nothing of fields.
    pub fn new(code: Code, advice: Advice, detail: impl Into<String>) -> Self {
        Self::of_fields(code, Vec::new(), advice, detail)
    }

    /// A refusal for what is wrong with some fields.
    pub fn of_fields(
        code: Code,
        fields: Vec<(ColumnId, Fault)>,
        advice: Advice,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            failure: Failure {
                code,
                fields,
                advice,
                at: None,
            },
            detail: detail.into(),
        }
    }

    /// The same, said of one call of a transaction.
    #[must_use]
    pub fn at(mut self, call: usize) -> Self {
        self.failure.at = u16::try_from(call).ok();
        self.detail = format!("call {call}: {}", self.detail);
        self
    }
}

/// When to stop working on a call.
#[derive(Debug)]
pub struct Control {
    deadline: Instant,
    /// When the database began to work on it.
    begun: OnceLock<Instant>,
    /// Why it stops before its time: one of the constants below.
    stopped: AtomicU8,
    /// Rung when it is stopped.
    rung: Notify,
}

const GOES_ON: u8 = 0;
/// Nobody waits any more.
const CANCELLED: u8 = 1;
/// The worker ends.
const ENDED: u8 = 2;

impl Control {
    /// A call that may take so long from now on.
    pub fn within(budget: Duration) -> Self {
        let now = Instant::now();
        Self {
            // No clock has so much future left; no time left is the safe reading.
            deadline: now.checked_add(budget).unwrap_or(now),
            begun: OnceLock::new(),
            stopped: AtomicU8::new(GOES_ON),
            rung: Notify::new(),
        }
    }

    /// The database begins to work on it; of several tries the first counts. Returns the moment.
    pub fn begin(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    /// Nobody waits any more.
    pub fn cancel(&self) {
        self.stop(CANCELLED);
    }

    /// The worker ends, and has waited for as long as it may.
    pub fn end(&self) {
        self.stop(ENDED);
    }

    fn stop(&self, why: u8) {
        // The first reason stands.
        let _ = self
            .stopped
            .compare_exchange(GOES_ON, why, Ordering::AcqRel, Ordering::Acquire);
        self.rung.notify_waiters();
    }

    /// Waits until [`Control::over`] has something to say.
    pub async fn ended(&self) {
        let mut rung = pin!(self.rung.notified());
        // Before the look: who stops it afterwards rings.
        rung.as_mut().enable();
        if self.stopped.load(Ordering::Acquire) != GOES_ON {
            return;
        }
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep_until(self.deadline.into()) => {}
        }
    }

    /// Why the work should stop, if it should.
    pub fn over(&self) -> Option<Refusal> {
        let (code, why) = match self.stopped.load(Ordering::Acquire) {
            CANCELLED => (Code::Timeout, "cancelled by the caller"),
            ENDED => (Code::Unavailable, "the worker ended before it was done"),
            _ => return self.late(),
        };
        Some(Refusal::new(code, Advice::Retry, why))
    }

    fn late(&self) -> Option<Refusal> {
        (Instant::now() >= self.deadline)
            .then(|| Refusal::new(Code::Timeout, Advice::Retry, "the caller's patience ended"))
    }
}

/// Something for the broker.
#[derive(Debug)]
pub enum Outgoing {
    /// The answer to an `Execute` or a `Transact`.
    Answer {
        /// The answer.
        answer: Answer,
        /// Whether a success of it changed the database.
        is_write: bool,
    },
    /// Anything else.
    Message(ToBroker),
}

/// The right and the duty to answer one call, once.
pub struct Ticket {
    memo: Box<Memo>,
    control: Arc<Control>,
    lane: Lane,
    asker: Asker,
    /// Boxed, since most calls have none and all are moved from queue to queue.
    errand: Option<Box<Errand>>,
}

/// Who waits for an answer.
enum Asker {
    /// A broker. The answer holds a place in the channel's bounded outbox, taken before the call was accepted, so it never
    /// waits and never finds the outbox full.
    Broker {
        call: CallId,
        place: OwnedPermit<Outgoing>,
        outbox_bytes: Arc<AtomicUsize>,
        ledger: Arc<Ledger>,
    },
    /// This process itself.
    Ourselves(oneshot::Sender<Result<Reply, Refusal>>),
}

impl Ticket {
    /// A place in an outbox for a call.
    pub fn new(
        call: CallId,
        memo: Memo,
        control: Arc<Control>,
        place: OwnedPermit<Outgoing>,
        outbox_bytes: Arc<AtomicUsize>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            lane: (memo.session.as_ref()).map_or_else(|| Lane::of_nobody(""), |session| session.lane),
            memo: Box::new(memo),
            control,
            errand: None,
            asker: Asker::Broker {
                call,
                place,
                outbox_bytes,
                ledger,
            },
        }
    }

    /// For a question of our own on behalf of somebody at this address, and where its answer will be.
    pub fn own(control: Arc<Control>, remote: &str) -> (Self, oneshot::Receiver<Result<Reply, Refusal>>) {
        let (asker, told) = oneshot::channel();
        let ticket = Self {
            memo: Box::new(Memo::of_our_own()),
            control,
            lane: Lane::of_nobody(remote),
            asker: Asker::Ourselves(asker),
            errand: None,
        };
        (ticket, told)
    }

    /// When to stop.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Whose turn the call counts for: its principal's over all connections, or its address's if nobody is known.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// What the audit will say of the call.
    pub fn memo(&mut self) -> &mut Memo {
        &mut self.memo
    }

    /// What the cache is to be told before anybody hears of the outcome.
    pub fn owe(&mut self, errand: Errand) {
        self.errand = Some(Box::new(errand));
    }

    /// Writes the record, then hands the answer to the channel. Our own questions leave none: what comes of them does.
    pub fn answer(self, outcome: Result<Reply, Refusal>) {
        let Self {
            mut memo,
            control,
            lane: _,
            asker,
            errand,
        } = self;
        memo.database_since = control.begun.get().copied();
        if let Some(errand) = errand {
            errand.end(&outcome);
        }
        match asker {
            Asker::Broker {
                call,
                place,
                outbox_bytes,
                ledger,
            } => {
                let is_write = memo.is_write();
                let outcome = ledger.call(&memo, outcome);
                let bytes = outcome.as_ref().map_or(0, |reply| reply.json.len());
                outbox_bytes.fetch_add(bytes, Ordering::Relaxed);
                place.send(Outgoing::Answer {
                    answer: Answer { call, outcome },
                    is_write,
                });
            }
            // Nobody waits any more, perhaps.
            Asker::Ourselves(asker) => drop(asker.send(outcome)),
        }
    }
}
