//! What every adapter gives: a way to run one statement and look at its rows. All else about a plan is said once, here.

use dbal_schema::{Column, Entity};
use dbal_shared::message::Isolation;
use dbal_shared::value::Value;
use dbal_sql::{Dialect, Statement};

use super::trouble::Trouble;

/// A connection on which the statements of one plan run, one after the other. Whoever holds it has begun the transaction
/// that they belong to, if they need one.
///
/// Its futures may wait for the network (PostgreSQL) or do their work at once (SQLite); they are never sent to another
/// thread.
#[expect(
    async_fn_in_trait,
    reason = "used within this crate only, and never sent to another thread"
)]
pub trait Session: Sized {
    /// How the database wants its statements.
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement about `entity` and shows its rows to `look`, in order, until it says [`Look::Enough`].
    ///
    /// A failed constraint becomes [`Trouble::Violation`], with the columns of `entity` as far as the database names them.
    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble>;

    /// Runs a statement about `entity` that changes rows, and tells how many it found. Where writes answer their rows, those
    /// are counted; an adapter of a dialect without `RETURNING` has to know it otherwise.
    async fn change(&mut self, statement: &Statement, entity: &Entity) -> Result<u64, Trouble> {
        let mut count: u64 = 0;
        self.rows(statement, entity, &mut |_| {
            count = count.saturating_add(1);
            Ok(Look::More)
        })
        .await?;
        Ok(count)
    }

    /// Whether the database keeps such a value as it is, whatever the column.
    fn keeps(&self, _value: &Value) -> bool {
        true
    }

    /// Runs statements one after the other, as [`Session::rows`] does, until one of them fails. Shows `look` each row with its
    /// statement's number, and nothing once that statement has no more. In a transaction only: statements behind one that
    /// fails may have run, too.
    async fn rows_of_each(
        &mut self,
        statements: &[&Statement],
        entity: &Entity,
        look: &mut LookEach<'_>,
    ) -> Result<(), (usize, Trouble)> {
        one_by_one(self, statements, entity, look).await
    }

    /// Tells which questions come next. A session that keeps no snapshot asks all of them now, at one moment, and answers
    /// each when its turn comes; to others it means nothing.
    async fn ahead(&mut self, _questions: &[&Statement], _entity: &Entity) -> Result<(), Trouble> {
        Ok(())
    }

    /// What runs until [`Session::end_snapshot`] sees the database as it is at one moment; with [`Isolation::Serializable`] one at
    /// which it could be if changes came one after the other.
    async fn begin_snapshot(&mut self, isolation: Isolation) -> Result<(), Trouble>;

    /// Ends what [`Session::begin_snapshot`] began, whatever came of the statements between. What they saw counts only if this
    /// succeeds.
    async fn end_snapshot(&mut self) -> Result<(), Trouble>;
}

/// Whether more rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Go on.
    More,
    /// The rest may be left.
    Enough,
}

/// Who looks at the rows of several statements: each with its statement's number, nothing behind a statement's last.
pub type LookEach<'a> = dyn FnMut(usize, Option<&dyn Row>) -> Result<(), Trouble> + 'a;

/// One row of a result.
pub trait Row {
    /// The value of a condition: true, or not (false or unknown).
    fn is_true(&self, nth: usize) -> Result<bool, Trouble>;

    /// A count.
    fn number(&self, nth: usize) -> Result<u64, Trouble>;

    /// The typed value of a cell of `column`.
    fn value(&self, nth: usize, column: &Column) -> Result<Value, Trouble>;

    /// The value of a sum of `column`, which of floats can be infinite where no float is.
    fn sum(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        self.value(nth, column)
    }

    /// The value of a cell as exactly as the database has it, to be compared with `column` again and seen by nobody. A time that is
    /// finer than ours is a number or a text, of which only the adapter knows the meaning.
    fn mark(&self, nth: usize, column: &Column) -> Result<Value, Trouble> {
        self.value(nth, column)
    }
}

/// The number that a statement answers.
pub(super) async fn number<S: Session>(
    session: &mut S,
    statement: &Statement,
    entity: &Entity,
) -> Result<u64, Trouble> {
    let mut number = 0;
    session
        .rows(statement, entity, &mut |row| {
            number = row.number(0)?;
            Ok(Look::Enough)
        })
        .await?;
    Ok(number)
}

/// [`Session::rows_of_each`] where nothing is gained by sending them together.
pub(super) async fn one_by_one<S: Session>(
    session: &mut S,
    statements: &[&Statement],
    entity: &Entity,
    look: &mut LookEach<'_>,
) -> Result<(), (usize, Trouble)> {
    for (nth, statement) in statements.iter().enumerate() {
        let failed = |trouble| (nth, trouble);
        let mut of_one = |row: &dyn Row| look(nth, Some(row)).map(|()| Look::More);
        session
            .rows(statement, entity, &mut of_one)
            .await
            .map_err(failed)?;
        look(nth, None).map_err(failed)?;
    }
    Ok(())
}

/// Whether a statement finds a row.
pub(super) async fn exists<S: Session>(
    session: &mut S,
    statement: &Statement,
    entity: &Entity,
) -> Result<bool, Trouble> {
    let mut found = false;
    session
        .rows(statement, entity, &mut |_| {
            found = true;
            Ok(Look::Enough)
        })
        .await?;
    Ok(found)
}
