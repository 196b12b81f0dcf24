//! Runs the queries of a plan.

use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::message::Reply;
use dbal_shared::plan::Page;
use dbal_sql::steps::Select;
use dbal_sql::{SQLITE, Statement, Steps, ValidPlan};
use rusqlite::{Connection, params_from_iter};

use super::rows::Rows;
use super::trouble::Trouble;
use super::values::Parameter;

/// What to answer when there is no row.
#[derive(Clone, Copy)]
enum Absent {
    NotFound,
    Null,
}

/// Runs a plan that changes nothing.
pub(super) fn run(connection: &Connection, plan: &ValidPlan) -> Result<Reply, Trouble> {
    match Steps::of_plan(plan, &SQLITE)? {
        Steps::Read(select) => one(connection, plan, &select, Absent::NotFound),
        Steps::FindFirst(select) => one(connection, plan, &select, Absent::Null),
        Steps::List { rows, count, page } => {
            // Page and count speak of the same moment: a deferred transaction keeps the snapshot of its first read.
            let snapshot = connection.unchecked_transaction()?;
            let reply = list(connection, plan, &rows, count.as_ref(), page);
            snapshot.finish()?;
            reply
        }
        Steps::Count(statement) => {
            let count = number(connection, &statement)?;
            Ok(reply(count.to_string(), 1))
        }
        // INVARIANT: the database gives writes to the writer only (`Database::submit`).
        Steps::Create(_)
        | Steps::CreateMany(_)
        | Steps::Update(_)
        | Steps::UpdateMany(_)
        | Steps::Delete(_)
        | Steps::DeleteMany(_)
        | Steps::Upsert { .. } => Err(Trouble::NotPermitted),
    }
}

/// A reply; the time is put in by whoever holds the clock.
pub(super) fn reply(json: String, rows: u64) -> Reply {
    Reply {
        json,
        rows,
        database_us: 0,
    }
}

/// The parameters of a statement.
pub(super) fn bound(statement: &Statement) -> impl rusqlite::Params + '_ {
    params_from_iter(statement.parameters().iter().map(Parameter))
}

fn one(connection: &Connection, plan: &ValidPlan, select: &Select, absent: Absent) -> Result<Reply, Trouble> {
    let Select { statement, cells } = select;
    let mut json = Rows::new(plan.entity().ok_or(Trouble::NotInSchema)?);
    let mut prepared = connection.prepare_cached(statement.sql())?;
    let mut rows = prepared.query(bound(statement))?;
    match (rows.next()?, absent) {
        (Some(row), _) => {
            json.object(row, 0, cells)?;
            Ok(reply(json.finish(), 1))
        }
        (None, Absent::NotFound) => Err(Trouble::NotFound),
        (None, Absent::Null) => Ok(reply("null".to_owned(), 0)),
    }
}

fn list(
    connection: &Connection,
    plan: &ValidPlan,
    select: &Select,
    count: Option<&Statement>,
    page: Page,
) -> Result<Reply, Trouble> {
    let Select { statement, cells } = select;
    let mut json = Rows::new(plan.entity().ok_or(Trouble::NotInSchema)?);
    let limit = u64::from(page.limit.min(ROWS_PER_ANSWER));
    json.word("{\"data\":[");
    let mut prepared = connection.prepare_cached(statement.sql())?;
    let mut rows = prepared.query(bound(statement))?;
    let mut written: u64 = 0;
    let mut has_more = false;
    while let Some(row) = rows.next()? {
        if written == limit {
            has_more = true;
            break;
        }
        if written > 0 {
            json.word(",");
        }
        json.object(row, 0, cells)?;
        written = written.saturating_add(1);
    }
    json.word("]");
    if let Some(count) = count {
        let total = number(connection, count)?;
        has_more = page.offset().saturating_add(written) < total;
        json.word(",\"total\":");
        json.number(total);
    }
    json.word(",\"page\":");
    json.number(u64::from(page.number));
    json.word(",\"limit\":");
    json.number(u64::from(page.limit));
    json.word(if has_more {
        ",\"hasMore\":true}"
    } else {
        ",\"hasMore\":false}"
    });
    Ok(reply(json.finish(), written))
}

fn number(connection: &Connection, statement: &Statement) -> Result<u64, Trouble> {
    let mut prepared = connection.prepare_cached(statement.sql())?;
    let number: i64 = prepared.query_row(bound(statement), |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}
