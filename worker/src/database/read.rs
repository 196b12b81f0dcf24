//! Runs the queries of a plan.

use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::message::Reply;
use dbal_shared::plan::Page;
use dbal_sql::steps::Select;
use dbal_sql::{Statement, Steps, ValidPlan};

use super::rows::Rows;
use super::session::{Look, Session};
use super::trouble::Trouble;

/// What to answer when there is no row.
#[derive(Clone, Copy)]
enum Absent {
    NotFound,
    Null,
}

/// Of which moment the statements of one plan speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    OfItsOwn,
    OfItsTransaction,
}

/// Runs a plan that changes nothing.
pub(super) async fn run<S: Session>(session: &mut S, plan: &ValidPlan) -> Result<Reply, Trouble> {
    run_at(session, plan, Moment::OfItsOwn).await
}

/// The same within a transaction, whose isolation says of which moment it speaks.
pub(super) async fn run_within<S: Session>(session: &mut S, plan: &ValidPlan) -> Result<Reply, Trouble> {
    run_at(session, plan, Moment::OfItsTransaction).await
}

async fn run_at<S: Session>(session: &mut S, plan: &ValidPlan, moment: Moment) -> Result<Reply, Trouble> {
    match Steps::of_plan(plan, session.dialect())? {
        Steps::Read(select) => one(session, plan, &select, Absent::NotFound).await,
        Steps::FindFirst(select) => one(session, plan, &select, Absent::Null).await,
        Steps::List { rows, count, page } => {
            let Some(count) = count else {
                return list(session, plan, &rows, None, page).await;
            };
            if moment == Moment::OfItsTransaction {
                return list(session, plan, &rows, Some(&count), page).await;
            }
            // Page and count speak of the same moment.
            session.begin_snapshot().await?;
            let reply = list(session, plan, &rows, Some(&count), page).await;
            session.end_snapshot().await?;
            reply
        }
        Steps::Count(statement) => {
            let count = number(session, plan, &statement).await?;
            Ok(reply(count.to_string(), 1))
        }
        // INVARIANT: the database gives writes to the writers only (`Database::submit`).
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

async fn one<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    select: &Select,
    absent: Absent,
) -> Result<Reply, Trouble> {
    let Select { statement, cells } = select;
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let mut json = Rows::new(entity);
    let mut found = false;
    session
        .rows(statement, entity, &mut |row| {
            found = true;
            json.object(row, 0, cells)?;
            Ok(Look::Enough)
        })
        .await?;
    match (found, absent) {
        (true, _) => Ok(reply(json.finish(), 1)),
        (false, Absent::NotFound) => Err(Trouble::NotFound),
        (false, Absent::Null) => Ok(reply("null".to_owned(), 0)),
    }
}

async fn list<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    select: &Select,
    count: Option<&Statement>,
    page: Page,
) -> Result<Reply, Trouble> {
    let Select { statement, cells } = select;
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let mut json = Rows::new(entity);
    let limit = u64::from(page.limit.min(ROWS_PER_ANSWER));
    json.word("{\"data\":[");
    let mut written: u64 = 0;
    let mut has_more = false;
    session
        .rows(statement, entity, &mut |row| {
            if written == limit {
                has_more = true;
                return Ok(Look::Enough);
            }
            if written > 0 {
                json.word(",");
            }
            json.object(row, 0, cells)?;
            written = written.saturating_add(1);
            Ok(Look::More)
        })
        .await?;
    json.word("]");
    if let Some(count) = count {
        let total = number(session, plan, count).await?;
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

async fn number<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    statement: &Statement,
) -> Result<u64, Trouble> {
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let mut number = 0;
    session
        .rows(statement, entity, &mut |row| {
            number = row.number(0)?;
            Ok(Look::Enough)
        })
        .await?;
    Ok(number)
}
