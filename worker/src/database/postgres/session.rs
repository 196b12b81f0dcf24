//! A connection as every adapter's session.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use dbal_schema::{Column, Entity};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::value::Value;
use dbal_sql::{Dialect, POSTGRES, Statement};
use futures_util::TryStreamExt;

use super::live::{Live, Turn};
use super::trouble::{Mishap, is_rolled_back, nobodys_fault, trouble};
use super::unique::Unique;
use super::values::{Cell as Stored, Parameter};
use crate::database::session::{Look, Row, Session};
use crate::database::trouble::Trouble;
use crate::job::Control;

/// What a call does on a connection.
pub(super) struct Connected<'a> {
    live: &'a Rc<Live>,
    unique: &'a Unique,
    control: &'a Control,
    watch: &'a Watch,
    state: State,
    /// Whether a failed statement leaves the others of its transaction to be looked at: each then begins with a savepoint.
    keeps_others: bool,
    has_savepoint: bool,
    has_failed: bool,
}

/// What can be seen of a call's session from beside it.
#[derive(Default)]
pub(super) struct Watch {
    /// The statement that is under way.
    pub(super) turn: Cell<Option<Turn>>,
    /// The last thing that went wrong.
    pub(super) mishap: Cell<Option<Mishap>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Each statement is for itself.
    Plain,
    /// A snapshot begins with the next statement.
    ToSnapshot,
    /// In a snapshot.
    Snapshot,
    /// In a transaction.
    Transaction,
    /// In a transaction that the server takes nothing in any more.
    Failed,
}

impl<'a> Connected<'a> {
    pub(super) fn new(
        live: &'a Rc<Live>,
        unique: &'a Unique,
        control: &'a Control,
        watch: &'a Watch,
    ) -> Self {
        Self {
            live,
            unique,
            control,
            watch,
            state: State::Plain,
            keeps_others: false,
            has_savepoint: false,
            has_failed: false,
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

    /// Commits, if the transaction still is one.
    pub(super) async fn commit(&mut self) -> Result<(), Committing> {
        if self.state != State::Transaction || self.has_failed {
            return Err(Committing::RolledBack(refused(
                Code::Internal,
                Advice::Retry,
                "a transaction that failed can't be committed",
            )));
        }
        self.state = State::Plain;
        match self.live.client.batch_execute("COMMIT").await {
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
            if self.command("ROLLBACK").await.is_err() {
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

    fn noted(&self, (trouble, mishap): (Trouble, Mishap)) -> Trouble {
        self.watch.mishap.set(Some(mishap));
        trouble
    }

    async fn run(
        &self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let failed = |error| self.noted(trouble(&error, entity, self.unique));
        // Preparing waits, too, where somebody holds the table locked.
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let prepared = self.live.prepare(statement.sql()).await.map_err(failed)?;
        drop(place);
        let parameters = statement.parameters().iter().map(Parameter);
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let client = &self.live.client;
        let query = client.query_raw(&prepared, parameters);
        let before = match self.state {
            State::ToSnapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            State::Transaction if self.keeps_others && self.has_savepoint => {
                Some("RELEASE SAVEPOINT one; SAVEPOINT one")
            }
            State::Transaction if self.keeps_others => Some("SAVEPOINT one"),
            State::Plain | State::Snapshot | State::Transaction | State::Failed => None,
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
        Ok(())
    }
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
        &POSTGRES
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        if self.control.over().is_some() {
            return Err(refused(
                Code::Timeout,
                Advice::Retry,
                "the time for the call is over",
            ));
        }
        // A transaction takes nothing after an error. Whoever asks on wants to know why it failed, and rolls back anyhow.
        if self.state == State::Failed {
            if self.has_savepoint {
                self.command("ROLLBACK TO SAVEPOINT one").await?;
                self.state = State::Transaction;
            } else {
                self.roll_back().await;
            }
        }
        let outcome = self.run(statement, entity, look).await;
        self.watch.turn.set(None);
        self.has_failed |= outcome.is_err();
        self.has_savepoint = self.keeps_others && self.state == State::Transaction;
        self.state = match (self.state, &outcome) {
            (State::ToSnapshot, _) => State::Snapshot,
            (State::Transaction, Err(_)) => State::Failed,
            (state, _) => state,
        };
        outcome
    }

    async fn begin_snapshot(&mut self) -> Result<(), Trouble> {
        self.state = State::ToSnapshot;
        Ok(())
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        if self.state == State::Snapshot {
            // There is nothing in it to be lost, so nobody need wait for its end; what comes next on the connection does.
            self.live.send_and_forget("COMMIT");
        }
        self.state = State::Plain;
        Ok(())
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
}
