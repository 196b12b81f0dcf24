//! So many calls of one kind that no more can wait, on a running database of each kind.

use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use super::super::running::{Call, LONG, Running, told};
use crate::fixture::{ALICE, Fixture, text, uuid};

const ADMIN: (&str, &str) = (ALICE, "admin");
/// More than may wait.
const FLOOD: i64 = 1_100;

/// `lock` keeps everybody from the table of samples until what it answers is dropped.
pub(in crate::database) fn a_flood_of_one_kind_of_calls_lets_the_other_kind_through<L>(
    running: &Running,
    fixture: &Fixture,
    lock: impl Fn() -> L,
) {
    let count = |entity: &str| {
        let filter = Predicate::True;
        fixture.plan(ADMIN, entity, Action::Count { filter })
    };
    let note = |slug: &str| {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        let action = Action::Create {
            values: fixture.values("Note", &values),
            projection: fixture.projection("Note", &["slug"]),
        };
        fixture.plan(ADMIN, "Note", action)
    };
    let sample = |id| {
        let action = Action::Create {
            values: fixture.values("Sample", &[("id", Value::Int(id))]),
            projection: fixture.projection("Sample", &["id"]),
        };
        fixture.plan(ADMIN, "Sample", action)
    };
    for is_of_reads in [true, false] {
        let locked = lock();
        let flood: Vec<Call> = (0..FLOOD)
            .map(|id| {
                let plan = if is_of_reads { count("Sample") } else { sample(id) };
                running.submit(plan, LONG)
            })
            .collect();
        let other = if is_of_reads {
            note("through")
        } else {
            count("Note")
        };
        let answer = running.call(other);
        assert!(answer.is_ok(), "{is_of_reads} {answer:?}");
        for call in &flood {
            call.control.cancel();
        }
        drop(locked);
        let codes: Vec<_> = flood.into_iter().map(|call| told(&call.answer())).collect();
        let refused = codes
            .iter()
            .filter(|code| **code == Some((Code::Unavailable, Advice::Retry)));
        assert!(refused.count() > 0, "not more of them than may wait: {codes:?}");
    }
}
