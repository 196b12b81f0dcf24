//! Runs the changes of a plan inside the transaction that a writer holds open. Whoever calls rolls back on an error.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Reply;
use dbal_shared::plan::Assignment;
use dbal_sql::steps::{Bulk, Update, Write, references};
use dbal_sql::{ROWS_PER_BULK_WRITE, Statement, Steps, ValidPlan};

use super::read::reply;
use super::rows::Rows;
use super::session::{Look, Session, exists};
use super::trouble::{Constraint, Trouble};

/// Columns of a write's result before its cells: permitted as written, shown.
const BITS: usize = 2;

/// Runs a plan that changes something.
pub(super) async fn run<S: Session>(session: &mut S, plan: &ValidPlan) -> Result<Reply, Trouble> {
    let dialect = session.dialect();
    let mut change = Change {
        session,
        plan,
        entity: plan.entity().ok_or(Trouble::NotInSchema)?,
    };
    match Steps::of_plan(plan, dialect)? {
        Steps::Create(write) => change.create(&write).await,
        Steps::CreateMany(rows) => {
            for row in &rows {
                change.create(row).await?;
            }
            let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            Ok(reply(count.to_string(), count))
        }
        Steps::Update(update) => match change.update(&update).await? {
            Reached::Yes(reply) => Ok(reply),
            Reached::No => Err(Trouble::NotFound),
        },
        Steps::UpdateMany(bulk) => change.many(&bulk, Culprit::Written(bulk.values)).await,
        Steps::Delete(statement) => {
            let count = change.count(&statement, Culprit::Removed).await?;
            Ok(reply((count > 0).to_string(), count))
        }
        Steps::DeleteMany(bulk) => change.many(&bulk, Culprit::Removed).await,
        Steps::Upsert { update, create } => match change.update(&update).await? {
            Reached::Yes(reply) => Ok(reply),
            // A row that is there but out of reach makes this fail as for any create: 409, which tells no more than a
            // create would.
            Reached::No => change.create(&create).await,
        },
        // INVARIANT: the database gives reads to the readers only (`Database::submit`).
        Steps::Read(_) | Steps::FindFirst(_) | Steps::List { .. } | Steps::Count(_) | Steps::Aggregate(_) => {
            Err(Trouble::NotPermitted)
        }
    }
}

struct Change<'a, S> {
    session: &'a mut S,
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

impl<S: Session> Change<'_, S> {
    async fn create(&mut self, write: &Write<'_>) -> Result<Reply, Trouble> {
        self.one(write).await?.ok_or(Trouble::NotPermitted)
    }

    async fn update(&mut self, update: &Update<'_>) -> Result<Reached, Trouble> {
        let Update { write, reach } = update;
        if let Some(reply) = self.one(write).await? {
            return Ok(Reached::Yes(reply));
        }
        if exists(self.session, reach, self.entity).await? {
            Err(Trouble::NotPermitted)
        } else {
            Ok(Reached::No)
        }
    }

    /// Writes one row; none when the statement's own conditions did not let it.
    async fn one(&mut self, write: &Write<'_>) -> Result<Option<Reply>, Trouble> {
        let Write {
            statement,
            cells,
            values,
        } = write;
        let mut json = Rows::new(self.entity);
        let mut written: u32 = 0;
        let outcome = self
            .session
            .rows(statement, self.entity, &mut |row| {
                written = written.saturating_add(1);
                if written > 1 {
                    return Err(Trouble::TooManyRows);
                }
                if !row.is_true(0)? {
                    return Err(Trouble::NotPermitted);
                }
                // The write stands; only its row is not this caller's to see.
                if row.is_true(1)? {
                    json.object(row, BITS, cells)?;
                } else {
                    json.word("null");
                }
                // Not `Enough`: SQLite checks foreign keys when the statement ends, which is after its last row.
                Ok(Look::More)
            })
            .await;
        match outcome {
            Ok(()) if written == 0 => Ok(None),
            Ok(()) => Ok(Some(reply(json.finish(), 1))),
            Err(trouble) => Err(self.explain(trouble, Culprit::Written(values)).await),
        }
    }

    async fn many(&mut self, bulk: &Bulk<'_>, culprit: Culprit<'_>) -> Result<Reply, Trouble> {
        let Bulk {
            survey,
            write,
            values: _,
        } = bulk;
        let mut count: u32 = 0;
        self.session
            .rows(survey, self.entity, &mut |row| {
                count = count.saturating_add(1);
                if count > ROWS_PER_BULK_WRITE {
                    return Err(Trouble::TooManyRows);
                }
                if row.is_true(0)? {
                    Ok(Look::More)
                } else {
                    Err(Trouble::NotPermitted)
                }
            })
            .await?;
        let changed = self.count(write, culprit).await?;
        Ok(reply(changed.to_string(), changed))
    }

    /// Runs a statement that returns, for each row that it changed, whether that is permitted.
    async fn count(&mut self, statement: &Statement, culprit: Culprit<'_>) -> Result<u64, Trouble> {
        let mut count: u64 = 0;
        let changed = self
            .session
            .rows(statement, self.entity, &mut |row| {
                count = count.saturating_add(1);
                if row.is_true(0)? {
                    Ok(Look::More)
                } else {
                    Err(Trouble::NotPermitted)
                }
            })
            .await;
        match changed {
            Ok(()) => Ok(count),
            Err(trouble) => Err(self.explain(trouble, culprit).await),
        }
    }

    /// Says which fields a failed constraint is about.
    async fn explain(&mut self, trouble: Trouble, culprit: Culprit<'_>) -> Trouble {
        let Trouble::Violation {
            constraint,
            detail: _,
        } = trouble
        else {
            return trouble;
        };
        let entity = self.entity;
        let refused = |code, columns: Vec<ColumnId>, fault: Fault| {
            let fields = columns.into_iter().map(|column| (column, fault.clone()));
            Trouble::of_fields(entity, code, fields.collect())
        };
        match constraint {
            Constraint::Unique(columns) => refused(Code::Conflict, columns, Fault::Taken),
            Constraint::NotNull(columns) => refused(Code::Invalid, columns, Fault::Required),
            Constraint::ForeignKey => {
                let missing = match culprit {
                    Culprit::Written(values) => self.missing_references(values).await,
                    Culprit::Removed => Ok(Vec::new()),
                };
                match missing {
                    Ok(missing) if missing.is_empty() => {
                        refused(Code::Invalid, vec![entity.key], Fault::StillReferenced)
                    }
                    Ok(missing) => refused(Code::Invalid, missing, Fault::NoSuchReference),
                    Err(trouble) => trouble,
                }
            }
        }
    }

    async fn missing_references(&mut self, values: &[Assignment]) -> Result<Vec<ColumnId>, Trouble> {
        let mut missing = Vec::new();
        for (column, statement) in references(self.plan, values, self.session.dialect())? {
            if !exists(self.session, &statement, self.entity).await? {
                missing.push(column);
            }
        }
        Ok(missing)
    }
}
