//! Runs the changes of a plan inside the transaction that a writer holds open. Whoever calls rolls back on an error.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Reply;
use dbal_shared::plan::Assignment;
use dbal_shared::value::Value;
use dbal_sql::dialect::Returning;
use dbal_sql::steps::{Bulk, BulkOutcome, Reach, Recheck, Removal, Together, Update, Write, references};
use dbal_sql::{Batch, Cell, ROWS_PER_BULK_WRITE, Statement, Steps, ValidPlan};

use super::kept;
use super::read::reply;
use super::rows::Rows;
use super::session::{Look, Row, Session, exists, number};
use super::trouble::{Constraint, Trouble};

/// Columns of a write's result before its cells: permitted as written, shown.
const BITS: usize = 2;

/// Runs a plan that changes something.
pub(super) async fn run<S: Session>(session: &mut S, plan: &ValidPlan) -> Result<Reply, Trouble> {
    let dialect = session.dialect();
    kept::whole(session, plan)?;
    let mut change = Change {
        session,
        plan,
        entity: plan.entity().ok_or(Trouble::NotInSchema)?,
    };
    match Steps::of_plan(plan, dialect)? {
        Steps::Create(write) => change.create(&write).await,
        Steps::CreateMany(rows) => change.create_many(&rows).await,
        Steps::CreateTogether(together) => change.create_together(&together).await,
        Steps::CreateBatches(batches) => change.create_batches(&batches).await,
        Steps::Update(update) => match change.update(&update).await? {
            Reached::Yes(reply) => Ok(reply),
            Reached::No => Err(Trouble::NotFound),
        },
        Steps::UpdateMany(bulk) => change.many(&bulk, Culprit::Written(bulk.values)).await,
        Steps::Delete(Removal { statement, returning }) => {
            let count = match returning {
                Returning::Clause => change.count(&statement, Culprit::Removed).await?,
                Returning::NewRows | Returning::None => change.change(&statement, Culprit::Removed).await?,
            };
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

/// What a write answers of its row: whether it may be so, whether it may be shown, its cells.
fn written(row: &dyn Row, cells: &[Cell], json: &mut Rows<'_>) -> Result<(), Trouble> {
    if !row.is_true(0)? {
        return Err(Trouble::NotPermitted);
    }
    // The write stands; only its row is not this caller's to see.
    if row.is_true(1)? {
        json.object(row, BITS, cells).map(|_| ())
    } else {
        json.word("null");
        Ok(())
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

    async fn create_many(&mut self, rows: &[Write<'_>]) -> Result<Reply, Trouble> {
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        // Where a row has to be read again, each is looked at before the next is written.
        if rows.iter().any(|row| row.reread.is_some()) {
            for row in rows {
                self.create(row).await?;
            }
            return Ok(reply(count.to_string(), count));
        }
        let statements: Vec<&Statement> = rows.iter().map(|row| &row.statement).collect();
        let mut is_written = false;
        let outcome = self
            .session
            .rows_of_each(&statements, self.entity, &mut |_, row| {
                let Some(row) = row else {
                    return if std::mem::take(&mut is_written) {
                        Ok(())
                    } else {
                        Err(Trouble::NotPermitted)
                    };
                };
                if std::mem::replace(&mut is_written, true) {
                    return Err(Trouble::TooManyRows);
                }
                if row.is_true(0)? {
                    Ok(())
                } else {
                    Err(Trouble::NotPermitted)
                }
            })
            .await;
        match outcome {
            Ok(()) => Ok(reply(count.to_string(), count)),
            Err((nth, trouble)) => {
                let values = rows.get(nth).map_or(&[][..], |row| row.values);
                Err(self.explain(trouble, Culprit::Written(values)).await)
            }
        }
    }

    async fn create_together(&mut self, together: &Together<'_>) -> Result<Reply, Trouble> {
        let Together {
            judge,
            write,
            // It answers rows.
            recheck: _,
            rows,
        } = together;
        if let Some(judge) = judge {
            // It fails by itself; an answer that is no row is none that says yes.
            if !exists(self.session, judge, self.entity).await? {
                return Err(Trouble::NotPermitted);
            }
        }
        // It does not tell which row it was that could not be written.
        let all = rows.concat();
        let count = self.change(write, Culprit::Written(&all)).await?;
        if usize::try_from(count) == Ok(rows.len()) {
            Ok(reply(count.to_string(), count))
        } else {
            Err(Trouble::NotPermitted)
        }
    }

    async fn create_batches(&mut self, batches: &[Batch<'_>]) -> Result<Reply, Trouble> {
        let mut count: usize = 0;
        for batch in batches {
            let is_written = match &batch.together {
                Some(together) => self.are_written_together(together).await?,
                None => false,
            };
            if !is_written {
                // Whose fault it was, and what is to be told of it, the first of them that is refused tells.
                for row in &batch.one_by_one()? {
                    self.create(row).await?;
                }
            }
            count = count.saturating_add(batch.rows.len());
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(reply(count.to_string(), count))
    }

    /// Whether all rows are there, as they may be. If not, none of them is: where the statement fails it is undone by itself.
    async fn are_written_together(&mut self, together: &Together<'_>) -> Result<bool, Trouble> {
        let Together {
            judge,
            write,
            recheck,
            rows,
        } = together;
        if let Some(judge) = judge {
            let mut is_permitted = false;
            let judged = self
                .session
                .rows(judge, self.entity, &mut |row| {
                    is_permitted = row.is_true(0)?;
                    Ok(Look::Enough)
                })
                .await;
            match judged {
                Ok(()) if is_permitted => {}
                Err(trouble) if trouble.is_of_the_whole() => return Err(trouble),
                Ok(()) | Err(_) => return Ok(false),
            }
        }
        let Some(recheck) = recheck else {
            return self.are_answered(write, rows.len()).await;
        };
        let count = match self.session.change(write, self.entity).await {
            Ok(count) => count,
            Err(trouble) if trouble.is_of_the_whole() => return Err(trouble),
            Err(_) => return Ok(false),
        };
        let key = |row: &Vec<Assignment>| {
            let key = row.iter().find(|one| one.column == self.entity.key);
            key.map(|one| one.value.clone())
        };
        let keys: Option<Vec<Value>> = rows.iter().map(key).collect();
        let recheck = recheck.of(&keys.ok_or(Trouble::NotInSchema)?)?;
        let permitted = number(self.session, &recheck, self.entity).await?;
        if [count, permitted].map(usize::try_from) == [Ok(rows.len()); 2] {
            Ok(true)
        } else {
            Err(Trouble::NotPermitted)
        }
    }

    /// The same where the write answers of each row whether it may be so.
    async fn are_answered(&mut self, write: &Statement, rows: usize) -> Result<bool, Trouble> {
        let (mut count, mut permitted): (usize, usize) = (0, 0);
        let answered = self
            .session
            .rows(write, self.entity, &mut |row| {
                count = count.saturating_add(1);
                permitted = permitted.saturating_add(usize::from(row.is_true(0)?));
                Ok(Look::More)
            })
            .await;
        match answered {
            Ok(()) if [count, permitted] == [rows; 2] => Ok(true),
            Ok(()) => Err(Trouble::NotPermitted),
            Err(trouble) if trouble.is_of_the_whole() => Err(trouble),
            Err(_) => Ok(false),
        }
    }

    async fn update(&mut self, update: &Update<'_>) -> Result<Reached, Trouble> {
        let Update { write, reach } = update;
        match reach {
            Reach::After(reach) => {
                if let Some(reply) = self.one(write).await? {
                    return Ok(Reached::Yes(reply));
                }
                if exists(self.session, reach, self.entity).await? {
                    Err(Trouble::NotPermitted)
                } else {
                    Ok(Reached::No)
                }
            }
            Reach::Before(survey) => {
                if let Some(key) = write.key
                    && self.is_changed(write).await?
                {
                    return Ok(Reached::Yes(self.read_again(write, key).await?));
                }
                match self.surveyed(survey).await?.as_slice() {
                    [] => Ok(Reached::No),
                    [key] => {
                        let written = self.reread(write, key).await?;
                        Ok(Reached::Yes(written.ok_or(Trouble::NotPermitted)?))
                    }
                    [_, _, ..] => Err(Trouble::TooManyRows),
                }
            }
        }
    }

    /// Whether the write, whose conditions are those of the survey, changed its row without being asked whether it may. Of what it
    /// refuses the survey tells why: a row out of reach may have values that the server can't compare where it changes rows.
    async fn is_changed(&mut self, write: &Write<'_>) -> Result<bool, Trouble> {
        match self.session.change(&write.statement, self.entity).await {
            Ok(0)
            | Err(
                Trouble::Overflow { detail: _ }
                | Trouble::Fields {
                    code: Code::Invalid, ..
                }
                | Trouble::Database {
                    code: Code::Invalid, ..
                },
            ) => Ok(false),
            Ok(1) => Ok(true),
            Ok(_) => Err(Trouble::TooManyRows),
            Err(trouble) => Err(self.explain(trouble, Culprit::Written(write.values)).await),
        }
    }

    /// The keys of the rows in reach, which are locked and may all be changed so.
    async fn surveyed(&mut self, survey: &Statement) -> Result<Vec<Value>, Trouble> {
        let key = self.entity.column(self.entity.key).ok_or(Trouble::NotInSchema)?;
        let mut keys = Vec::new();
        self.session
            .rows(survey, self.entity, &mut |row| {
                if !row.is_true(0)? {
                    return Err(Trouble::NotPermitted);
                }
                keys.push(row.value(1, key)?);
                Ok(Look::More)
            })
            .await?;
        Ok(keys)
    }

    /// Writes the row with this key and reads it again; none when the statement's own conditions did not let it.
    async fn reread(&mut self, write: &Write<'_>, key: &Value) -> Result<Option<Reply>, Trouble> {
        match self
            .change(&write.statement, Culprit::Written(write.values))
            .await?
        {
            0 => Ok(None),
            1 => Ok(Some(self.read_again(write, key).await?)),
            _ => Err(Trouble::TooManyRows),
        }
    }

    /// Reads the row that was written.
    async fn read_again(&mut self, write: &Write<'_>, key: &Value) -> Result<Reply, Trouble> {
        let reread = write.reread.as_ref().ok_or(Trouble::NotInSchema)?;
        let statement = reread.of(key)?;
        let mut json = Rows::new(self.entity);
        let mut found = false;
        self.session
            .rows(&statement, self.entity, &mut |row| {
                found = true;
                written(row, &write.cells, &mut json)?;
                Ok(Look::Enough)
            })
            .await?;
        // A row that is not there under its key is not as it was permitted to be.
        if found {
            Ok(reply(json.finish(), 1))
        } else {
            Err(Trouble::NotPermitted)
        }
    }

    async fn change(&mut self, statement: &Statement, culprit: Culprit<'_>) -> Result<u64, Trouble> {
        match self.session.change(statement, self.entity).await {
            Ok(count) => Ok(count),
            Err(trouble) => Err(self.explain(trouble, culprit).await),
        }
    }

    /// Writes one row; none when the statement's own conditions did not let it.
    async fn one(&mut self, write: &Write<'_>) -> Result<Option<Reply>, Trouble> {
        let Write {
            statement,
            reread,
            key,
            cells,
            values,
        } = write;
        if reread.is_some() {
            return self.reread(write, key.ok_or(Trouble::NotInSchema)?).await;
        }
        let mut json = Rows::new(self.entity);
        let mut count: u32 = 0;
        let outcome = self
            .session
            .rows(statement, self.entity, &mut |row| {
                count = count.saturating_add(1);
                if count > 1 {
                    return Err(Trouble::TooManyRows);
                }
                written(row, cells, &mut json)?;
                // Not `Enough`: SQLite checks foreign keys when the statement ends, which is after its last row.
                Ok(Look::More)
            })
            .await;
        match outcome {
            Ok(()) if count == 0 => Ok(None),
            Ok(()) => Ok(Some(reply(json.finish(), 1))),
            Err(trouble) => Err(self.explain(trouble, Culprit::Written(values)).await),
        }
    }

    async fn many(&mut self, bulk: &Bulk<'_>, culprit: Culprit<'_>) -> Result<Reply, Trouble> {
        let Bulk {
            survey,
            write,
            outcome,
            values: _,
        } = bulk;
        let key = self.entity.column(self.entity.key).ok_or(Trouble::NotInSchema)?;
        let mut keys = Vec::new();
        let mut count: u32 = 0;
        if let Some(survey) = survey {
            self.session
                .rows(survey, self.entity, &mut |row| {
                    count = count.saturating_add(1);
                    if count > ROWS_PER_BULK_WRITE {
                        return Err(Trouble::TooManyRows);
                    }
                    if !row.is_true(0)? {
                        return Err(Trouble::NotPermitted);
                    }
                    match outcome {
                        BulkOutcome::Rows | BulkOutcome::Number => {}
                        BulkOutcome::NumberAnd(_) => keys.push(row.value(1, key)?),
                    }
                    Ok(Look::More)
                })
                .await?;
        }
        let changed = match outcome {
            BulkOutcome::Rows => self.count(write, culprit).await?,
            BulkOutcome::Number => self.change(write, culprit).await?,
            BulkOutcome::NumberAnd(recheck) => {
                let changed = self.change(write, culprit).await?;
                if changed != u64::from(count) {
                    return Err(Trouble::Serialization {
                        detail: "rows came while others were changed".to_owned(),
                    });
                }
                for keys in keys.chunks(Recheck::KEYS) {
                    let permitted = number(self.session, &recheck.of(keys)?, self.entity).await?;
                    if usize::try_from(permitted) != Ok(keys.len()) {
                        return Err(Trouble::NotPermitted);
                    }
                }
                changed
            }
        };
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
        let mut checks: Vec<(ColumnId, Statement)> = Vec::new();
        for check in references(self.plan, values, self.session.dialect())? {
            // Many rows may refer to one.
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
        let statements: Vec<&Statement> = checks.iter().map(|(_, statement)| statement).collect();
        self.session.ahead(&statements, self.entity).await?;
        for (column, statement) in &checks {
            if !missing.contains(column) && !exists(self.session, statement, self.entity).await? {
                missing.push(*column);
            }
        }
        Ok(missing)
    }
}
