//! A connection: one call after the other, each with its deadline. What changes something is one statement that is its own transaction,
//! or several in one.
//!
//! What may be tried again was provably rolled back: a deadlock's victim, or anything on a connection that broke before COMMIT
//! was sent, or the one statement. From then on a failure leaves the outcome unknown, and that is what the caller is told.

use std::cell::Cell;
use std::time::{Duration, Instant};

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation, Reply};
use dbal_shared::plan::Action;
use dbal_sql::{Dialect, Statement, ValidPlan};
use futures_util::FutureExt;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::observer::Kill;
use super::server::{Identity, NewRows, Reached, Server};
use super::session::Connected;
use super::trouble::{Recovery, described, is_no_commit, nobodys_fault};
use super::unavailable;
use crate::database::leasing::Lent;
use crate::database::session::{Look, Row, Session};
use crate::database::task::{run_reading, run_writing};
use crate::database::trouble::Trouble;
use crate::database::write;
use crate::job::{Control, Refusal, Task, What};

/// How long a stopped statement may take to end. Then its connection is given up; the order to stop it stands.
const GRACE: Duration = Duration::from_millis(100);
/// How long a commit may take beyond the caller's patience, since stopping it would leave its outcome unknown.
const COMMIT_GRACE: Duration = Duration::from_secs(5);

/// How long an answer waits for a statement that is its own transaction and was asked to stop: what may be stopped of it is by then,
/// and what is left of it is its commit.
const STATEMENT_GRACE: Duration = Duration::from_millis(500);
/// A connection that was silent for longer may be dead without anybody's knowing. Of what begins with a BEGIN nothing is lost by that.
const FRESH: Duration = Duration::from_millis(250);

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
    /// Whether it answers the rows that a statement makes.
    answers_new_rows: bool,
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
pub(super) enum Phase {
    /// Nothing of it stands if the connection breaks.
    Open,
    /// A statement that is its own transaction is under way: nobody knows until it is answered.
    Sent,
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
            answers_new_rows,
            is_read_only: _,
            packet,
        } = reached;
        let now = Instant::now();
        Self {
            connection: Some(connection),
            endpoint,
            identity,
            packet,
            answers_new_rows,
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
        let ways = Ways {
            new_rows: server.new_rows.filter(|_| self.answers_new_rows),
            is_fresh: self.answered_at.elapsed() < FRESH,
        };
        let work = async |session: Connected<'_>, phase: &Cell<Phase>| {
            work(session, ways, task, control, phase).await
        };
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
            at @ (Phase::Open | Phase::Sent) => {
                let (done, answer) = oneshot::channel();
                taken = Some(answer);
                let _ = kills.send(Kill {
                    endpoint,
                    identity: identity.clone(),
                    connection: number,
                    done,
                });
                if at == Phase::Sent { STATEMENT_GRACE } else { GRACE }
            }
            Phase::Committing => COMMIT_GRACE,
        };
        let Ok(done) = timeout(grace, &mut work).await else {
            let trouble = match phase.get() {
                Phase::Open => over(control),
                Phase::Sent => unknown("the change was not answered in time"),
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
                    Phase::Sent | Phase::Committing => trouble,
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
        Err(Failed(_, Recovery::None | Recovery::Again)) => match phase {
            Phase::Open => false,
            Phase::Sent | Phase::Committing => true,
        },
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

/// How a connection can be used.
#[derive(Clone, Copy)]
struct Ways {
    /// The dialects for a server that answers the rows that a statement makes, if this one does.
    new_rows: Option<NewRows>,
    /// Whether it answered a moment ago.
    is_fresh: bool,
}

async fn work<'a>(
    mut session: Connected<'a>,
    ways: Ways,
    task: &Task,
    control: &'a Control,
    phase: &'a Cell<Phase>,
) -> Result<Reply, Failed> {
    if !task.is_write() {
        let outcome = run_reading(&mut session, task, control).await;
        return outcome.map_err(|trouble| failed(trouble, session.recovery));
    }
    let usual = session.dialect;
    if let Some((plan, dialect)) = one_statement(task, usual, ways) {
        session.dialect = dialect;
        session.change_alone(control, phase);
        let outcome = write::run(&mut session, plan).await;
        let recovery = std::mem::replace(&mut session.recovery, Recovery::None);
        match outcome {
            Ok(reply) => return Ok(reply),
            Err(trouble) if phase.get() == Phase::Sent => return Err(unsure(trouble, recovery)),
            // It was undone. Whether the row may not be so or the server can't say so, a transaction tells.
            Err(trouble) if recovery == Recovery::None && is_to_be_told(plan, &trouble) => {
                session.dialect = usual;
            }
            Err(trouble) => return Err(failed(trouble, recovery)),
        }
    } else if let Some(NewRows { answering, alone: _ }) = ways.new_rows {
        session.dialect = answering;
    }
    in_transaction(session, task, control, phase).await
}

/// The plan of a task that one statement carries out, if no other has to be undone with it, nor it when its answer is found
/// wanting; and how the statement is said.
fn one_statement<'t>(
    task: &'t Task,
    usual: &'static Dialect,
    ways: Ways,
) -> Option<(&'t ValidPlan, &'static Dialect)> {
    let Task {
        what: What::One(plan),
        once: None,
    } = task
    else {
        return None;
    };
    if !ways.is_fresh {
        return None;
    }
    match plan.action() {
        Action::Create { .. } => {
            let NewRows { answering: _, alone } = ways.new_rows?;
            let entity = plan.entity()?;
            (!alone.read_again.contains(&entity.id)).then_some((&**plan, alone))
        }
        // Only their number is wanted.
        Action::Delete { .. } => Some((&**plan, usual)),
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::CreateMany { .. }
        | Action::Update { .. }
        | Action::UpdateMany { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => None,
    }
}

/// Whether a statement that makes a row may have failed by what was asked of it beside that.
fn is_to_be_told(plan: &ValidPlan, trouble: &Trouble) -> bool {
    let is_new = matches!(plan.action(), Action::Create { .. });
    is_new
        && match trouble {
            Trouble::Overflow { detail: _ } => true,
            Trouble::Database { code, advice, .. } => *advice == Advice::Final && *code != Code::TooLarge,
            Trouble::NotFound
            | Trouble::NotPermitted
            | Trouble::TooManyRows
            | Trouble::AnswerTooLarge
            | Trouble::Fields { .. }
            | Trouble::Violation { .. }
            | Trouble::Sql(_)
            | Trouble::NotInSchema
            | Trouble::WrongType { .. }
            | Trouble::Refused(_)
            | Trouble::Serialization { detail: _ } => false,
        }
}

/// The connection went away before the answer, or the answer is one that can't be shown or that does not say what became of the change.
fn unsure(trouble: Trouble, recovery: Recovery) -> Failed {
    if recovery == Recovery::Reconnect {
        return Failed(unknown(format!("the change: {trouble}")), recovery);
    }
    let refusal = trouble.into_refusal();
    let trouble = Trouble::Database {
        code: refusal.failure.code,
        advice: Advice::OutcomeUnknown,
        detail: format!(
            "the change may have been done, but can't be shown: {}",
            refusal.detail
        ),
    };
    Failed(trouble, Recovery::None)
}

/// Several statements, between START TRANSACTION and COMMIT.
async fn in_transaction(
    mut session: Connected<'_>,
    task: &Task,
    control: &Control,
    phase: &Cell<Phase>,
) -> Result<Reply, Failed> {
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
