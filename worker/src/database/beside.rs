//! What calls are told that run beside one another, on each real database.

use std::sync::Arc;
use std::time::Duration;

use dbal_shared::fault::Code;
use dbal_shared::message::Isolation;
use dbal_shared::plan::{Action, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::{Earlier, Value};
use dbal_sql::ValidPlan;

use super::running::{Call, LONG, Running};
use crate::cursor::Cursors;
use crate::fixture::{ALICE, Fixture, memo, text, uuid};
use crate::generate::now_ms;
use crate::job::{Task, What};
use crate::once::{Once, Request};
use crate::session::Session;
use crate::together::{Step, Transaction};

const ADMIN: (&str, &str) = (ALICE, "admin");
/// The two notes of which each is changed by what the other one says.
const NOTES: [&str; 2] = [
    "0199a000-0000-7000-8000-0000000000a1",
    "0199a000-0000-7000-8000-0000000000a2",
];

/// A database on which calls run beside one another.
pub(super) struct Beside<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) running: &'a Running,
}

impl Beside<'_> {
    /// Calls that are done together.
    pub(super) fn together(&self, isolation: Isolation, steps: Vec<Step>) -> What {
        let principal = Principal {
            id: Some(ALICE.to_owned()),
            ..Principal::default()
        };
        let session = Session {
            lane: crate::database::queue::Lane::of(&principal, ""),
            principal,
            subject: self.fixture.subject(ALICE, "admin"),
            remote: String::new(),
            expires_at_ms: None,
            lookup: None,
        };
        let policy = Arc::clone(&self.fixture.policy);
        let places = Arc::new(Cursors::new().unwrap());
        What::Together(Box::new(Transaction::new(
            isolation,
            steps,
            policy,
            places,
            Arc::new(session),
            0,
        )))
    }

    pub(super) fn submit(&self, what: What, once: Option<Once>) -> Call {
        let memo = memo(&Action::Count {
            filter: Predicate::True,
        });
        let once = once.map(Box::new);
        self.running.submit_task(Task { what, once }, memo, LONG)
    }

    pub(super) fn create(&self, slug: &str) -> ValidPlan {
        let action = Action::Create {
            values: self
                .fixture
                .values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(slug))]),
            projection: self.fixture.projection("Note", &["id", "slug"]),
        };
        self.fixture.plan(ADMIN, "Note", action)
    }

    pub(super) fn read(&self, id: &str) -> ValidPlan {
        let action = Action::Read {
            target: self.fixture.target("Note", "id", uuid(id)),
            projection: self.fixture.projection("Note", &["id", "rank"]),
            includes: Vec::new(),
        };
        self.fixture.plan(ADMIN, "Note", action)
    }

    /// Two transactions at once, each of which gives a note the rank that it read of the other.
    fn skewed(&self, isolation: Isolation) {
        let [one, other] = NOTES;
        let calls = [(one, other), (other, one)].map(|(from, to)| {
            let earlier = Earlier {
                call: 0,
                column: self.fixture.column("Note", "rank"),
            };
            let action = Action::Update {
                target: self.fixture.target("Note", "id", uuid(to)),
                values: self.fixture.values("Note", &[("rank", Value::Earlier(earlier))]),
                projection: self.fixture.projection("Note", &["id"]),
            };
            let plan = Plan {
                entity: self.fixture.entity("Note").id,
                action,
            };
            let steps = vec![Step::Ready(self.read(from)), Step::Waiting(plan)];
            self.submit(self.together(isolation, steps), None)
        });
        for call in calls {
            call.answer().unwrap();
        }
    }

    /// The ranks of the two notes.
    fn ranks(&self) -> [String; 2] {
        NOTES.map(|id| self.running.call(self.read(id)).unwrap().json)
    }

    fn set(&self, id: &str, rank: i64) {
        let action = Action::Upsert {
            target: self.fixture.target("Note", "id", uuid(id)),
            create: self.fixture.values(
                "Note",
                &[
                    ("id", uuid(id)),
                    ("ownerId", uuid(ALICE)),
                    ("slug", text(id)),
                    ("rank", Value::Int(rank)),
                ],
            ),
            update: self.fixture.values("Note", &[("rank", Value::Int(rank))]),
            projection: self.fixture.projection("Note", &["id"]),
        };
        self.running
            .call(self.fixture.plan(ADMIN, "Note", action))
            .unwrap();
    }
}

/// An insert into notes has to take half a second, of which the row is there already.
pub(super) fn a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer(
    beside: &Beside<'_>,
) {
    let principal = Principal {
        id: Some(ALICE.to_owned()),
        ..Principal::default()
    };
    let named = |key: &str, what: What| {
        let once = Once::new(key, &principal, Request::new(Isolation::default()), now_ms()).unwrap();
        beside.submit(what, Some(once))
    };
    // Each has made up another id by itself, so only the answer tells which of the two was done.
    let one = || What::One(Box::new(beside.create("one")));
    let some = || {
        let steps = ["two", "three"].map(|slug| Step::Ready(beside.create(slug)));
        beside.together(Isolation::ReadCommitted, steps.into())
    };
    let writes: [(&str, &dyn Fn() -> What); 2] = [("one", &one), ("some", &some)];
    for (key, what) in writes {
        let first = named(key, what());
        std::thread::sleep(Duration::from_millis(150));
        let again: Vec<Call> = (0..2).map(|_| named(key, what())).collect();
        let first = first.answer().unwrap().json;
        for call in again {
            assert_eq!(call.answer().map(|reply| reply.json), Ok(first.clone()), "{key}");
        }
    }
    // What is in the way of all attempts is told.
    let failure = named("other", one()).answer().unwrap_err();
    assert_eq!(failure.code, Code::Conflict);
}

/// Of two transactions that change what the other one read, one sees what the other one did, whichever.
pub(super) fn serializable_transactions_end_as_if_one_had_run_after_the_other(beside: &Beside<'_>) {
    for _ in 0..4 {
        beside.set(NOTES[0], 1);
        beside.set(NOTES[1], 2);
        beside.skewed(Isolation::Serializable);
        let [one, other] = beside.ranks();
        assert_eq!(
            one.contains("\"rank\":1"),
            other.contains("\"rank\":1"),
            "{one} {other}"
        );
    }
}

/// The same where they ask for less, and an update of a note takes a moment: both see what was there before.
pub(super) fn transactions_that_ask_for_less_may_both_see_what_was_before(beside: &Beside<'_>) {
    for _ in 0..20 {
        beside.set(NOTES[0], 1);
        beside.set(NOTES[1], 2);
        beside.skewed(Isolation::RepeatableRead);
        let [one, other] = beside.ranks();
        if one.contains("\"rank\":2") && other.contains("\"rank\":1") {
            return;
        }
    }
    panic!("never");
}
