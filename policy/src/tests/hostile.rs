//! Plans that no honest broker sends.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::limits::{
    FRAME_DEPTH, IN_LIST_VALUES, OFFSET_ROWS, PREDICATE_NODES, ROWS_PER_CREATE_MANY, SORT_KEYS,
};
use dbal_shared::plan::{Action, Direction, Page, Plan, SortKey, Total};
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::value::Value;

use super::world::{ME, World, docs, text, uuid};
use crate::{Denied, Reason};

/// Everything is granted, so only the plan itself can be wrong.
fn open() -> World {
    docs(
        "rules: [{id: all, entity: Doc, roles: [user], operations: ['*'], allow_unfiltered: true, fields: {write: ['*', id]}}]\n\
         limits: {user: {max_complexity: 1000000}}",
    )
}

fn refused(world: &World, action: Action) -> Denied {
    let said = format!("{action:?}");
    match world.decide(&["user"], world.plan("Doc", action)) {
        Ok(grant) => panic!("{said} is granted: {grant:?}"),
        Err(denied) => denied,
    }
}

fn count(filter: Predicate) -> Action {
    Action::Count { filter }
}

#[test]
fn what_is_not_in_the_schema_is_unknown() {
    let world = open();
    let plan = Plan {
        entity: EntityId(999),
        action: count(Predicate::True),
    };
    assert_eq!(
        world.decide(&["user"], plan).unwrap_err().reason(),
        &Reason::UnknownEntity
    );
    let beyond = ColumnId(600);
    let none = [(beyond, Fault::Unknown)];
    let column = world.column("Doc", "title");
    let target = dbal_shared::plan::Target {
        column: beyond,
        value: uuid(ME),
    };
    let values = vec![dbal_shared::plan::Assignment {
        column: beyond,
        value: Value::Null,
    }];
    for action in [
        count(Predicate::IsNull { column: beyond }),
        count(Predicate::CompareColumns {
            left: column,
            op: Comparison::Eq,
            right: beyond,
        }),
        Action::Read {
            target: target.clone(),
            projection: vec![column],
            includes: Vec::new(),
        },
        Action::Delete {
            target: target.clone(),
        },
        Action::FindFirst {
            filter: Predicate::True,
            order: Vec::new(),
            projection: vec![column, beyond],
            includes: Vec::new(),
        },
        Action::FindFirst {
            filter: Predicate::True,
            order: vec![SortKey {
                column: beyond,
                direction: Direction::Ascending,
            }],
            projection: vec![column],
            includes: Vec::new(),
        },
        Action::Create {
            values: values.clone(),
            projection: Vec::new(),
        },
        Action::CreateMany {
            rows: vec![values.clone()],
        },
        Action::UpdateMany {
            filter: Predicate::True,
            values,
        },
    ] {
        let denied = refused(&world, action);
        assert_eq!(denied.fields(), none);
        assert_eq!(denied.client().0, Code::Invalid);
    }
}

#[test]
fn values_have_their_columns_type() {
    let world = open();
    let column = |name: &str| world.column("Doc", name);
    for (name, value) in [
        ("rank", text("1")),
        ("rank", Value::Int(i64::from(i32::MAX) + 1)),
        ("rank", Value::Null),
        ("title", Value::Int(1)),
        ("title", text("a\0b")),
        ("id", text(ME)),
        ("price", Value::Decimal("1.50".to_owned())),
        ("price", Value::Float(1.5)),
        ("createdAt", Value::Int(1)),
        ("state", Value::Bool(true)),
    ] {
        let operand = value.clone();
        let denied = refused(
            &world,
            count(Predicate::Compare {
                column: column(name),
                op: Comparison::Eq,
                value: operand.clone(),
            }),
        );
        assert_eq!(denied.fields().len(), 1, "{name} {value:?}");
        refused(
            &world,
            count(Predicate::In {
                column: column(name),
                values: vec![operand.clone()],
            }),
        );
        let values = vec![dbal_shared::plan::Assignment {
            column: column(name),
            value: operand,
        }];
        let denied = refused(
            &world,
            Action::UpdateMany {
                filter: Predicate::True,
                values,
            },
        );
        assert_eq!(denied.fields().len(), 1, "{name} {value:?}");
    }
    refused(
        &world,
        Action::Delete {
            target: world.target("Doc", "id", Value::Null),
        },
    );
    refused(
        &world,
        Action::Delete {
            target: world.target("Doc", "slug", Value::Int(1)),
        },
    );
    let denied = refused(
        &world,
        Action::Delete {
            target: world.target("Doc", "title", text("x")),
        },
    );
    assert!(
        matches!(denied.fields(), [(_, Fault::WrongType { .. })]),
        "not unique: {denied:?}"
    );
    let broken = Value::Json("{\"a\":".to_owned());
    refused(
        &world,
        Action::Create {
            values: world.values("Doc", &[("tags", broken)]),
            projection: Vec::new(),
        },
    );
    let null = world.values("Doc", &[("title", Value::Null)]);
    let action = Action::UpdateMany {
        filter: Predicate::True,
        values: null,
    };
    assert!(
        world.decide(&["user"], world.plan("Doc", action)).is_ok(),
        "null where it is a value"
    );
}

#[test]
fn operators_suit_the_type() {
    let world = open();
    let column = |name: &str| world.column("Doc", name);
    let compare = |name: &str, op, value| Predicate::Compare {
        column: column(name),
        op,
        value,
    };
    for filter in [
        compare("state", Comparison::Lt, text("draft")),
        compare("tags", Comparison::Eq, Value::Json("1".to_owned())),
        Predicate::In {
            column: column("tags"),
            values: Vec::new(),
        },
        Predicate::Between {
            column: column("state"),
            low: text("a"),
            high: text("b"),
        },
        Predicate::Matches {
            column: column("rank"),
            position: TextPosition::Contains,
            text: "1".to_owned(),
            case: Case::Sensitive,
        },
        Predicate::Matches {
            column: column("title"),
            position: TextPosition::Whole,
            text: "\0".to_owned(),
            case: Case::Sensitive,
        },
        Predicate::CompareColumns {
            left: column("rank"),
            op: Comparison::Eq,
            right: column("title"),
        },
        Predicate::CompareColumns {
            left: column("state"),
            op: Comparison::Lt,
            right: column("state"),
        },
    ] {
        assert_eq!(refused(&world, count(filter)).client().0, Code::Invalid);
    }
    let order = vec![SortKey {
        column: column("tags"),
        direction: Direction::Ascending,
    }];
    let projection = vec![column("id")];
    assert_eq!(
        refused(
            &world,
            Action::FindFirst {
                filter: Predicate::True,
                order,
                projection,
                includes: Vec::new()
            }
        )
        .client()
        .0,
        Code::Invalid
    );
}

#[test]
fn nothing_is_named_twice_or_not_at_all() {
    let world = open();
    let id = world.column("Doc", "id");
    let key = SortKey {
        column: id,
        direction: Direction::Descending,
    };
    let find = |order, projection| Action::FindFirst {
        filter: Predicate::True,
        order,
        projection,
        includes: Vec::new(),
    };
    for action in [
        find(Vec::new(), vec![id, id]),
        find(vec![key, key], vec![id]),
        find(Vec::new(), Vec::new()),
        Action::UpdateMany {
            filter: Predicate::True,
            values: Vec::new(),
        },
        Action::Update {
            target: world.target("Doc", "id", uuid(ME)),
            values: Vec::new(),
            projection: Vec::new(),
        },
    ] {
        assert_eq!(refused(&world, action).client().0, Code::Invalid);
    }
    let twice = world.values("Doc", &[("title", text("a")), ("title", text("b"))]);
    assert_eq!(
        refused(&world, Action::CreateMany { rows: vec![twice] })
            .client()
            .0,
        Code::Invalid
    );
    let upsert = |create| Action::Upsert {
        target: world.target("Doc", "slug", text("s")),
        create,
        update: Vec::new(),
        projection: Vec::new(),
    };
    for create in [&[][..], &[("slug", text("other"))], &[("title", text("s"))]] {
        assert_eq!(
            refused(&world, upsert(world.values("Doc", create))).client().0,
            Code::Invalid
        );
    }
    let found = upsert(world.values("Doc", &[("slug", text("s"))]));
    assert!(
        world.decide(&["user"], world.plan("Doc", found)).is_ok(),
        "an upsert may leave an existing row alone"
    );
}

#[test]
fn sizes_are_bounded() {
    let world = open();
    let title = world.column("Doc", "title");
    let is_null = Predicate::IsNull { column: title };
    let too_large = |action| assert_eq!(refused(&world, action).client().0, Code::TooLarge);
    let list = |length: usize| Predicate::In {
        column: title,
        values: vec![text("x"); length],
    };
    too_large(count(list(IN_LIST_VALUES + 1)));
    too_large(count(Predicate::Or(vec![list(IN_LIST_VALUES); 2])));
    let told = refused(&world, count(Predicate::Or(vec![list(IN_LIST_VALUES); 2])));
    assert_eq!(
        told.client().1,
        "the filter has more than 2000 conditions and values in lists"
    );
    too_large(count(Predicate::And(vec![is_null.clone(); PREDICATE_NODES])));
    let mut deep = is_null;
    for _ in 0..FRAME_DEPTH {
        deep = Predicate::Not(Box::new(deep));
    }
    too_large(count(deep));
    too_large(Action::CreateMany {
        rows: vec![Vec::new(); ROWS_PER_CREATE_MANY + 1],
    });
    let key = SortKey {
        column: title,
        direction: Direction::Ascending,
    };
    too_large(Action::FindFirst {
        filter: Predicate::True,
        order: vec![key; SORT_KEYS + 1],
        projection: vec![title],
        includes: Vec::new(),
    });
    let page = |number, limit| Action::List {
        filter: Predicate::True,
        order: Vec::new(),
        page: Page { number, limit },
        total: Total::Skipped,
        projection: vec![title],
        includes: Vec::new(),
        cursor: None,
    };
    too_large(page(OFFSET_ROWS, 2));
    too_large(page(u32::MAX, u32::MAX));
    assert_eq!(refused(&world, page(0, 1)).client().0, Code::Invalid);
    assert_eq!(refused(&world, page(1, 0)).client().0, Code::Invalid);
}

#[test]
fn a_plan_costs_what_it_asks_for() {
    let world = docs(
        "rules: [{id: all, entity: Doc, roles: [user], operations: ['*']}]\nlimits: {user: {max_complexity: 10}}",
    );
    let slug = world.column("Doc", "slug");
    let list = |length: usize| {
        count(Predicate::In {
            column: slug,
            values: vec![text("x"); length],
        })
    };
    let grant = world.decide(&["user"], world.plan("Doc", list(8))).unwrap();
    assert_eq!(grant.complexity(), 10);
    let denied = refused(&world, list(9));
    assert_eq!(
        denied.client(),
        (Code::TooLarge, "complexity 11 exceeds 10".to_owned())
    );
    let rows = vec![world.values("Doc", &[("title", text("t"))]); 10];
    assert_eq!(
        refused(&world, Action::CreateMany { rows }).client().0,
        Code::TooLarge
    );
}

#[test]
fn what_no_index_helps_costs_more() {
    let world = docs(
        "rules: [{id: all, entity: Doc, roles: [user], operations: ['*'], allow_unfiltered: true}]\n\
         limits: {user: {max_complexity: 100000}}",
    );
    let title = || world.eq("Doc", "title", text("x"));
    let slug = || world.eq("Doc", "slug", text("x"));
    let search = Predicate::Matches {
        column: world.column("Doc", "title"),
        position: TextPosition::StartsWith,
        text: "x".to_owned(),
        case: Case::Sensitive,
    };
    let cost = |action| {
        let grant = world.decide(&["user"], world.plan("Doc", action)).unwrap();
        grant.complexity()
    };
    let listed = |filter, by: &[&str], number, limit, total| {
        let key = |name: &&str| SortKey {
            column: world.column("Doc", name),
            direction: Direction::Ascending,
        };
        cost(Action::List {
            filter,
            order: by.iter().map(key).collect(),
            page: Page { number, limit },
            total,
            projection: world.columns("Doc", &["id"]),
            includes: Vec::new(),
            cursor: None,
        })
    };
    let list = |filter, by: &[&str], number, limit| listed(filter, by, number, limit, Total::Skipped);
    let slugs = || Predicate::In {
        column: world.column("Doc", "slug"),
        values: vec![text("x"), text("y")],
    };
    // Every row has one: an index that leads to them does not make them fewer.
    let any_slug = || Predicate::Compare {
        column: world.column("Doc", "slug"),
        op: Comparison::Gte,
        value: text(""),
    };
    let remove = |filter| cost(Action::DeleteMany { filter });
    let change = |filter| {
        cost(Action::UpdateMany {
            filter,
            values: world.values("Doc", &[("title", text("t"))]),
        })
    };
    let aggregate = |filter, groups: &[&str]| {
        cost(Action::Aggregate {
            filter,
            groups: world.columns("Doc", groups),
            count: Total::Counted,
            measures: Vec::new(),
            limit: 20,
        })
    };
    let all = || Predicate::True;
    for (line, costs, expected) in [
        (
            "a plan, its filter's node, two tens of rows",
            list(all(), &[], 1, 20),
            1 + 1 + 2,
        ),
        (
            "a filter that an index helps",
            list(slug(), &[], 1, 20),
            1 + 1 + 2,
        ),
        ("one that none helps", list(title(), &[], 1, 20), 1 + 1 + 2 + 20),
        (
            "an index for one part of all",
            list(title().and(slug()), &[], 1, 20),
            1 + 3 + 2,
        ),
        (
            "an index for one of several",
            list(title().or(slug()), &[], 1, 20),
            1 + 3 + 2 + 20,
        ),
        (
            "the contrary",
            list(Predicate::Not(Box::new(slug())), &[], 1, 20),
            1 + 2 + 2 + 20,
        ),
        ("a search", list(search.clone(), &[], 1, 20), 1 + 1 + 2 + 20 + 5),
        (
            "an order with an index",
            list(all(), &["teamId", "title"], 1, 20),
            1 + 1 + 2 + 2,
        ),
        ("one without", list(all(), &["title"], 1, 20), 1 + 1 + 2 + 1 + 20),
        (
            "one of a single row",
            list(slug(), &["title"], 1, 20),
            1 + 1 + 2 + 1,
        ),
        ("a page far back", list(all(), &[], 5_001, 20), 1 + 1 + 2 + 100),
        (
            "a total",
            listed(any_slug(), &[], 1, 20, Total::Counted),
            1 + 1 + 2 + 10,
        ),
        (
            "a total of all",
            listed(all(), &[], 1, 20, Total::Counted),
            1 + 1 + 2 + 20 + 10,
        ),
        (
            "a total of one row",
            listed(slug(), &[], 1, 20, Total::Counted),
            1 + 1 + 2,
        ),
        ("a count", cost(count(title())), 1 + 1 + 20 + 10),
        ("a count of all", cost(count(all())), 1 + 1 + 20 + 10),
        ("a count by an index", cost(count(any_slug())), 1 + 1 + 10),
        ("a count of rows that are named", cost(count(slugs())), 1 + 3),
        ("a number over all rows", aggregate(all(), &[]), 1 + 1 + 20 + 10),
        ("one by an index", aggregate(any_slug(), &[]), 1 + 1 + 10),
        ("groups", aggregate(slug(), &["state", "rank"]), 1 + 1 + 2 * 5 + 2),
        ("removing all", remove(all()), 1 + 1 + 20 + 50),
        ("removing by an index", remove(any_slug()), 1 + 1 + 50),
        ("removing what is named", remove(slugs().or(slug())), 1 + 5),
        ("changing all", change(all()), 1 + 1 + 20 + 50),
        ("changing what is named", change(slugs()), 1 + 3),
    ] {
        assert_eq!(costs, expected, "{line}");
    }
}

#[test]
fn a_fault_of_a_hidden_column_does_not_tell_that_it_exists() {
    let world = docs(
        "rules: [{id: r, entity: Doc, roles: [user], operations: ['*'], fields: {read: [id, title], write: [title]}}]",
    );
    let secret = world.column("Doc", "secret");
    let wrong = vec![dbal_shared::plan::Assignment {
        column: secret,
        value: Value::Int(1),
    }];
    for action in [
        count(Predicate::Compare {
            column: secret,
            op: Comparison::Lt,
            value: Value::Int(1),
        }),
        Action::Delete {
            target: world.target("Doc", "secret", text("x")),
        },
        Action::Create {
            values: wrong.clone(),
            projection: Vec::new(),
        },
        Action::UpdateMany {
            filter: world.eq("Doc", "title", text("x")),
            values: wrong,
        },
    ] {
        assert_eq!(refused(&world, action).fields(), [(secret, Fault::Unknown)]);
    }
}

#[test]
fn thousands_of_unknown_columns_cost_no_more_than_one() {
    let world = open();
    let unknown = |nth| dbal_shared::plan::Assignment {
        column: ColumnId(nth),
        value: Value::Null,
    };
    let rows = vec![(500..=u16::MAX).map(unknown).collect::<Vec<_>>(); 3];
    let denied = refused(&world, Action::CreateMany { rows });
    assert_eq!(denied.fields(), [(ColumnId(500), Fault::Unknown)]);
}
