//! Transactions: what later calls may use of earlier ones.

use dbal_shared::fault::Fault;
use dbal_shared::plan::{Action, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::{Earlier, Value};

use super::world::{ME, World, docs, text, uuid};
use crate::{Item, Reason};

/// Everyone's documents, of which only drafts show their price, and nobody's secret.
fn world() -> World {
    docs(
        "rules:\n  \
         - {id: all, entity: Doc, roles: [user], operations: ['*'], fields: {read: ['*', -secret, -price], write: ['*', id]}}\n  \
         - {id: drafts, entity: Doc, roles: [user], operations: [read, list], rows: \"state = 'draft'\", fields: {read: ['*', -secret]}}\n\
         limits: {user: {max_complexity: 40}}",
    )
}

fn reads(world: &World, names: &[&str]) -> Plan {
    let action = Action::Read {
        target: world.target("Doc", "id", uuid(ME)),
        projection: world.columns("Doc", names),
        includes: Vec::new(),
    };
    world.plan("Doc", action)
}

fn earlier(world: &World, call: u16, name: &str) -> Value {
    Value::Earlier(Earlier {
        call,
        column: world.column("Doc", name),
    })
}

fn decided(world: &World, plans: Vec<Plan>) -> Result<usize, (usize, Reason)> {
    let grants = world.policy.decide_together(&world.subject(&["user"]), plans);
    grants
        .map(|grants| grants.len())
        .map_err(|(at, denied)| (at, denied.reason().clone()))
}

#[test]
fn a_call_may_refer_to_what_the_caller_sees_in_every_row_of_an_earlier_one_and_to_nothing_else() {
    let world = world();
    let all = ["id", "title", "price", "rank", "tags", "state"];
    let unanswered = || Fault::WrongType {
        expected: "a field that an earlier call answers".to_owned(),
    };
    let string = Fault::WrongType {
        expected: "a string".to_owned(),
    };
    let whole = Fault::WrongType {
        expected: "an integer from -2147483648 to 2147483647".to_owned(),
    };
    for (column, call, name, fault) in [
        ("title", 0, "title", None),
        ("title", 0, "state", None),
        ("title", 0, "slug", Some(unanswered())),
        ("title", 0, "secret", Some(unanswered())),
        ("title", 0, "hash", Some(unanswered())),
        ("price", 0, "price", Some(unanswered())),
        ("tags", 0, "tags", Some(unanswered())),
        ("title", 1, "title", Some(unanswered())),
        ("title", 2, "title", Some(unanswered())),
        ("title", 0, "rank", Some(string)),
        ("rank", 0, "title", Some(whole)),
    ] {
        let value = earlier(&world, call, name);
        let plans = vec![reads(&world, &all), world.create("Doc", &[(column, value)])];
        let expected = match fault {
            None => Ok(2),
            Some(fault) => Err((1, Reason::Fields(vec![(world.column("Doc", column), fault)]))),
        };
        assert_eq!(decided(&world, plans), expected, "{column} from {name} of {call}");
    }
}

#[test]
fn only_a_call_that_answers_one_row_can_be_referred_to_and_only_within_a_transaction() {
    let world = world();
    let later = || world.create("Doc", &[("title", earlier(&world, 0, "title"))]);
    let is_refused = |first| matches!(decided(&world, vec![first, later()]), Err((1, Reason::Fields(_))));
    assert!(is_refused(world.list("Doc", Predicate::True, &["title"])));
    assert!(is_refused(world.delete("Doc", ME)));
    assert!(
        is_refused(world.create("Doc", &[("title", text("t"))])),
        "it answers nothing"
    );
    assert!(!is_refused(world.sorted("Doc", "rank", &["title"])));
    assert!(matches!(
        world.decide(&["user"], later()).unwrap_err().reason(),
        Reason::Fields(_)
    ));
}

#[test]
fn what_each_may_ask_for_all_of_them_together_may() {
    let world = world();
    let nine = || {
        let filter = Predicate::In {
            column: world.column("Doc", "slug"),
            values: (0..8).map(|nth| text(&nth.to_string())).collect(),
        };
        world.plan("Doc", Action::Count { filter })
    };
    let times = |count: usize| std::iter::repeat_with(nine).take(count).collect();
    assert_eq!(decided(&world, times(4)), Ok(4));
    let denied = decided(&world, times(5));
    let Err((4, Reason::TooComplex { cost, max: 40 })) = denied else {
        panic!("{denied:?}");
    };
    assert_eq!((cost.total(), cost.of(Item::FilterNodes)), (50, 45));
}
