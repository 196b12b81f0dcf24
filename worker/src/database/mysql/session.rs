//! A connection as every adapter's session.

use std::cell::Cell;

use dbal_schema::{Column, ColumnType, Entity};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::value::Value;
use dbal_sql::dialect::has_room_for;
use dbal_sql::{Dialect, Statement};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row as Cells, Statement as Prepared, Value as Stored};

use super::line::Phase;
use super::server::Server;
use super::trouble::{Recovery, is_undone, nobodys_fault, trouble};
use super::values;
use crate::database::session::{Look, Row, Session};
use crate::database::trouble::Trouble;
use crate::job::Control;

/// What the driver sends at once at most. Where there is more it sends each parameter by itself.
const AT_ONCE: usize = 0xff_ffff;
/// A statement's number and flags, and what is said of each parameter beside its bytes.
const HEAD: usize = 64;
const BESIDE: usize = 32;

/// A connection that statements run on, and what can be done about the last one that failed.
pub(super) struct Connected<'a> {
    pub(super) connection: &'a mut Conn,
    pub(super) server: &'a Server,
    pub(super) recovery: Recovery,
    /// How its statements are said.
    pub(super) dialect: &'static Dialect,
    /// Most bytes that the server takes at once.
    packet: usize,
    /// Of the next statement, if it is a change that is its own transaction: how long somebody waits for it, and what becomes of it.
    alone: Option<(&'a Control, &'a Cell<Phase>)>,
}

impl<'a> Connected<'a> {
    pub(super) fn new(connection: &'a mut Conn, server: &'a Server, packet: usize) -> Self {
        Self {
            connection,
            server,
            recovery: Recovery::None,
            dialect: server.dialect,
            packet,
            alone: None,
        }
    }

    /// The next statement is a change that is its own transaction.
    pub(super) fn change_alone(&mut self, control: &'a Control, phase: &'a Cell<Phase>) {
        self.alone = Some((control, phase));
    }

    /// Before a statement is sent. What is its own transaction can't be taken back from then on.
    fn send(&self) -> Result<(), Trouble> {
        if let Some((control, phase)) = self.alone {
            if let Some(over) = control.over() {
                return Err(Trouble::Refused(Box::new(over)));
            }
            phase.set(Phase::Sent);
        }
        Ok(())
    }

    /// A statement was answered to its end, and what it answered was understood.
    fn is_answered(&mut self) {
        if let Some((_, phase)) = self.alone.take() {
            phase.set(Phase::Open);
        }
    }

    /// Prepared once: the driver keeps it by its text.
    async fn prepare(&mut self, statement: &Statement, entity: &Entity) -> Result<Prepared, Trouble> {
        match self.connection.prep(statement.sql()).await {
            Ok(prepared) => Ok(prepared),
            Err(error) => Err(self.failed(&error, entity)),
        }
    }

    /// The parameters, if the server takes them: it would end the connection and say no word that the driver still hears.
    fn parameters(&self, statement: &Statement) -> Result<Params, Trouble> {
        let values = statement.parameters();
        if values.is_empty() {
            return Ok(Params::Empty);
        }
        let values: Vec<Stored> = values.iter().map(values::parameter).collect::<Result<_, _>>()?;
        let bytes = |value: &Stored| match value {
            Stored::Bytes(bytes) => bytes.len(),
            Stored::NULL
            | Stored::Int(_)
            | Stored::UInt(_)
            | Stored::Float(_)
            | Stored::Double(_)
            | Stored::Date(..)
            | Stored::Time(..) => 0,
        };
        let sizes = values.iter().map(|value| bytes(value).saturating_add(BESIDE));
        let sum = sizes.clone().fold(HEAD, usize::saturating_add);
        let at_once = if sum > AT_ONCE {
            sizes.max().unwrap_or(0)
        } else {
            sum
        };
        if at_once > self.packet {
            return Err(Trouble::Database {
                code: Code::TooLarge,
                advice: Advice::Final,
                detail: format!(
                    "{at_once} bytes at once, and the server takes {} (`max_allowed_packet`)",
                    self.packet
                ),
            });
        }
        Ok(Params::Positional(values))
    }

    /// A statement of our own words that has neither parameters nor rows.
    pub(super) async fn command(&mut self, sql: &'static str) -> Result<(), Trouble> {
        match self.connection.query_drop(sql).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let (trouble, recovery) = nobodys_fault(&error);
                self.recovery = recovery;
                Err(trouble)
            }
        }
    }

    fn failed(&mut self, error: &mysql_async::Error, entity: &Entity) -> Trouble {
        if let Some((_, phase)) = self.alone.take()
            && is_undone(error)
        {
            phase.set(Phase::Open);
        }
        let (trouble, recovery) = trouble(error, entity, &self.server.unique);
        self.recovery = recovery;
        trouble
    }
}

/// Runs a statement to its end, and shows its rows as long as they are looked at.
async fn show(
    connection: &mut Conn,
    prepared: Prepared,
    parameters: Params,
    look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
) -> Result<Result<(), Trouble>, mysql_async::Error> {
    let mut result = connection.exec_iter(prepared, parameters).await?;
    while let Some(row) = result.next().await? {
        let seen = look(&Fetched(row));
        if seen.as_ref().is_ok_and(|seen| *seen == Look::More) {
            continue;
        }
        // The rest is on its way already.
        result.drop_result().await?;
        return Ok(seen.map(|_| ()));
    }
    Ok(Ok(()))
}

/// Runs a statement to its end, and counts the rows that were found, whether or not they had these values already
/// (CLIENT_FOUND_ROWS).
async fn count(
    connection: &mut Conn,
    prepared: Prepared,
    parameters: Params,
) -> Result<u64, mysql_async::Error> {
    let result = connection.exec_iter(prepared, parameters).await?;
    let found = result.affected_rows();
    result.drop_result().await?;
    Ok(found)
}

impl Session for Connected<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    fn keeps(&self, value: &Value) -> bool {
        match value {
            Value::Decimal(decimal) => has_room_for(decimal),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Json(_)
            | Value::Uuid(_)
            | Value::Date(_)
            | Value::Timestamp(_)
            | Value::Bytes(_)
            | Value::Earlier(_) => true,
        }
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let parameters = self.parameters(statement)?;
        let prepared = self.prepare(statement, entity).await?;
        self.send()?;
        match show(self.connection, prepared, parameters, look).await {
            Ok(Ok(())) => {
                self.is_answered();
                Ok(())
            }
            // What was its own transaction is done, and its row can't be shown.
            Ok(Err(trouble)) => Err(trouble),
            Err(error) => Err(self.failed(&error, entity)),
        }
    }

    async fn change(&mut self, statement: &Statement, entity: &Entity) -> Result<u64, Trouble> {
        let parameters = self.parameters(statement)?;
        let prepared = self.prepare(statement, entity).await?;
        self.send()?;
        match count(self.connection, prepared, parameters).await {
            Ok(found) => {
                self.is_answered();
                Ok(found)
            }
            Err(error) => Err(self.failed(&error, entity)),
        }
    }

    async fn begin_snapshot(&mut self, _isolation: Isolation) -> Result<(), Trouble> {
        // Serializable as well: changes that are hold their locks until they commit, so what is committed at one moment is
        // what some of them left, one after the other.
        self.command("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        self.command("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        self.command("COMMIT").await
    }
}

struct Fetched(Cells);

impl Fetched {
    fn cell(&self, nth: usize) -> Result<&mysql_async::Value, Trouble> {
        self.0.as_ref(nth).ok_or(Trouble::NotInSchema)
    }
}

impl Row for Fetched {
    fn is_true(&self, nth: usize) -> Result<bool, Trouble> {
        Ok(values::whole(self.cell(nth)?) == Some(1))
    }

    fn number(&self, nth: usize) -> Result<u64, Trouble> {
        let number = values::whole(self.cell(nth)?).ok_or(Trouble::NotInSchema)?;
        Ok(u64::try_from(number).unwrap_or(0))
    }

    fn value(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        values::read(column.kind, self.cell(nth)?).ok_or_else(|| Trouble::WrongType {
            column: column.name.clone(),
        })
    }

    fn sum(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        match self.cell(nth)? {
            Stored::Bytes(bytes) if column.kind == ColumnType::Decimal && bytes.contains(&b' ') => {
                let no_sum = || Trouble::WrongType {
                    column: column.name.clone(),
                };
                values::of_parts(bytes).ok_or_else(no_sum)?
            }
            Stored::Bytes(_)
            | Stored::NULL
            | Stored::Int(_)
            | Stored::UInt(_)
            | Stored::Float(_)
            | Stored::Double(_)
            | Stored::Date(..)
            | Stored::Time(..) => self.value(nth, column),
        }
    }

    fn mark(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        // What can't be read tells no place either.
        match (self.value(nth, column)?, values::finer(self.cell(nth)?)) {
            (Value::Timestamp(_), Some(text)) => Ok(Value::Text(text)),
            (value, _) => Ok(value),
        }
    }
}
