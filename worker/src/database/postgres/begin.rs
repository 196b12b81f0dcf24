//! How a transaction begins: what it sees of others, and how long it waits for what they have locked.
//!
//! Calls that are done together lock rows in the order in which they were written down. Two that want the same rows in opposite orders wait for
//! each other, and a server looks for that after a second (`deadlock_timeout`), which is a long time for all that wait behind
//! them. To wait gains such a transaction little anyway: when who holds the row commits, it fails all the same, since it does not see what was
//! changed meanwhile (a serialization failure). So at first it waits for a short time, and is begun anew; with each try for longer, so
//! that who waits for a long one gets through.

use dbal_shared::message::Isolation;
use dbal_shared::plan::Action;

use crate::job::{Task, What};

const COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const REPEATABLE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";

/// Of those that wait no longer than so many milliseconds, by tries. What holds for one transaction is gone with it.
macro_rules! bounded {
    ($isolation:literal) => {
        bounded!($isolation; "50", "100", "200", "400", "800")
    };
    ($isolation:literal; $($ms:literal),*) => {
        [$(concat!("BEGIN ISOLATION LEVEL ", $isolation, "; SET LOCAL lock_timeout = ", $ms)),*]
    };
}

const BOUNDED: usize = 5;
const REPEATABLE_BOUNDED: [&str; BOUNDED] = bounded!("REPEATABLE READ");
const SERIALIZABLE_BOUNDED: [&str; BOUNDED] = bounded!("SERIALIZABLE");

/// Whether a task that was tried so often waits for a bounded time.
pub(super) fn is_bounded(task: &Task, tries: usize) -> bool {
    matches!(task.what, What::Together(_)) && tries < BOUNDED
}

/// How the transaction of a task begins that was tried so often. A change of many rows looks first and changes then: both must see the
/// same rows. So must calls that are done together, which get that much even where they ask for less.
pub(super) fn how(task: &Task, tries: usize) -> &'static str {
    let after = |bounded: &[&'static str], at_last| bounded.get(tries).copied().unwrap_or(at_last);
    match &task.what {
        What::One(plan) => match plan.action() {
            Action::UpdateMany { .. } | Action::DeleteMany { .. } => REPEATABLE,
            Action::Read { .. }
            | Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. }
            | Action::Create { .. }
            | Action::CreateMany { .. }
            | Action::Update { .. }
            | Action::Delete { .. }
            | Action::Upsert { .. } => COMMITTED,
        },
        What::Together(transaction) => match transaction.isolation() {
            Isolation::ReadCommitted | Isolation::RepeatableRead => after(&REPEATABLE_BOUNDED, REPEATABLE),
            Isolation::Serializable => after(&SERIALIZABLE_BOUNDED, SERIALIZABLE),
        },
    }
}
