//! Callers who want the same at once, on a running database of each kind.

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::plan::{Action, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use super::super::running::{Call, LONG, Running, told};
use crate::fixture::{ALICE, Fixture, json, memo, text, uuid};
use crate::job::{Task, What};
use crate::once::{Once, Request};

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

/// Hands over a change that its caller has named.
pub(in crate::database) fn named(running: &Running, fixture: &Fixture, name: &str, action: Action) -> Call {
    const NOW_MS: i64 = 1_705_314_600_000;
    let principal = Principal {
        id: Some(ALICE.to_owned()),
        ..Principal::default()
    };
    let mut request = Request::new(Isolation::default());
    request.add(&Plan {
        entity: fixture.entity("Note").id,
        action: action.clone(),
    });
    let plan = fixture.plan(ADMIN, "Note", action);
    let memo = memo(plan.action());
    let task = Task {
        what: What::One(Box::new(plan)),
        once: Some(Box::new(Once::new(name, &principal, request, NOW_MS).unwrap())),
    };
    running.submit_task(task, memo, LONG)
}

fn create(fixture: &Fixture, slug: &str) -> Action {
    Action::Create {
        values: fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(slug))]),
        projection: fixture.projection("Note", &["slug"]),
    }
}

/// Whoever finds no answer under a name and then does the work may come second: nothing of it may stay.
pub(in crate::database) fn a_name_stands_for_one_request_however_many_come_at_once(
    running: &Running,
    fixture: &Fixture,
) {
    for nth in 1..=4 {
        let calls: Vec<Call> = (0..12)
            .map(|other| {
                let action = create(fixture, &format!("s{nth} {other}"));
                named(running, fixture, &format!("k{nth}"), action)
            })
            .collect();
        let told: Vec<_> = calls.into_iter().map(|call| told(&call.answer())).collect();
        let refused = Some((Code::Invalid, Advice::OtherRequest));
        let count = |wanted| told.iter().filter(|one| **one == wanted).count();
        assert_eq!((count(None), count(refused)), (1, 11), "{told:?}");
        let filter = Predicate::True;
        let count = running.call(fixture.plan(ADMIN, "Note", Action::Count { filter }));
        assert_eq!(json(&count.unwrap()), nth);
    }
}
