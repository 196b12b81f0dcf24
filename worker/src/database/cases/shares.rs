//! A caller whose calls take long beside one whose calls are short, on a running database of each kind.

use std::thread::sleep;
use std::time::Duration;

use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::super::running::{Call, LONG, Running, told};
use crate::fixture::{ALICE, BOB, Fixture, memo, text, uuid};
use crate::job::{Task, What};
use crate::ledger::Memo;
use crate::session::Session;

const ADMIN: (&str, &str) = (ALICE, "admin");
/// A call that has a connection for so long takes long.
const TAKES_LONG: Duration = Duration::from_millis(300);
/// Longer than anybody waits who has a connection.
const SOON: Duration = Duration::from_secs(10);
/// More than there are connections.
const MANY: i64 = 40;
/// More reads of single rows than have a place.
const FLOOD: i64 = 400;

/// Two callers of one database, whoever the plans are made for.
pub(in crate::database) struct Callers<'a> {
    pub(in crate::database) running: &'a Running,
    pub(in crate::database) fixture: &'a Fixture,
}

impl Callers<'_> {
    /// Hands a plan over in the name of this user.
    pub(in crate::database) fn submit(&self, user: &str, plan: ValidPlan, budget: Duration) -> Call {
        let principal = Principal {
            id: Some(user.to_owned()),
            ..Principal::default()
        };
        let session = Session {
            lane: crate::database::queue::Lane::of(&principal, ""),
            principal,
            subject: self.fixture.subject(user, "admin"),
            remote: String::new(),
            expires_at_ms: None,
            lookup: None,
        };
        let memo = Memo {
            session: Some(session.into()),
            ..memo(plan.action())
        };
        let task = Task {
            what: What::One(Box::new(plan)),
            once: None,
        };
        self.running.submit_task(task, memo, budget)
    }

    pub(in crate::database) fn count(&self, entity: &str) -> ValidPlan {
        let filter = Predicate::True;
        self.fixture.plan(ADMIN, entity, Action::Count { filter })
    }

    pub(in crate::database) fn note(&self, slug: &str) -> ValidPlan {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        let action = Action::Create {
            values: self.fixture.values("Note", &values),
            projection: self.fixture.projection("Note", &["slug"]),
        };
        self.fixture.plan(ADMIN, "Note", action)
    }

    fn sample(&self, id: i64) -> ValidPlan {
        let action = Action::Create {
            values: self.fixture.values("Sample", &[("id", Value::Int(id))]),
            projection: self.fixture.projection("Sample", &["id"]),
        };
        self.fixture.plan(ADMIN, "Sample", action)
    }

    /// A row of samples: some of its fields, others for each number.
    fn of_sample(&self, id: i64, shape: i64) -> ValidPlan {
        let fields = [
            "whole", "real", "exact", "flag", "text", "day", "time", "key", "bytes",
        ];
        let wanted = fields.iter().enumerate();
        let wanted = wanted
            .filter(|(nth, _)| shape >> nth & 1 == 1)
            .map(|(_, name)| *name);
        let names: Vec<&str> = std::iter::once("id").chain(wanted).collect();
        let action = Action::Read {
            target: self.fixture.target("Sample", "id", Value::Int(id)),
            projection: self.fixture.projection("Sample", &names),
            includes: Vec::new(),
        };
        self.fixture.plan(ADMIN, "Sample", action)
    }

    pub(in crate::database) fn user(&self) -> ValidPlan {
        let action = Action::Read {
            target: self.fixture.target("User", "id", uuid(ALICE)),
            projection: self.fixture.projection("User", &["username"]),
            includes: Vec::new(),
        };
        self.fixture.plan(ADMIN, "User", action)
    }
}

fn let_go(calls: Vec<Call>) {
    for call in &calls {
        call.control.cancel();
    }
    for call in calls {
        drop(call.answer());
    }
}

/// `lock` keeps everybody from the table of samples until what it answers is dropped.
pub(in crate::database) fn who_takes_long_leaves_a_connection_to_the_others<L>(
    running: &Running,
    fixture: &Fixture,
    lock: impl Fn() -> L,
) {
    let callers = Callers { running, fixture };
    for is_of_reads in [true, false] {
        let long = |id| {
            if is_of_reads {
                callers.count("Sample")
            } else {
                callers.sample(id)
            }
        };
        let short = if is_of_reads {
            callers.count("Note")
        } else {
            callers.note("short")
        };
        let locked = lock();
        let first = callers.submit(ALICE, long(0), LONG);
        sleep(TAKES_LONG);
        drop(locked);
        assert_eq!(told(&first.answer()), None);
        let locked = lock();
        let many: Vec<Call> = (1..MANY)
            .map(|id| callers.submit(ALICE, long(id), LONG))
            .collect();
        // Before his turn comes she has all that she gets.
        sleep(TAKES_LONG);
        let answer = callers.submit(BOB, short, SOON).answer();
        assert!(answer.is_ok(), "{is_of_reads} {answer:?}");
        let_go(many);
        drop(locked);
    }
}

/// The same `lock`.
pub(in crate::database) fn reads_of_single_rows_pass_those_that_wait_for_a_connection<L>(
    running: &Running,
    fixture: &Fixture,
    lock: impl Fn() -> L,
) {
    let callers = Callers { running, fixture };
    let locked = lock();
    let many: Vec<Call> = (0..MANY)
        .map(|_| callers.submit(ALICE, callers.count("Sample"), LONG))
        .collect();
    for user in [BOB, ALICE] {
        let answer = callers.submit(user, callers.user(), SOON).answer();
        assert!(answer.is_ok(), "{user} {answer:?}");
    }
    let_go(many);
    drop(locked);
}

/// The same `lock`.
pub(in crate::database) fn whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses<L>(
    running: &Running,
    fixture: &Fixture,
    lock: impl Fn() -> L,
) {
    let callers = Callers { running, fixture };
    // Those that differ in nothing but the key go together; of those that differ in more each goes alone.
    for is_alike in [true, false] {
        let locked = lock();
        let flood: Vec<Call> = (0..FLOOD)
            .map(|id| {
                let shape = if is_alike { 0 } else { id };
                callers.submit(ALICE, callers.of_sample(id, shape), LONG)
            })
            .collect();
        sleep(TAKES_LONG);
        for nth in 0..40 {
            let answer = callers.submit(BOB, callers.user(), SOON).answer();
            assert!(answer.is_ok(), "{is_alike} {nth} {answer:?}");
        }
        let_go(flood);
        drop(locked);
    }
}
