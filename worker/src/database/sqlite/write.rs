//! Runs the changes of a plan inside the transaction that the writer holds open. Whoever calls rolls back on an error.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Reply;
use dbal_shared::plan::Assignment;
use dbal_sql::steps::{Bulk, Update, Write, references};
use dbal_sql::{ROWS_PER_BULK_WRITE, SQLITE, Statement, Steps, ValidPlan};
use rusqlite::Connection;

use super::read::{bound, reply};
use super::rows::{Rows, is_true};
use super::trouble::{Constraint, Trouble};

/// Columns of a write's result before its cells: permitted as written, shown.
const BITS: usize = 2;

/// Runs a plan that changes something.
pub(super) fn run(connection: &Connection, plan: &ValidPlan) -> Result<Reply, Trouble> {
    let change = Change {
        connection,
        plan,
        entity: plan.entity().ok_or(Trouble::NotInSchema)?,
    };
    match Steps::of_plan(plan, &SQLITE)? {
        Steps::Create(write) => change.create(&write),
        Steps::CreateMany(rows) => {
            for row in &rows {
                change.create(row)?;
            }
            let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            Ok(reply(count.to_string(), count))
        }
        Steps::Update(update) => match change.update(&update)? {
            Reached::Yes(reply) => Ok(reply),
            Reached::No => Err(Trouble::NotFound),
        },
        Steps::UpdateMany(bulk) => change.many(&bulk, Culprit::Written(bulk.values)),
        Steps::Delete(statement) => {
            let count = change.count(&statement, Culprit::Removed)?;
            Ok(reply((count > 0).to_string(), count))
        }
        Steps::DeleteMany(bulk) => change.many(&bulk, Culprit::Removed),
        Steps::Upsert { update, create } => match change.update(&update)? {
            Reached::Yes(reply) => Ok(reply),
            // A row that is there but out of reach makes this fail as for any create: 409, which tells no more than a
            // create would.
            Reached::No => change.create(&create),
        },
        // INVARIANT: the database gives reads to the readers only (`Database::submit`).
        Steps::Read(_) | Steps::FindFirst(_) | Steps::List { .. } | Steps::Count(_) => {
            Err(Trouble::NotPermitted)
        }
    }
}

struct Change<'a> {
    connection: &'a Connection,
    plan: &'a ValidPlan,
    entity: &'a Entity,
}

/// Whether an update found a row in reach.
enum Reached {
    Yes(Reply),
    No,
}

/// What a failed constraint is about.
#[derive(Clone, Copy)]
enum Culprit<'a> {
    Written(&'a [Assignment]),
    Removed,
}

impl Change<'_> {
    fn create(&self, write: &Write<'_>) -> Result<Reply, Trouble> {
        self.one(write)?.ok_or(Trouble::NotPermitted)
    }

    fn update(&self, update: &Update<'_>) -> Result<Reached, Trouble> {
        let Update { write, reach } = update;
        if let Some(reply) = self.one(write)? {
            return Ok(Reached::Yes(reply));
        }
        let is_in_reach = self
            .connection
            .prepare_cached(reach.sql())?
            .exists(bound(reach))?;
        if is_in_reach {
            Err(Trouble::NotPermitted)
        } else {
            Ok(Reached::No)
        }
    }

    /// Writes one row; none when the statement's own conditions did not let it.
    fn one(&self, write: &Write<'_>) -> Result<Option<Reply>, Trouble> {
        let Write {
            statement,
            cells,
            values,
        } = write;
        let culprit = |error| self.explain(error, Culprit::Written(values));
        let mut json = Rows::new(self.entity);
        let mut prepared = self.connection.prepare_cached(statement.sql())?;
        let mut rows = prepared.query(bound(statement)).map_err(culprit)?;
        let Some(row) = rows.next().map_err(culprit)? else {
            return Ok(None);
        };
        if !is_true(row, 0)? {
            return Err(Trouble::NotPermitted);
        }
        // The write stands; only its row is not this caller's to see.
        if is_true(row, 1)? {
            json.object(row, BITS, cells)?;
        } else {
            json.word("null");
        }
        // Foreign keys are checked when the statement ends, which is after its last row.
        if rows.next().map_err(culprit)?.is_some() {
            return Err(Trouble::TooManyRows);
        }
        Ok(Some(reply(json.finish(), 1)))
    }

    fn many(&self, bulk: &Bulk<'_>, culprit: Culprit<'_>) -> Result<Reply, Trouble> {
        let Bulk {
            survey,
            write,
            values: _,
        } = bulk;
        let mut count: u32 = 0;
        let mut prepared = self.connection.prepare_cached(survey.sql())?;
        let mut rows = prepared.query(bound(survey))?;
        while let Some(row) = rows.next()? {
            count = count.saturating_add(1);
            if count > ROWS_PER_BULK_WRITE {
                return Err(Trouble::TooManyRows);
            }
            if !is_true(row, 0)? {
                return Err(Trouble::NotPermitted);
            }
        }
        drop(rows);
        let changed = self.count(write, culprit)?;
        Ok(reply(changed.to_string(), changed))
    }

    /// Runs a statement that returns, for each row that it changed, whether that is permitted.
    fn count(&self, statement: &Statement, culprit: Culprit<'_>) -> Result<u64, Trouble> {
        let explain = |error| self.explain(error, culprit);
        let mut prepared = self.connection.prepare_cached(statement.sql())?;
        let mut rows = prepared.query(bound(statement)).map_err(explain)?;
        let mut count: u64 = 0;
        while let Some(row) = rows.next().map_err(explain)? {
            if !is_true(row, 0)? {
                return Err(Trouble::NotPermitted);
            }
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// Says which fields a failed constraint is about.
    fn explain(&self, error: rusqlite::Error, culprit: Culprit<'_>) -> Trouble {
        let Some(constraint) = Constraint::of_error(&error, self.entity) else {
            return Trouble::Sqlite(error);
        };
        let refused = |code, columns: Vec<ColumnId>, fault: Fault| {
            let fields = columns.into_iter().map(|column| (column, fault.clone()));
            Trouble::of_fields(self.entity, code, fields.collect())
        };
        match constraint {
            Constraint::Unique(columns) => refused(Code::Conflict, columns, Fault::Taken),
            Constraint::NotNull(columns) => refused(Code::Invalid, columns, Fault::Required),
            Constraint::ForeignKey => {
                let missing = match culprit {
                    Culprit::Written(values) => self.missing_references(values),
                    Culprit::Removed => Ok(Vec::new()),
                };
                match missing {
                    Ok(missing) if missing.is_empty() => {
                        refused(Code::Invalid, vec![self.entity.key], Fault::StillReferenced)
                    }
                    Ok(missing) => refused(Code::Invalid, missing, Fault::NoSuchReference),
                    Err(trouble) => trouble,
                }
            }
        }
    }

    fn missing_references(&self, values: &[Assignment]) -> Result<Vec<ColumnId>, Trouble> {
        let mut missing = Vec::new();
        for (column, statement) in references(self.plan, values, &SQLITE)? {
            if !self
                .connection
                .prepare_cached(statement.sql())?
                .exists(bound(&statement))?
            {
                missing.push(column);
            }
        }
        Ok(missing)
    }
}
