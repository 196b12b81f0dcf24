//! A SQLite connection as every adapter's session. Nothing in it waits: the library does its work in the call.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dbal_schema::{Column, ColumnType, Entity};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation, Reply};
use dbal_shared::value::Value;
use dbal_sql::{Dialect, Statement};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::trouble::{nobodys_fault, trouble};
use super::values::{self, Parameter, Times};
use crate::database::session::{Look, Row, Session};
use crate::database::task;
use crate::database::trouble::Trouble;
use crate::job::{Control, Task};

/// A connection that statements run on.
pub(super) struct Connected<'a> {
    pub(super) connection: &'a Connection,
    /// For the tables as they are.
    pub(super) dialect: &'static Dialect,
}

impl Session for Connected<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let failed = |error| trouble(&error, entity);
        let mut prepared = self.connection.prepare_cached(statement.sql()).map_err(failed)?;
        let parameters = params_from_iter(statement.parameters().iter().map(Parameter));
        let mut rows = prepared.query(parameters).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let dialect = self.dialect;
            if look(&Stored { row, dialect })? == Look::Enough {
                break;
            }
        }
        Ok(())
    }

    async fn begin_snapshot(&mut self, _isolation: Isolation) -> Result<(), Trouble> {
        // Deferred: the snapshot is that of the first read.
        command(self.connection, "BEGIN DEFERRED").map_err(|error| nobodys_fault(&error))
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        // An interrupted statement may have ended the transaction already.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        command(self.connection, "COMMIT").map_err(|error| nobodys_fault(&error))
    }
}

/// A statement of our own words that has neither parameters nor rows.
pub(super) fn command(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

struct Stored<'a, 'row> {
    row: &'a rusqlite::Row<'row>,
    dialect: &'static Dialect,
}

impl Row for Stored<'_, '_> {
    fn is_true(&self, nth: usize) -> Result<bool, Trouble> {
        let value = self.row.get::<_, Option<i64>>(nth);
        value
            .map(|value| value == Some(1))
            .map_err(|error| nobodys_fault(&error))
    }

    fn number(&self, nth: usize) -> Result<u64, Trouble> {
        let value = self.row.get::<_, i64>(nth);
        value
            .map(|value| u64::try_from(value).unwrap_or(0))
            .map_err(|error| nobodys_fault(&error))
    }

    fn value(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        let stored = self.row.get_ref(nth).map_err(|error| nobodys_fault(&error))?;
        // Where times are compared as texts, one in another form stands elsewhere than its instant does.
        let times = if (self.dialect.order)(ColumnType::Datetime).is_empty() {
            Times::OfOurs
        } else {
            Times::OfAnybody
        };
        values::read(column.kind, stored, times).ok_or_else(|| Trouble::WrongType {
            column: column.name.clone(),
        })
    }

    fn sum(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        match self.row.get_ref(nth) {
            Ok(ValueRef::Real(sum)) if column.kind == ColumnType::Float => Ok(Value::Float(sum)),
            Ok(_) | Err(_) => self.value(nth, column),
        }
    }
}

/// The result of work on a [`Connected`], which never waits.
pub(super) fn at_once<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Trouble::Database {
            code: Code::Internal,
            advice: Advice::Final,
            detail: "work on SQLite waited for something".to_owned(),
        }),
    }
}

/// The two ways to run a task, as the threads call them.
pub(in crate::database) fn read_task(
    connection: &Connection,
    dialect: &'static Dialect,
    task: &Task,
    control: &Control,
) -> Result<Reply, Trouble> {
    let mut connected = Connected { connection, dialect };
    at_once(task::run_reading(&mut connected, task, control))
}

/// See [`read_task`].
pub(in crate::database) fn write_task(
    connection: &Connection,
    dialect: &'static Dialect,
    task: &Task,
    control: &Control,
) -> Result<Reply, Trouble> {
    let mut connected = Connected { connection, dialect };
    at_once(task::run_writing(&mut connected, task, control))
}

/// The two ways to run a plan, as the tests call them.
#[cfg(test)]
pub(super) fn read(
    connection: &Connection,
    dialect: &'static Dialect,
    plan: &dbal_sql::ValidPlan,
) -> Result<Reply, Trouble> {
    let mut connected = Connected { connection, dialect };
    at_once(crate::database::read::run(&mut connected, plan))
}

/// See [`read`].
#[cfg(test)]
pub(super) fn write(
    connection: &Connection,
    dialect: &'static Dialect,
    plan: &dbal_sql::ValidPlan,
) -> Result<Reply, Trouble> {
    let mut connected = Connected { connection, dialect };
    at_once(crate::database::write::run(&mut connected, plan))
}
