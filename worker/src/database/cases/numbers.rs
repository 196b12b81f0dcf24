//! Numbers over rows.

use dbal_shared::plan::{Action, Function, Measure, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use serde_json::json;

use super::{Bench, Ground};
use crate::fixture::{ALICE, BOB, text};

impl<B: Bench> Ground<B> {
    fn aggregate(
        &self,
        filter: Predicate,
        groups: &[&str],
        count: Total,
        measures: &[(Function, &str)],
        limit: u32,
    ) -> serde_json::Value {
        let measure = |(function, name): &(Function, &str)| Measure {
            function: *function,
            column: self.fixture.column("Note", name),
        };
        let action = Action::Aggregate {
            filter,
            groups: self.fixture.projection("Note", groups),
            count,
            measures: measures.iter().map(measure).collect(),
            limit,
        };
        self.run((ALICE, "user"), "Note", action).unwrap()
    }
}

pub(in crate::database) fn rows_are_counted_summed_and_grouped<B: Bench>() {
    let ground = Ground::<B>::new();
    for (owner, slug, state, rank, price) in [
        (ALICE, "a", "draft", Value::Int(1), "10"),
        (ALICE, "b", "draft", Value::Int(4), "9.5"),
        (ALICE, "c", "published", Value::Null, "-1"),
        (BOB, "d", "published", Value::Int(7), "100"),
        (BOB, "e", "draft", Value::Int(1_000), "1"),
    ] {
        ground.note(
            owner,
            &[
                ("slug", text(slug)),
                ("state", text(state)),
                ("rank", rank),
                ("price", Value::Decimal(price.to_owned())),
                ("remark", text(slug)),
            ],
        );
    }
    let numbers = [
        (Function::Sum, "rank"),
        (Function::Min, "price"),
        (Function::Average, "rank"),
        (Function::Max, "price"),
        (Function::Max, "slug"),
    ];
    assert_eq!(
        ground.aggregate(Predicate::True, &["state"], Total::Counted, &numbers, 10),
        json!({
            "data": [
                {"group": {"state": "draft"}, "count": 2, "sum": {"rank": 5}, "avg": {"rank": 2.5},
                 "min": {"price": "9.5"}, "max": {"price": "10", "slug": "b"}},
                {"group": {"state": "published"}, "count": 2, "sum": {"rank": 7}, "avg": {"rank": 7.0},
                 "min": {"price": "-1"}, "max": {"price": "100", "slug": "d"}},
            ],
            "limit": 10,
            "hasMore": false,
        })
    );
    // Without groups one object, of no rows too.
    assert_eq!(
        ground.aggregate(Predicate::True, &[], Total::Skipped, &numbers[..1], 10),
        json!({"sum": {"rank": 12}})
    );
    let none = ground.fixture.eq("Note", "slug", text("z"));
    assert_eq!(
        ground.aggregate(none.clone(), &[], Total::Counted, &numbers[..1], 10),
        json!({"count": 0, "sum": {"rank": null}})
    );
    assert_eq!(
        ground.aggregate(none, &["state"], Total::Counted, &[], 10),
        json!({"data": [], "limit": 10, "hasMore": false})
    );
    // Another's remarks are hidden, so their rows are in no group of remarks.
    assert_eq!(
        ground.aggregate(Predicate::True, &["remark"], Total::Counted, &[], 2),
        json!({
            "data": [{"group": {"remark": "a"}, "count": 1}, {"group": {"remark": "b"}, "count": 1}],
            "limit": 2,
            "hasMore": true,
        })
    );
    assert_eq!(
        ground.aggregate(
            Predicate::True,
            &[],
            Total::Counted,
            &[(Function::Max, "remark")],
            10
        ),
        json!({"count": 3, "max": {"remark": "c"}})
    );
}
