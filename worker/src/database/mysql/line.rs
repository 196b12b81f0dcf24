//! A connection: one call after the other, each with its deadline, in a transaction if it changes something.
//!
//! What may be tried again was provably rolled back: a deadlock's victim, or anything on a connection that broke before COMMIT
//! was sent. From then on a failure leaves the outcome unknown, and that is what the caller is told.

use std::cell::Cell;
use std::time::{Duration, Instant};

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation, Reply};
use dbal_sql::Statement;
use futures_util::FutureExt;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::observer::Kill;
use super::server::{Identity, Reached, Server};
use super::session::Connected;
use super::trouble::{Recovery, described, is_no_commit, nobodys_fault};
use super::unavailable;
use crate::database::leasing::Lent;
use crate::database::session::{Look, Row, Session};
use crate::database::task::{run_reading, run_writing};
use crate::database::trouble::Trouble;
use crate::job::{Control, Refusal, Task, What};

/// How long a stopped statement may take to end. Then its connection is given up; the order to stop it stands.
const GRACE: Duration = Duration::from_millis(100);
/// How long a commit may take beyond the caller's patience, since stopping it would leave its outcome unknown.
const COMMIT_GRACE: Duration = Duration::from_secs(5);

/// A connection, closed when it is dropped.
pub(super) struct Line {
    /// None once it is closed.
    connection: Option<Conn>,
    /// Which of the addresses it leads to.
    endpoint: usize,
    /// Which server it leads to.
    identity: Identity,
    /// Most bytes that it takes at once.
    packet: usize,
    /// Not lent after.
    old_at: Instant,
    answered_at: Instant,
    /// Whether it is known what it is in the middle of: nothing.
    is_clean: bool,
    /// Which of the addresses to try first for the one that takes its place.
    next: usize,
    /// Told when it is closed.
    left: Option<oneshot::Sender<usize>>,
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
pub(super) struct Failed(pub(super) Trouble, pub(super) Recovery);

impl Lent for Line {
    fn is_fit(&self) -> bool {
        self.is_clean && !self.is_old()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(connection);
        }
        if let Some(left) = self.left.take() {
            // Nobody may keep it any more.
            let _ = left.send(self.next);
        }
    }
}

/// Closes a connection now. Takes leave of the server, which counts connections that break off, if that can be said at once; dropped
/// by itself, the driver would first wait for what is still to come.
pub(super) fn close(connection: Conn) {
    let _ = connection.disconnect().now_or_never();
}

impl Line {
    /// A connection that is kept for so long. `left` is told when it is closed.
    pub(super) fn new(reached: Reached, age: Duration, left: oneshot::Sender<usize>) -> Self {
        let Reached {
            connection,
            endpoint,
            identity,
            kind: _,
            version: _,
            is_read_only: _,
            packet,
        } = reached;
        let now = Instant::now();
        Self {
            connection: Some(connection),
            endpoint,
            identity,
            packet,
            old_at: now.checked_add(age).unwrap_or(now),
            answered_at: now,
            is_clean: true,
            next: endpoint,
            left: Some(left),
        }
    }

    /// Whether another one is to take its place.
    pub(super) fn is_old(&self) -> bool {
        Instant::now() >= self.old_at
    }

    /// Whether its server answered on it since then.
    pub(super) fn has_answered_since(&self, then: Instant) -> bool {
        self.answered_at >= then
    }

    /// Runs a task once, as long as somebody waits for it.
    pub(super) async fn attempt(
        &mut self,
        server: &Server,
        kills: &UnboundedSender<Kill>,
        task: &Task,
        control: &Control,
    ) -> Result<Reply, Failed> {
        let work =
            async |session: Connected<'_>, phase: &Cell<Phase>| work(session, task, control, phase).await;
        self.used(server, kills, control, work).await
    }

    /// Runs a statement about `entity` that changes nothing and shows its rows, as long as somebody waits for it.
    pub(super) async fn read(
        &mut self,
        server: &Server,
        kills: &UnboundedSender<Kill>,
        (statement, entity): (&Statement, &Entity),
        control: &Control,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Failed> {
        let work = async |mut session: Connected<'_>, _: &Cell<Phase>| {
            let outcome = session.rows(statement, entity, look).await;
            outcome.map_err(|trouble| failed(trouble, session.recovery))
        };
        self.used(server, kills, control, work).await
    }

    async fn used<R>(
        &mut self,
        server: &Server,
        kills: &UnboundedSender<Kill>,
        control: &Control,
        work: impl AsyncFnOnce(Connected<'_>, &Cell<Phase>) -> Result<R, Failed>,
    ) -> Result<R, Failed> {
        // Until it is known how this ends nobody else may have it.
        self.is_clean = false;
        let Some(connection) = &mut self.connection else {
            return Err(Failed(unavailable("no connection"), Recovery::Reconnect));
        };
        let way = (self.endpoint, &self.identity);
        let server = (server, self.packet);
        let (outcome, is_clean) = watched(connection, server, kills, way, control, work).await;
        self.is_clean = is_clean;
        if is_clean {
            self.answered_at = Instant::now();
        }
        if matches!(outcome, Err(Failed(_, Recovery::Elsewhere))) {
            self.next = self.endpoint.wrapping_add(1);
        }
        outcome
    }
}

/// Does some work, and stops it in the database when its time is over. Tells whether the connection is good for another.
async fn watched<R>(
    connection: &mut Conn,
    (server, packet): (&Server, usize),
    kills: &UnboundedSender<Kill>,
    (endpoint, identity): (usize, &Identity),
    control: &Control,
    work: impl AsyncFnOnce(Connected<'_>, &Cell<Phase>) -> Result<R, Failed>,
) -> (Result<R, Failed>, bool) {
    let number = connection.id();
    let phase = Cell::new(Phase::Open);
    let (outcome, taken) = {
        let work = work(Connected::new(connection, server, packet), &phase);
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => {
                let is_clean = !is_lost(&done, phase.get(), server);
                return (done, is_clean);
            }
            () = control.ended() => {}
        }
        let mut taken = None;
        let grace = match phase.get() {
            Phase::Open => {
                let (done, answer) = oneshot::channel();
                taken = Some(answer);
                let _ = kills.send(Kill {
                    endpoint,
                    identity: identity.clone(),
                    connection: number,
                    done,
                });
                GRACE
            }
            Phase::Committing => COMMIT_GRACE,
        };
        let Ok(done) = timeout(grace, &mut work).await else {
            let trouble = match phase.get() {
                Phase::Open => over(control),
                Phase::Committing => unknown("the commit was not answered in time"),
            };
            return (Err(Failed(trouble, Recovery::None)), false);
        };
        let is_lost = is_lost(&done, phase.get(), server);
        let outcome = match done {
            // It was done before the order came.
            Ok(done) => Ok(done),
            Err(Failed(trouble, _)) => Err(Failed(
                match phase.get() {
                    Phase::Open => over(control),
                    Phase::Committing => trouble,
                },
                Recovery::None,
            )),
        };
        if is_lost {
            return (outcome, false);
        }
        (outcome, taken)
    };
    let is_clean = match taken {
        None => true,
        Some(taken) => is_clear(connection, taken).await,
    };
    (outcome, is_clean)
}

/// Whether nothing more can be said on a connection: it broke, or what it is in the middle of is not known.
fn is_lost<R>(done: &Result<R, Failed>, phase: Phase, server: &Server) -> bool {
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
            if is_no_commit(&error) {
                // A deadlock at commit (Galera), or a server that was demoted meanwhile. What it may have kept open would be
                // committed by the next transaction's begin.
                phase.set(Phase::Open);
                return Err(Failed(trouble, rolled_back(&mut session, recovery).await));
            }
            let why = format!("commit: {}", described(&error));
            Err(Failed(unknown(why), Recovery::None))
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
    let ended = || Refusal::new(Code::Timeout, Advice::Retry, "the call is over");
    Trouble::Refused(Box::new(control.over().unwrap_or_else(ended)))
}

fn unknown(detail: impl Into<String>) -> Trouble {
    Trouble::Database {
        code: Code::Unavailable,
        advice: Advice::OutcomeUnknown,
        detail: detail.into(),
    }
}
