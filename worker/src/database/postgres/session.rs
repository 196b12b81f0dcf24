//! A connection as every adapter's session.

mod sent;
mod several;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dbal_schema::{Column, Entity};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed, Statement};
use futures_util::TryStreamExt;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};

use super::live::{Live, Turn};
use super::tables::Tables;
use super::trouble::{Mishap, is_division, is_not_sent, is_rolled_back, nobodys_fault, trouble};
use super::values::{Bound, Cell as Stored, Parameter};
use crate::cache::CHANNEL;
use crate::database::session::{Look, LookEach, Row, Session, one_by_one};
use crate::database::trouble::Trouble;
use crate::job::Control;
use sent::Sent;

/// A server that takes longer for a ROLLBACK loses the connection, and undoes by itself what ran on it.
const ROLLS_BACK_WITHIN: Duration = Duration::from_secs(2);
/// Statements of one change that are sent together.
const SENT_TOGETHER: usize = 25;

/// What a call does on a connection.
pub(super) struct Connected<'a> {
    live: &'a Rc<Live>,
    tables: &'a Tables,
    control: &'a Control,
    watch: &'a Watch,
    state: State,
    /// Whether a failed statement leaves the others of its transaction to be looked at: each then begins with a savepoint.
    keeps_others: bool,
    has_savepoint: bool,
    has_failed: bool,
    /// Of a change that is its own transaction.
    phase: Option<&'a Cell<Phase>>,
}

/// What can be seen of a call's session from beside it.
#[derive(Default)]
pub(super) struct Watch {
    /// The statement that is under way.
    pub(super) turn: Cell<Option<Turn>>,
    /// The last thing that went wrong.
    pub(super) mishap: Cell<Option<Mishap>>,
    /// Whether the server undid a change because something in it divided by zero.
    pub(super) has_divided: Cell<bool>,
}

/// How far a change has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of it is in the database, nor will be once the call is over.
    Undone,
    /// It is being done for good: the commit is under way, or a statement that is its own transaction.
    Committing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Each statement is for itself.
    Plain,
    /// The next statement is a change, and its own transaction.
    Alone,
    /// A snapshot begins with the next statement.
    ToSnapshot(Isolation),
    /// In a snapshot.
    Snapshot(Isolation),
    /// In a transaction.
    Transaction,
    /// In a transaction that the server takes nothing in any more.
    Failed,
}

impl<'a> Connected<'a> {
    pub(super) fn new(
        live: &'a Rc<Live>,
        tables: &'a Tables,
        control: &'a Control,
        watch: &'a Watch,
    ) -> Self {
        Self {
            live,
            tables,
            control,
            watch,
            state: State::Plain,
            keeps_others: false,
            has_savepoint: false,
            has_failed: false,
            phase: None,
        }
    }

    /// The next statement is a change that is its own transaction.
    pub(super) fn change_alone(&mut self, phase: &'a Cell<Phase>) {
        self.state = State::Alone;
        self.phase = Some(phase);
    }

    /// What becomes of a change that is its own transaction.
    fn is_at(&self, phase: Phase) {
        if let (State::Alone, Some(told)) = (self.state, self.phase) {
            told.set(phase);
        }
    }

    /// Begins a transaction. Waits for it: a statement behind a BEGIN that failed would be committed by itself.
    pub(super) async fn begin(&mut self, how: &'static str) -> Result<(), Trouble> {
        self.command(how).await?;
        self.state = State::Transaction;
        Ok(())
    }

    /// Of a transaction of several calls: a call may refer to rows that an earlier one made, and whoever asks why it failed
    /// must find them.
    pub(super) fn keep_others(&mut self) {
        self.keeps_others = true;
    }

    /// Commits, if the transaction still is one. `message` is what others are told with it: they hear it when they can see what was
    /// written, and not at all if it was undone.
    pub(super) async fn commit(&mut self, message: Option<&str>) -> Result<(), Committing> {
        if self.state != State::Transaction || self.has_failed {
            return Err(Committing::RolledBack(refused(
                Code::Internal,
                Advice::Retry,
                "a transaction that failed can't be committed",
            )));
        }
        self.state = State::Plain;
        self.live.begin_commit();
        let commit = self.live.client.batch_execute("COMMIT");
        let committed = match message {
            None => commit.await,
            Some(message) => {
                let parameters: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&CHANNEL, Type::TEXT), (&message, Type::TEXT)];
                let tell = self
                    .live
                    .client
                    .query_typed("SELECT pg_notify($1, $2)", &parameters);
                // Sent together: polled in this order, and the first poll sends.
                let (told, committed) = futures_util::future::join(tell, commit).await;
                // A commit behind an error of the server's undoes the transaction, and succeeds.
                told.and(committed)
            }
        };
        match committed {
            Ok(()) if self.live.is_unreplicated() => Err(Committing::Unknown(unreplicated())),
            Ok(()) => Ok(()),
            Err(error) => {
                let (trouble, mishap) = nobodys_fault(&error);
                self.watch.mishap.set(Some(mishap));
                Err(if is_rolled_back(&error) {
                    Committing::RolledBack(trouble)
                } else {
                    Committing::Unknown(trouble)
                })
            }
        }
    }

    /// Undoes the transaction, if there is one.
    pub(super) async fn roll_back(&mut self) {
        if matches!(self.state, State::Transaction | State::Failed) {
            self.state = State::Plain;
            let rolled_back = timeout(ROLLS_BACK_WITHIN, self.command("ROLLBACK")).await;
            if !matches!(rolled_back, Ok(Ok(()))) {
                // What can't be rolled back must not be lent to another call.
                self.live.kill();
            }
        }
    }

    async fn command(&self, sql: &'static str) -> Result<(), Trouble> {
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let done = self.live.client.batch_execute(sql).await;
        self.watch.turn.set(None);
        drop(place);
        done.map_err(|error| self.noted(nobodys_fault(&error)))
    }

    fn has_time(&self) -> Result<(), Trouble> {
        match self.control.over() {
            None => Ok(()),
            Some(_) => Err(refused(
                Code::Timeout,
                Advice::Retry,
                "the time for the call is over",
            )),
        }
    }

    fn noted(&self, (trouble, mishap): (Trouble, Mishap)) -> Trouble {
        self.watch.mishap.set(Some(mishap));
        trouble
    }

    /// Before a statement.
    async fn ready(&mut self) -> Result<(), Trouble> {
        self.has_time()?;
        // A transaction takes nothing after an error. Whoever asks on wants to know why it failed, and rolls back anyhow.
        if self.state == State::Failed {
            if self.has_savepoint {
                self.command("ROLLBACK TO SAVEPOINT one").await?;
                self.state = State::Transaction;
            } else {
                self.roll_back().await;
            }
        }
        Ok(())
    }

    /// After a statement.
    fn has_run(&mut self, is_ok: bool) {
        self.watch.turn.set(None);
        self.has_failed |= !is_ok;
        self.has_savepoint = self.keeps_others && self.state == State::Transaction;
        self.state = match (self.state, is_ok) {
            (State::Alone, _) => State::Plain,
            (State::ToSnapshot(isolation), _) => State::Snapshot(isolation),
            (State::Transaction, false) => State::Failed,
            (state, _) => state,
        };
    }

    /// Sends the statements without waiting between them. The server does nothing behind one that failed, as they are in a
    /// transaction.
    async fn run_each(
        &self,
        statements: &[&Statement],
        entity: &Entity,
        look: &mut LookEach<'_>,
    ) -> Result<(), (usize, Trouble)> {
        let failed = |nth: usize, error| (nth, self.noted(trouble(&error, entity, &self.tables.unique)));
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let mut prepared = Vec::with_capacity(statements.len());
        for (nth, statement) in statements.iter().enumerate() {
            let one = self.live.prepare(statement.sql()).await;
            prepared.push(one.map_err(|error| failed(nth, error))?);
        }
        let queries = statements.iter().zip(&prepared).map(|(statement, prepared)| {
            let parameters = statement.parameters().iter().map(Parameter);
            self.live.client.query_raw(prepared, parameters)
        });
        let mut sent = Sent::together(queries.enumerate()).await;
        while let Some((nth, rows)) = sent.next().await {
            let mut rows = pin!(rows.map_err(|error| failed(nth, error))?);
            while let Some(row) = rows.try_next().await.map_err(|error| failed(nth, error))? {
                look(nth, Some(&Fetched(&row))).map_err(|trouble| (nth, trouble))?;
            }
            look(nth, None).map_err(|trouble| (nth, trouble))?;
        }
        Ok(())
    }

    /// One statement for several keys. Whoever asks has found that there is time for it.
    pub(super) async fn rows_of_keys(
        &mut self,
        keyed: &Keyed,
        keys: &[Value],
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let parameters = keyed.statement().parameters().iter().enumerate();
        let parameters = parameters.map(|(nth, value)| {
            if nth == keyed.at() {
                Bound::List(keys)
            } else {
                Bound::One(Parameter(value))
            }
        });
        self.run(keyed.statement().sql(), parameters, entity, look).await
    }

    async fn run<'v>(
        &self,
        sql: &str,
        parameters: impl ExactSizeIterator<Item = Bound<'v>>,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let failed = |error| {
            if is_rolled_back(&error) || is_not_sent(&error) {
                self.is_at(Phase::Undone);
            }
            self.watch.has_divided.set(is_division(&error));
            self.noted(trouble(&error, entity, &self.tables.unique))
        };
        // Preparing waits, too, where somebody holds the table locked.
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let prepared = self.live.prepare(sql).await.map_err(failed)?;
        drop(place);
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let client = &self.live.client;
        if self.state == State::Alone {
            // After this nobody is told any more that it was not done.
            self.has_time()?;
            self.is_at(Phase::Committing);
            self.live.begin_commit();
        }
        let query = client.query_raw(&prepared, parameters);
        let before = match self.state {
            State::ToSnapshot(Isolation::ReadCommitted | Isolation::RepeatableRead) => {
                Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
            State::ToSnapshot(Isolation::Serializable) => {
                Some("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
            }
            State::Transaction if self.keeps_others && self.has_savepoint => {
                Some("RELEASE SAVEPOINT one; SAVEPOINT one")
            }
            State::Transaction if self.keeps_others => Some("SAVEPOINT one"),
            State::Plain | State::Alone | State::Snapshot(_) | State::Transaction | State::Failed => None,
        };
        let rows = match before {
            // Sent together: polled in this order, and the first poll sends. Behind a snapshot that did not begin, a query is
            // one of its own; behind a savepoint that failed, the transaction takes no statement.
            Some(before) => {
                let before = client.batch_execute(before);
                let (before, rows) = futures_util::future::join(before, query).await;
                before.map_err(failed)?;
                rows
            }
            None => query.await,
        };
        let mut rows = pin!(rows.map_err(failed)?);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            if look(&Fetched(&row))? == Look::Enough {
                break;
            }
        }
        if self.state == State::Alone && self.live.is_unreplicated() {
            return Err(unreplicated());
        }
        self.is_at(Phase::Undone);
        Ok(())
    }
}

/// What a lost server takes with it was not done; whoever asks again may do it twice.
fn unreplicated() -> Trouble {
    refused(
        Code::Unavailable,
        Advice::OutcomeUnknown,
        "it is committed on this server, which stopped waiting for a standby to have it, too",
    )
}

/// Why a commit did not succeed.
pub(super) enum Committing {
    /// Nothing was done.
    RolledBack(Trouble),
    /// Nobody knows.
    Unknown(Trouble),
}

impl Session for Connected<'_> {
    fn dialect(&self) -> &'static Dialect {
        match self.state {
            State::Alone => self.tables.dialect_alone(),
            State::Plain | State::ToSnapshot(_) | State::Snapshot(_) | State::Transaction | State::Failed => {
                self.tables.dialect()
            }
        }
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        self.ready().await?;
        let parameters = statement.parameters().iter();
        let parameters = parameters.map(|value| Bound::One(Parameter(value)));
        let outcome = self.run(statement.sql(), parameters, entity, look).await;
        self.has_run(outcome.is_ok());
        outcome
    }

    async fn rows_of_each(
        &mut self,
        statements: &[&Statement],
        entity: &Entity,
        look: &mut LookEach<'_>,
    ) -> Result<(), (usize, Trouble)> {
        // Where a savepoint stands before each statement, what failed is looked at with those before it in place.
        if self.keeps_others {
            return one_by_one(self, statements, entity, look).await;
        }
        for (chunk, several) in statements.chunks(SENT_TOGETHER).enumerate() {
            let first = chunk.saturating_mul(SENT_TOGETHER);
            self.ready().await.map_err(|trouble| (first, trouble))?;
            let mut look = |nth: usize, row: Option<&dyn Row>| look(first.saturating_add(nth), row);
            let outcome = self.run_each(several, entity, &mut look).await;
            self.has_run(outcome.is_ok());
            outcome.map_err(|(nth, trouble)| (first.saturating_add(nth), trouble))?;
        }
        Ok(())
    }

    async fn begin_snapshot(&mut self, isolation: Isolation) -> Result<(), Trouble> {
        // A replica has no other: "cannot use serializable mode in a hot standby".
        let isolation = if self.live.takes_writes() {
            isolation
        } else {
            Isolation::RepeatableRead
        };
        self.state = State::ToSnapshot(isolation);
        Ok(())
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        match std::mem::replace(&mut self.state, State::Plain) {
            State::Snapshot(Isolation::ReadCommitted | Isolation::RepeatableRead) => {
                // There is nothing in it to be lost, so nobody need wait for its end; what comes next on the connection does.
                self.live.send_and_forget("COMMIT");
                Ok(())
            }
            // "Not considered valid until the transaction which read it has successfully committed" (PostgreSQL, 13.2.3).
            State::Snapshot(Isolation::Serializable) => self.command("COMMIT").await,
            State::Plain | State::Alone | State::ToSnapshot(_) | State::Transaction | State::Failed => Ok(()),
        }
    }
}

fn refused(code: Code, advice: Advice, detail: &str) -> Trouble {
    Trouble::Database {
        code,
        advice,
        detail: detail.to_owned(),
    }
}

struct Fetched<'a>(&'a tokio_postgres::Row);

impl Row for Fetched<'_> {
    fn is_true(&self, nth: usize) -> Result<bool, Trouble> {
        let value = self.0.try_get::<_, Option<bool>>(nth);
        value
            .map(|value| value == Some(true))
            .map_err(|error| nobodys_fault(&error).0)
    }

    fn number(&self, nth: usize) -> Result<u64, Trouble> {
        let value = self.0.try_get::<_, i64>(nth);
        value
            .map(|value| u64::try_from(value).unwrap_or(0))
            .map_err(|error| nobodys_fault(&error).0)
    }

    fn value(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        let stored: Stored<'_> = self.0.try_get(nth).map_err(|error| nobodys_fault(&error).0)?;
        stored.value(column.kind).ok_or_else(|| Trouble::WrongType {
            column: column.name.clone(),
        })
    }

    fn mark(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        let stored: Stored<'_> = self.0.try_get(nth).map_err(|error| nobodys_fault(&error).0)?;
        // What can't be read tells no place either.
        match (self.value(nth, column)?, stored.finer_us()) {
            (Value::Timestamp(_), Some(us)) => Ok(Value::Int(us)),
            (value, _) => Ok(value),
        }
    }
}
