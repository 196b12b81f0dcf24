//! Whether a change failed only because of somebody who was at work beside it: then another attempt sees what is there now.

use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::Action;

use super::trouble::Trouble;
use crate::job::{Task, What};

/// Where each statement sees its own moment: whether somebody may have made or changed the row between two statements of the change,
/// which therefore did not go together.
pub(super) fn is_lost_race(task: &Task, trouble: &Trouble) -> bool {
    let What::One(plan) = &task.what else {
        // The statements of a transaction see the same moment (`isolation`).
        return false;
    };
    match plan.action() {
        // Not found, and then in reach.
        Action::Update { .. } => matches!(trouble, Trouble::NotPermitted),
        // That, or not found and then taken.
        Action::Upsert { .. } => {
            matches!(trouble, Trouble::NotPermitted)
                || matches!(trouble, Trouble::Fields { code, .. } if *code == Code::Conflict)
        }
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => false,
    }
}

/// Whether what stood in the way of a named write may be what the same write did, which came twice and was under way when its answer was
/// looked for. Another attempt finds that answer.
pub(super) fn may_be_done_by_now(task: &Task, trouble: &Trouble) -> bool {
    if task.once.is_none() || !task.is_write() {
        return false;
    }
    match trouble {
        Trouble::NotFound | Trouble::NotPermitted | Trouble::Fields { .. } => true,
        // The same, of a call of a transaction.
        Trouble::Refused(refusal) => refusal.failure.advice == Advice::Final,
        Trouble::TooManyRows
        | Trouble::AnswerTooLarge
        | Trouble::Violation { .. }
        | Trouble::Overflow { detail: _ }
        | Trouble::Sql(_)
        | Trouble::NotInSchema
        | Trouble::WrongType { .. }
        | Trouble::Serialization { detail: _ }
        | Trouble::Database { .. } => false,
    }
}
