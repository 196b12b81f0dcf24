//! Callers who want the same at once, on a running database of each kind.

use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use super::super::running::{Call, LONG, Running};
use crate::fixture::{ALICE, Fixture, json, text, uuid};

const ADMIN: (&str, &str) = (ALICE, "admin");

/// Whoever finds nothing and then makes the row may come second: then it is there, and nobody hears of it.
pub(in crate::database) fn upserts_of_the_same_new_row_at_once_make_it_once(
    running: &Running,
    fixture: &Fixture,
) {
    for nth in 1..=6 {
        let id = format!("0199a000-0000-7000-8000-00000000000{nth}");
        let slug = format!("s{nth}");
        let calls: Vec<Call> = (0..16)
            .map(|rank| {
                let create = [("id", uuid(&id)), ("ownerId", uuid(ALICE)), ("slug", text(&slug))];
                let action = Action::Upsert {
                    target: fixture.target("Note", "id", uuid(&id)),
                    create: fixture.values("Note", &create),
                    update: fixture.values("Note", &[("rank", Value::Int(rank))]),
                    projection: fixture.projection("Note", &["slug"]),
                };
                running.submit(fixture.plan(ADMIN, "Note", action), LONG)
            })
            .collect();
        for call in calls {
            assert_eq!(json(&call.answer().unwrap()), serde_json::json!({"slug": slug}));
        }
        let filter = Predicate::True;
        let count = running.call(fixture.plan(ADMIN, "Note", Action::Count { filter }));
        assert_eq!(json(&count.unwrap()), nth);
    }
}
