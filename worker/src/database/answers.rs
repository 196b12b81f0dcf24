//! Answers to named writes, kept in the transaction of the write itself: either both are there or neither, whatever
//! dies in between.

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use dbal_shared::value::Value;
use dbal_sql::{Answers, Kept};

use super::read::reply;
use super::session::{Look, Session};
use super::trouble::Trouble;
use crate::job::Refusal;
use crate::once::Once;

/// What was answered when this write was done, if it was; an error where its name stands for another one.
pub(super) async fn find<S: Session>(session: &mut S, once: &Once) -> Result<Option<Reply>, Trouble> {
    once.note(false);
    let table = Answers::table()?;
    let statement = table.find(once.key(), once.kept_since_ms(), session.dialect())?;
    let mut found: Option<(String, String, u64)> = None;
    let looked = session
        .rows(&statement, table.entity, &mut |row| {
            let request = text(row.value(0, table.request)?);
            let answer = text(row.value(1, table.answer)?);
            found = Some((request, answer, row.number(2)?));
            Ok(Look::Enough)
        })
        .await;
    looked.map_err(no_table)?;
    let Some((request, answer, rows)) = found else {
        return Ok(None);
    };
    if request != once.request() {
        let detail = "the idempotency key stands for another request";
        let refusal = Refusal::new(Code::Invalid, Advice::OtherRequest, detail);
        return Err(Trouble::Refused(Box::new(refusal)));
    }
    once.note(true);
    Ok(Some(reply(answer, rows)))
}

/// Keeps the answer, and lets go of some that are too old. One that is too long fails the write.
pub(super) async fn keep<S: Session>(session: &mut S, once: &Once, reply: &Reply) -> Result<(), Trouble> {
    if reply.json.len() > once.most_answer() {
        let detail = format!(
            "the answer to a named write has {} bytes, and {} would be kept",
            reply.json.len(),
            once.most_answer()
        );
        let refusal = Refusal::new(Code::TooLarge, Advice::TooLongToKeep, detail);
        return Err(Trouble::Refused(Box::new(refusal)));
    }
    let (table, dialect) = (Answers::table()?, session.dialect());
    let kept = Kept {
        key: once.key().to_owned(),
        request: once.request().to_owned(),
        answer: reply.json.clone(),
        affected: i64::try_from(reply.rows).unwrap_or(i64::MAX),
        created: once.now_ms(),
    };
    for statement in [
        // One that is too old to be found.
        table.forget(once.key(), once.kept_since_ms(), dialect)?,
        table.keep(kept, dialect)?,
        table.sweep(once.kept_since_ms(), dialect)?,
    ] {
        let done = session
            .rows(&statement, table.entity, &mut |_| Ok(Look::More))
            .await;
        // The same write came twice at once, and the other was first: after a rollback its answer is found.
        if let Err(Trouble::Violation {
            constraint: _,
            detail,
        }) = done
        {
            return Err(Trouble::Serialization { detail });
        }
        done?;
    }
    Ok(())
}

fn text(value: Value) -> String {
    if let Value::Text(text) = value {
        text
    } else {
        String::new()
    }
}

/// The statement is right whatever the caller says, so where it can't be run there is no table to run it on.
fn no_table(trouble: Trouble) -> Trouble {
    if let Trouble::Database {
        code: Code::Internal,
        advice: Advice::Final,
        detail,
    } = trouble
    {
        return Trouble::Database {
            code: Code::Unsupported,
            advice: Advice::Final,
            detail: format!("no table of answers: {detail}"),
        };
    }
    trouble
}
