//! A connection and its thread: calls one after the other, each with its deadline, in a transaction if it changes something.
//!
//! What is retried was provably rolled back: a deadlock's victim, or anything on a connection that broke before COMMIT was
//! sent. From then on a failure leaves the outcome unknown, and that is what the caller is told.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation, Reply};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::observer::Kill;
use super::server::{Identity, Server};
use super::session::Connected;
use super::trouble::{Recovery, described, nobodys_fault};
use super::unavailable;
use crate::database::queue::Queue;
use crate::database::race::{is_lost_race, may_be_done_by_now};
use crate::database::task::{run_reading, run_writing};
use crate::database::timed;
use crate::database::trouble::Trouble;
use crate::job::{Control, Job, Task, What};

/// How long a stopped statement may take to end. Then its connection is given up; the order to stop it stands.
const GRACE: Duration = Duration::from_millis(100);
/// How long a commit may take beyond the caller's patience, since stopping it would leave its outcome unknown.
const COMMIT_GRACE: Duration = Duration::from_secs(5);
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How long a call waits while there is no connection; then calls are refused at once until there is one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a line that gets no connection looks whether the others have theirs.
const LOOK: Duration = Duration::from_millis(50);
/// Oldest connection, so that a server behind a name that moved is not kept for ever, nor what a session gathers.
const MOST_AGE: Duration = Duration::from_mins(30);
/// Most attempts of one call, not counting those that others stood in the way of: those end with the caller's patience.
const ATTEMPTS: u32 = 10;
/// Before the second attempt; one more of it before each next one.
const PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the queue is closed and empty.
pub(super) fn serve(
    server: Arc<Server>,
    kills: UnboundedSender<Kill>,
    queue: &Queue<Job>,
    active: &AtomicU32,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a connection is missing");
            return;
        }
    };
    let mut line = Line::new(server, kills);
    // One at a time: a second call taken along would wait for the first although another thread is free.
    loop {
        line.stand_back(&runtime, queue);
        let Some(jobs) = queue.take(1) else {
            break;
        };
        for job in jobs {
            active.fetch_add(1, Ordering::Relaxed);
            let (control, began) = (job.ticket.control(), Instant::now());
            let outcome = match control.over() {
                Some(refusal) => Err(refusal),
                None => timed(control, || line.run(&runtime, &job.task, control)),
            };
            active.fetch_sub(1, Ordering::Relaxed);
            queue.charge(job.ticket.lane(), began.elapsed());
            job.answer(outcome);
        }
        line.count();
    }
    if let Some(connection) = line.connection.take() {
        let _ = runtime.block_on(async { timeout(GRACE, connection.disconnect()).await });
    }
}

/// A connection that is made when it is needed.
pub(super) struct Line {
    server: Arc<Server>,
    kills: UnboundedSender<Kill>,
    connection: Option<Conn>,
    /// Nothing more can be said on it.
    is_broken: bool,
    born: Instant,
    /// Which of the addresses it leads to, or the next shall.
    endpoint: usize,
    /// Which server it leads to.
    identity: Identity,
    /// Since when nobody lets us in.
    down_since: Option<Instant>,
    /// Attempts to connect that failed since the last that did not.
    failures: u32,
    /// Not before.
    retry_at: Option<Instant>,
    /// Whether it is among those of the server that are connected.
    is_counted: bool,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of it stands if the connection breaks.
    Open,
    /// Nobody knows.
    Committing,
}

/// Why an attempt failed, and what can be done.
struct Failed(Trouble, Recovery);

impl Line {
    pub(super) fn new(server: Arc<Server>, kills: UnboundedSender<Kill>) -> Self {
        Self {
            server,
            kills,
            connection: None,
            is_broken: false,
            born: Instant::now(),
            endpoint: 0,
            identity: Identity::default(),
            down_since: None,
            failures: 0,
            retry_at: None,
            is_counted: false,
        }
    }

    /// Tells the other lines whether this one has a connection.
    fn count(&mut self) {
        let is_connected = self.connection.is_some();
        match (is_connected, self.is_counted) {
            (true, false) => self.server.connected.fetch_add(1, Ordering::Relaxed),
            (false, true) => self.server.connected.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => 0,
        };
        self.is_counted = is_connected;
    }

    /// Leaves the calls to those that have a connection while this one gets none: it would be the first to take each of them, since
    /// refusing is done so fast.
    fn stand_back(&mut self, runtime: &tokio::runtime::Runtime, queue: &Queue<Job>) {
        while self.connection.is_none()
            && self.retry_at.is_some()
            && self.server.connected.load(Ordering::Relaxed) > 0
            && !queue.is_closed()
        {
            std::thread::sleep(LOOK);
            if self.retry_at.is_none_or(|at| at <= Instant::now()) {
                // Why not is in the log.
                let _ = runtime.block_on(self.connect(&Control::within(LAST_PAUSE)));
                self.count();
            }
        }
    }

    /// Runs a plan: again where that is safe, and not beyond the caller's patience.
    pub(super) fn run(
        &mut self,
        runtime: &tokio::runtime::Runtime,
        task: &Task,
        control: &Control,
    ) -> Result<Reply, Trouble> {
        let mut attempts: u32 = 0;
        let mut pause = Duration::ZERO;
        let mut has_raced = false;
        loop {
            let outcome = runtime.block_on(async {
                self.connect(control).await?;
                self.attempt(task, control).await
            });
            // Outside of the runtime, where dropping it closes it: inside, the driver would wait for what is still to come.
            if std::mem::take(&mut self.is_broken) {
                self.connection = None;
            }
            let Failed(trouble, recovery) = match outcome {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let is_contention = matches!(trouble, Trouble::Serialization { detail: _ });
            if !is_contention {
                attempts = attempts.saturating_add(1);
            }
            let is_worth_it = match recovery {
                Recovery::None => {
                    !has_raced && {
                        has_raced = is_lost_race(task, &trouble) || may_be_done_by_now(task, &trouble);
                        has_raced
                    }
                }
                Recovery::Again | Recovery::Reconnect => attempts < ATTEMPTS,
                Recovery::Elsewhere => self.server.address.must_take_writes() && attempts < ATTEMPTS,
            };
            if recovery == Recovery::Elsewhere {
                self.endpoint = self.endpoint.wrapping_add(1);
            }
            if !is_worth_it || control.over().is_some() {
                return Err(trouble);
            }
            tracing::debug!(attempts, trouble = trouble.to_string(), "trying again");
            // Two that met in a deadlock shall not meet again.
            pause = pause.saturating_add(PAUSE).min(LONGEST_PAUSE);
            std::thread::sleep(jittered(pause));
        }
    }

    /// Sees to it that there is a connection.
    async fn connect(&mut self, control: &Control) -> Result<(), Failed> {
        if self.born.elapsed() > MOST_AGE
            && let Some(connection) = self.connection.take()
        {
            let _ = timeout(GRACE, connection.disconnect()).await;
        }
        if self.connection.is_some() {
            return Ok(());
        }
        loop {
            // Where others are let in, nobody is refused untried; that is one try, since there is no hope left to wait for.
            if let Some(at) = self.retry_at
                && (self.is_hopeful() || self.server.connected.load(Ordering::Relaxed) == 0)
            {
                let pause = at.saturating_duration_since(Instant::now());
                if !pause.is_zero() && !self.is_hopeful() {
                    return Err(Failed(unavailable("the database server is away"), Recovery::None));
                }
                tokio::select! {
                    () = sleep(pause) => {}
                    () = control.ended() => return Err(Failed(over(control), Recovery::None)),
                }
            }
            let server = Arc::clone(&self.server);
            let connecting = server.address.connect(self.endpoint, Some(server.kind));
            tokio::pin!(connecting);
            let connected = tokio::select! {
                biased;
                connected = &mut connecting => connected,
                () = control.ended() => return Err(Failed(over(control), Recovery::None)),
            };
            let why = match connected {
                Ok(reached) => {
                    self.connection = Some(reached.connection);
                    self.endpoint = reached.endpoint;
                    self.identity = reached.identity;
                    self.born = Instant::now()
                        .checked_sub(jittered(MOST_AGE.div_f64(4.0)))
                        .unwrap_or_else(Instant::now);
                    self.failures = 0;
                    self.retry_at = None;
                    self.down_since = None;
                    return Ok(());
                }
                Err(why) => why,
            };
            // Quoted: what a server says may have ends of lines in it, and none of them may begin a line of the log.
            tracing::warn!(why = why.to_string(), "no connection to the database server");
            // 50 ms, 100 ms … 5 s
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.min(7)));
            self.failures = self.failures.saturating_add(1);
            self.retry_at = Instant::now().checked_add(jittered(pause.min(LAST_PAUSE)));
            self.down_since.get_or_insert_with(Instant::now);
            if !self.is_hopeful() {
                let detail = format!("no connection to the database server: {why}");
                return Err(Failed(unavailable(detail), Recovery::None));
            }
        }
    }

    /// Whether a call may wait for a connection: not where callers have waited in vain already.
    fn is_hopeful(&self) -> bool {
        self.down_since.is_none_or(|since| since.elapsed() < PATIENCE)
    }

    /// Runs a plan once, as long as somebody waits for it.
    async fn attempt(&mut self, task: &Task, control: &Control) -> Result<Reply, Failed> {
        let Self {
            server,
            kills,
            connection: Some(connection),
            is_broken,
            endpoint,
            identity,
            ..
        } = self
        else {
            return Err(Failed(unavailable("no connection"), Recovery::None));
        };
        let number = connection.id();
        let phase = Cell::new(Phase::Open);
        let stopped = {
            let work = work(Connected::new(connection, server), task, control, &phase);
            tokio::pin!(work);
            tokio::select! {
                biased;
                done = &mut work => {
                    *is_broken = is_lost(&done, phase.get(), server);
                    return done;
                }
                () = control.ended() => {}
            }
            let mut taken = None;
            let grace = match phase.get() {
                Phase::Open => {
                    let (done, answer) = oneshot::channel();
                    taken = Some(answer);
                    let _ = kills.send(Kill {
                        endpoint: *endpoint,
                        identity: identity.clone(),
                        connection: number,
                        done,
                    });
                    GRACE
                }
                Phase::Committing => COMMIT_GRACE,
            };
            let Ok(done) = timeout(grace, &mut work).await else {
                *is_broken = true;
                return Err(match phase.get() {
                    Phase::Open => Failed(over(control), Recovery::None),
                    Phase::Committing => {
                        Failed(unknown("the commit was not answered in time"), Recovery::None)
                    }
                });
            };
            *is_broken = is_lost(&done, phase.get(), server);
            match done {
                // It was done before the order came.
                Ok(reply) => (taken, Ok(reply)),
                Err(Failed(trouble, _)) => match phase.get() {
                    Phase::Open => (taken, Err(Failed(over(control), Recovery::None))),
                    Phase::Committing => (taken, Err(Failed(trouble, Recovery::None))),
                },
            }
        };
        let (taken, outcome) = stopped;
        if let Some(taken) = taken
            && !*is_broken
        {
            *is_broken = !is_clear(connection, taken).await;
        }
        outcome
    }
}

/// Whether nothing more can be said on a connection: it broke, or what it is in the middle of is not known.
fn is_lost(done: &Result<Reply, Failed>, phase: Phase, server: &Server) -> bool {
    match done {
        Ok(_) => false,
        Err(Failed(_, Recovery::Reconnect)) => true,
        Err(Failed(_, Recovery::Elsewhere)) => server.address.must_take_writes(),
        Err(Failed(_, Recovery::None | Recovery::Again)) => phase == Phase::Committing,
    }
}

/// Whether an order to stop can't hit a later statement any more: the server has taken it, and something harmless has run
/// since, whatever became of it.
async fn is_clear(connection: &mut Conn, taken: oneshot::Receiver<()>) -> bool {
    let cleared = timeout(GRACE, async {
        taken.await.is_ok()
            && match connection.query_drop("DO 1").await {
                Ok(()) => true,
                Err(error) => nobodys_fault(&error).1 != Recovery::Reconnect,
            }
    });
    cleared.await.unwrap_or(false)
}

async fn work(
    mut session: Connected<'_>,
    task: &Task,
    control: &Control,
    phase: &Cell<Phase>,
) -> Result<Reply, Failed> {
    if !task.is_write() {
        let outcome = run_reading(&mut session, task, control).await;
        return outcome.map_err(|trouble| failed(trouble, session.recovery));
    }
    for command in begin(task) {
        if let Err(trouble) = session.command(command).await {
            return Err(failed(trouble, session.recovery));
        }
    }
    let outcome = run_writing(&mut session, task, control).await;
    let recovery = std::mem::replace(&mut session.recovery, Recovery::None);
    let reply = match outcome {
        Ok(reply) if control.over().is_none() => reply,
        Ok(_) => {
            roll_back(&mut session).await;
            return Err(failed(over(control), session.recovery));
        }
        Err(trouble) => {
            if recovery == Recovery::Reconnect {
                return Err(failed(trouble, recovery));
            }
            return Err(failed(trouble, rolled_back(&mut session, recovery).await));
        }
    };
    phase.set(Phase::Committing);
    match session.connection.query_drop("COMMIT").await {
        Ok(()) => Ok(reply),
        Err(error) => {
            tracing::error!(error = described(&error), "a commit failed");
            let (trouble, recovery) = nobodys_fault(&error);
            match recovery {
                // A deadlock at commit (Galera), or a server that was demoted meanwhile: it did not commit. What it may have kept open
                // would be committed by the next transaction's begin.
                Recovery::Again | Recovery::Elsewhere => {
                    phase.set(Phase::Open);
                    Err(Failed(trouble, rolled_back(&mut session, recovery).await))
                }
                Recovery::None | Recovery::Reconnect => Err(Failed(
                    unknown(format!("commit: {}", described(&error))),
                    Recovery::None,
                )),
            }
        }
    }
}

/// What begins the transaction of a task. Calls that are done together see one moment, even where they ask for less.
fn begin(task: &Task) -> &'static [&'static str] {
    match &task.what {
        What::One(_) => &["START TRANSACTION"],
        What::Together(transaction) => match transaction.isolation() {
            Isolation::ReadCommitted | Isolation::RepeatableRead => &[
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION",
            ],
            Isolation::Serializable => &[
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "START TRANSACTION",
            ],
        },
    }
}

async fn roll_back(session: &mut Connected<'_>) {
    if let Err(trouble) = session.command("ROLLBACK").await {
        tracing::warn!(
            trouble = trouble.to_string(),
            "a change could not be rolled back; its connection is given up"
        );
        session.recovery = Recovery::Reconnect;
    }
}

/// Rolls back after a failure; what can be done about it then. A connection that can't be rolled back on is given up, and rolled back
/// by the server.
async fn rolled_back(session: &mut Connected<'_>, recovery: Recovery) -> Recovery {
    roll_back(session).await;
    match session.recovery {
        Recovery::None => recovery,
        Recovery::Again | Recovery::Reconnect | Recovery::Elsewhere => Recovery::Reconnect,
    }
}

/// Changes that met others' may be tried again.
fn failed(trouble: Trouble, recovery: Recovery) -> Failed {
    match (&trouble, recovery) {
        (Trouble::Serialization { detail: _ }, Recovery::None) => Failed(trouble, Recovery::Again),
        (_, recovery) => Failed(trouble, recovery),
    }
}

fn over(control: &Control) -> Trouble {
    let detail = control.over().map(|refusal| refusal.detail);
    Trouble::Database {
        code: Code::Timeout,
        advice: Advice::Retry,
        detail: detail.unwrap_or_else(|| "the call is over".to_owned()),
    }
}

fn unknown(detail: impl Into<String>) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::OutcomeUnknown,
        detail: detail.into(),
    }
}

/// Half to the whole of a time, so that many don't come back at once.
fn jittered(time: Duration) -> Duration {
    let mut byte = [0_u8];
    // Without randomness there is no jitter, which is no harm.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    time.mul_f64(0.5 + f64::from(byte) / 512.0)
}
