//! A call's way to the bridge as every adapter's session: each statement a request of its own.

use std::cell::Cell;

use dbal_schema::{Column, Entity};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::value::Value;
use dbal_sql::{Dialect, Statement, as_json};

use super::pool::{NoAnswer, Pool};
use super::protocol::{Kind, Part, Told, body, read};
use super::tables::Tables;
use super::trouble::{Another, Effect, trouble};
use super::values::{self, parameter};
use crate::database::postgres::json_row::JsonRow;
use crate::database::session::{Look, Row, Session};
use crate::database::trouble::Trouble;
use crate::job::Control;

/// Questions that are asked ahead in one request.
const AHEAD: usize = 64;

/// How far a change has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of it is in the database, nor will be.
    Undone,
    /// It is under way, or done.
    Changing,
}

/// What a call does.
pub(super) struct Bridged<'a> {
    pool: &'a Pool,
    tables: &'a Tables,
    control: &'a Control,
    phase: &'a Cell<Phase>,
    /// Whether what went wrong last may go well at another attempt.
    pub(super) another: Another,
    /// Answers to questions that were asked ahead.
    ahead: Vec<(Statement, Vec<String>)>,
}

impl<'a> Bridged<'a> {
    pub(super) fn new(
        pool: &'a Pool,
        tables: &'a Tables,
        control: &'a Control,
        phase: &'a Cell<Phase>,
    ) -> Self {
        Self {
            pool,
            tables,
            control,
            phase,
            another: Another::Same,
            ahead: Vec::new(),
        }
    }

    async fn ask(&mut self, statement: &Statement, kind: Kind, entity: &Entity) -> Result<Told, Trouble> {
        if let Some(over) = self.control.over() {
            return Err(Trouble::Refused(Box::new(over)));
        }
        let parameters: Option<Vec<_>> = statement.parameters().iter().map(parameter).collect();
        let parameters = parameters.ok_or(Trouble::NotInSchema)?;
        let body = body(statement.sql(), &parameters, kind).ok_or_else(|| {
            refused(
                Code::TooLarge,
                Advice::Final,
                "more than the bridge takes in one request",
            )
        })?;
        // After this nobody is told any more that it was not done.
        if statement.is_change() {
            self.phase.set(Phase::Changing);
        }
        let (trouble, effect, another) = match self.pool.ask(body).await {
            Ok(answered) => match read(&answered, kind) {
                Told::Refused(refused) => trouble(&refused, entity, self.tables),
                Told::Other { status } => {
                    let detail = format!("the bridge answered {status} and nothing that a bridge says");
                    let trouble = refused(Code::Unavailable, Advice::Retry, &detail);
                    (trouble, Effect::Unknown, Another::Same)
                }
                told @ (Told::Rows(_) | Told::Affected(_)) => return Ok(told),
            },
            Err(error) => {
                let detail = error.to_string();
                let unavailable = refused(Code::Unavailable, Advice::Retry, &detail);
                match error {
                    NoAnswer::NotReached(_) => (unavailable, Effect::None, Another::Helps),
                    NoAnswer::Failed(super::exchange::Failed::NotSent(_)) => {
                        (unavailable, Effect::None, Another::Helps)
                    }
                    NoAnswer::Failed(super::exchange::Failed::Lost(_)) => {
                        (unavailable, Effect::Unknown, Another::Helps)
                    }
                    NoAnswer::Failed(super::exchange::Failed::TooLong) => {
                        (Trouble::AnswerTooLarge, Effect::Unknown, Another::Same)
                    }
                    NoAnswer::Request(_) => (
                        refused(Code::Internal, Advice::Final, &detail),
                        Effect::None,
                        Another::Same,
                    ),
                }
            }
        };
        self.another = another;
        if statement.is_change() && effect == Effect::None {
            self.phase.set(Phase::Undone);
        }
        Err(trouble)
    }

    /// The rows of several statements that run as one, in their order.
    async fn ask_together(
        &mut self,
        statements: &[&Statement],
        entity: &Entity,
    ) -> Result<Vec<Vec<String>>, Trouble> {
        let whole = as_json(statements, self.tables.dialect())?;
        let parts = match self.ask(&whole, Kind::Query, entity).await? {
            Told::Rows(parts) => parts,
            Told::Affected(_) | Told::Refused(_) | Told::Other { .. } => return Err(unlike()),
        };
        // A change that found no row has changed none.
        if whole.is_change() && parts.is_empty() {
            self.phase.set(Phase::Undone);
        }
        let mut all = vec![Vec::new(); statements.len()];
        for Part { n, r } in parts {
            all.get_mut(n).ok_or_else(unlike)?.push(r);
        }
        Ok(all)
    }

    fn show(
        &self,
        rows: &[String],
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        for text in rows {
            let cells = JsonRow::read(text).map_err(|_| unlike())?;
            let row = Fetched {
                cells,
                entity,
                tables: self.tables,
            };
            if look(&row)? == Look::Enough {
                break;
            }
        }
        Ok(())
    }
}

impl Session for Bridged<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.tables.dialect()
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        let known = self.ahead.iter().position(|(asked, _)| asked == statement);
        let rows = if let Some(at) = known {
            self.ahead.swap_remove(at).1
        } else {
            let mut all = self.ask_together(&[statement], entity).await?;
            all.pop().unwrap_or_default()
        };
        self.show(&rows, entity, look)
    }

    async fn change(&mut self, statement: &Statement, entity: &Entity) -> Result<u64, Trouble> {
        match self.ask(statement, Kind::NonQuery, entity).await? {
            Told::Affected(count) => {
                if count == 0 {
                    self.phase.set(Phase::Undone);
                }
                Ok(count)
            }
            Told::Rows(_) | Told::Refused(_) | Told::Other { .. } => Err(unlike()),
        }
    }

    async fn ahead(&mut self, questions: &[&Statement], entity: &Entity) -> Result<(), Trouble> {
        let several = questions.get(..AHEAD).unwrap_or(questions);
        if several.len() < 2 {
            return Ok(());
        }
        let all = self.ask_together(several, entity).await?;
        let asked = several.iter().map(|statement| (*statement).clone());
        self.ahead = asked.zip(all).collect();
        Ok(())
    }

    /// No moment can be held: a list and its total are asked ahead, as one; what rows bring along is read after them.
    async fn begin_snapshot(&mut self, _isolation: Isolation) -> Result<(), Trouble> {
        Ok(())
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

fn unlike() -> Trouble {
    refused(
        Code::Unavailable,
        Advice::Retry,
        "the bridge answered what was not asked for",
    )
}

pub(super) fn refused(code: Code, advice: Advice, detail: &str) -> Trouble {
    Trouble::Database {
        code,
        advice,
        detail: detail.to_owned(),
    }
}

struct Fetched<'a> {
    cells: JsonRow<'a>,
    entity: &'a Entity,
    tables: &'a Tables,
}

impl Row for Fetched<'_> {
    fn is_true(&self, nth: usize) -> Result<bool, Trouble> {
        let value = self.cells.get::<Option<bool>>(nth).map_err(|_| unlike())?;
        Ok(value == Some(true))
    }

    fn number(&self, nth: usize) -> Result<u64, Trouble> {
        self.cells.get(nth).map_err(|_| unlike())
    }

    fn value(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        let json = self.cells.json(nth).ok_or_else(unlike)?;
        let storage = self.tables.storage(self.entity, column.id);
        values::read(column.kind, storage, json).ok_or_else(|| Trouble::WrongType {
            column: column.name.clone(),
        })
    }

    fn mark(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        let value = self.value(nth, column)?;
        let finer = self.cells.json(nth).and_then(values::finer);
        match (value, finer) {
            (Value::Timestamp(_), Some(text)) => Ok(Value::Text(text)),
            (value, _) => Ok(value),
        }
    }
}
