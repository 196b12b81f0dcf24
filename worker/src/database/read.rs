//! Runs the queries of a plan.

use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::message::{Isolation, Reply};
use dbal_shared::plan::Page;
use dbal_sql::steps::{Select, Start};
use dbal_sql::{Branch, Statement, Steps, ValidPlan};

use super::kept;
use super::linked::{self, Fetched, Spent};
use super::numbers;
use super::rows::Rows;
use super::session::{Look, Session, number};
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
    kept::whole(session, plan)?;
    let branches = Branch::of_plan(plan, session.dialect())?;
    let steps = Steps::of_plan(plan, session.dialect())?;
    let is_counted = matches!(&steps, Steps::List { count: Some(_), .. });
    let is_one_statement = !is_counted && branches.is_empty();
    if is_one_statement || moment == Moment::OfItsTransaction {
        return answer(session, plan, steps, &branches).await;
    }
    // Several statements speak of the same moment.
    session.begin_snapshot(Isolation::RepeatableRead).await?;
    if let Steps::List {
        rows,
        count: Some(count),
        ..
    } = &steps
    {
        let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
        session.ahead(&[&rows.statement, count], entity).await?;
    }
    let reply = answer(session, plan, steps, &branches).await;
    session.end_snapshot().await?;
    reply
}

async fn answer<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    steps: Steps<'_>,
    branches: &[Branch<'_>],
) -> Result<Reply, Trouble> {
    match steps {
        Steps::Read(select) => one(session, plan, &select, branches, Absent::NotFound).await,
        Steps::FindFirst(select) => one(session, plan, &select, branches, Absent::Null).await,
        Steps::List {
            rows,
            count,
            page,
            start,
        } => {
            Box::pin(list(
                session,
                plan,
                &rows,
                count.as_ref(),
                (page, start),
                branches,
            ))
            .await
        }
        Steps::Count(statement) => {
            let count = number(session, &statement, plan.entity().ok_or(Trouble::NotInSchema)?).await?;
            Ok(reply(count.to_string(), 1))
        }
        Steps::Aggregate(aggregate) => Box::pin(numbers::aggregate(session, plan, &aggregate)).await,
        // INVARIANT: the database gives writes to the writers only (`Database::submit`).
        Steps::Create(_)
        | Steps::CreateMany(_)
        | Steps::CreateTogether(_)
        | Steps::CreateBatches(_)
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
    branches: &[Branch<'_>],
    absent: Absent,
) -> Result<Reply, Trouble> {
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let mut spent = Spent::default();
    let Fetched {
        mut rows,
        has_more: _,
        place: _,
    } = linked::fetch(session, select, entity, 1, &mut spent).await?;
    linked::attach(session, branches, &mut rows, 0, &mut spent).await?;
    match (rows.pop(), absent) {
        (Some(row), _) => Ok(reply(row.close(), spent.rows)),
        (None, Absent::NotFound) => Err(Trouble::NotFound),
        (None, Absent::Null) => Ok(reply("null".to_owned(), 0)),
    }
}

async fn list<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    select: &Select,
    count: Option<&Statement>,
    (page, start): (Page, Start),
    branches: &[Branch<'_>],
) -> Result<Reply, Trouble> {
    let Select {
        statement,
        cells,
        links: _,
        marks,
    } = select;
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let mut json = Rows::new(entity);
    let limit = u64::from(page.limit.min(ROWS_PER_ANSWER));
    json.word("{\"data\":[");
    let mut written: u64 = 0;
    let mut has_more = false;
    let mut place = None;
    let mut spent = Spent::default();
    if branches.is_empty() {
        session
            .rows(statement, entity, &mut |row| {
                if written == limit {
                    has_more = true;
                    return Ok(Look::Enough);
                }
                if written > 0 {
                    json.word(",");
                }
                let next = json.object(row, 0, cells)?;
                written = written.saturating_add(1);
                if written == limit {
                    place = linked::marks(row, next, marks, entity)?;
                }
                Ok(Look::More)
            })
            .await?;
        spent.rows = written;
    } else {
        let mut fetched = linked::fetch(session, select, entity, limit, &mut spent).await?;
        linked::attach(session, branches, &mut fetched.rows, 0, &mut spent).await?;
        has_more = fetched.has_more;
        place = fetched.place;
        for row in fetched.rows {
            if written > 0 {
                json.word(",");
            }
            json.whole(&row.close());
            written = written.saturating_add(1);
        }
    }
    json.word("]");
    if let Some(count) = count {
        let total = number(session, count, entity).await?;
        // After a place, one row too many has told.
        if start == Start::Number {
            has_more = page.offset().saturating_add(written) < total;
        }
        json.word(",\"total\":");
        json.number(total);
    }
    if start == Start::Number {
        json.word(",\"page\":");
        json.number(u64::from(page.number));
    }
    json.word(",\"limit\":");
    json.number(u64::from(page.limit));
    json.word(if has_more {
        ",\"hasMore\":true"
    } else {
        ",\"hasMore\":false"
    });
    let cursor = place.filter(|marks| has_more && !marks.is_empty());
    if let Some(cursor) = cursor.and_then(|marks| plan.place_of(&marks)) {
        json.word(",\"nextCursor\":");
        json.text(&cursor);
    }
    json.word("}");
    Ok(reply(json.finish(), spent.rows))
}
