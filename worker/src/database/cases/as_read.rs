//! Values that others wrote, finer or in other forms than ours: rows are found, sorted, grouped and paged by what is read of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbal_schema::time;
use dbal_shared::fault::Code;
use dbal_shared::plan::{Action, Direction, Function, Measure, Page, SortKey, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;
use dbal_sql::Places;
use serde_json::{Value as Json, json};

use super::{Bench, Ground};
use crate::cursor::Cursors;
use crate::fixture::{ALICE, json};

const ADMIN: (&str, &str) = (ALICE, "admin");
/// An operator, and whether it holds of two values in this order.
type Holds = (Comparison, fn(std::cmp::Ordering) -> bool);

const OPERATORS: [Holds; 6] = [
    (Comparison::Eq, std::cmp::Ordering::is_eq),
    (Comparison::Ne, std::cmp::Ordering::is_ne),
    (Comparison::Lt, std::cmp::Ordering::is_lt),
    (Comparison::Lte, std::cmp::Ordering::is_le),
    (Comparison::Gt, std::cmp::Ordering::is_gt),
    (Comparison::Gte, std::cmp::Ordering::is_ge),
];

/// Samples whose `field` has what `made` put there; `read` is what of it is read, by id. Every sample has one; NULL is null.
pub(in crate::database) fn rows_are_found_by_what_is_read_of_them<B: Bench>(
    ground: &Ground<B>,
    field: &str,
    read: &[(i64, Json)],
) {
    let column = ground.fixture.column("Sample", field);
    let asked = Samples { ground, field };
    assert_eq!(asked.listed(Predicate::True, None), read, "{field}");
    let ids = |holds: &dyn Fn(&Json) -> bool| -> Vec<i64> {
        let rows = read.iter().filter(|(_, value)| !value.is_null() && holds(value));
        rows.map(|(id, _)| *id).collect()
    };
    let found = |filter: Predicate| -> Vec<i64> {
        let rows = asked.listed(filter, None);
        rows.into_iter().map(|(id, _)| id).collect()
    };
    let not = |inner: Predicate| Predicate::Not(Box::new(inner));
    let is_ordered = read.iter().any(|(_, value)| value.is_string());
    let mut values: Vec<&Json> = read
        .iter()
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
        .collect();
    values.sort_by(|one, other| compared(one, other));
    values.dedup();
    for value in &values {
        for (op, holds) in OPERATORS {
            if !is_ordered && !matches!(op, Comparison::Eq | Comparison::Ne) {
                continue;
            }
            let is = Predicate::Compare {
                column,
                op,
                value: typed(value),
            };
            let expected = ids(&|other| holds(compared(other, value)));
            assert_eq!(found(is.clone()), expected, "{field} {op:?} {value}");
            let others = ids(&|other| !holds(compared(other, value)));
            assert_eq!(found(not(is)), others, "{field} not {op:?} {value}");
        }
        let among = Predicate::In {
            column,
            values: vec![typed(value), typed(values[0])],
        };
        let expected = ids(&|other| other == *value || other == values[0]);
        assert_eq!(found(among.clone()), expected, "{field} in {value}");
        let others = ids(&|other| other != *value && other != values[0]);
        assert_eq!(found(not(among)), others, "{field} not in {value}");
        if is_ordered {
            let between = Predicate::Between {
                column,
                low: typed(values[0]),
                high: typed(value),
            };
            let expected = ids(&|other| compared(other, value).is_le());
            assert_eq!(found(between), expected, "{field} up to {value}");
        }
    }
    for direction in [Direction::Ascending, Direction::Descending] {
        let key = SortKey { column, direction };
        let whole = asked.listed(Predicate::True, Some(key));
        let sorted = whole.is_sorted_by(|(_, one), (_, other)| {
            let order = compared(one, other);
            match direction {
                Direction::Ascending => order.is_le(),
                Direction::Descending => order.is_ge(),
            }
        });
        assert!(sorted, "{field} {direction:?}: {whole:?}");
        for limit in [1, 2] {
            assert_eq!(
                asked.paged(key, limit, whole.len()),
                whole,
                "{field} {direction:?} by {limit}"
            );
        }
    }
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    for (_, value) in read {
        let count = groups.entry(value.to_string()).or_default();
        *count = count.saturating_add(1);
    }
    assert_eq!(asked.grouped(), groups, "{field}");
}

fn compared(one: &Json, other: &Json) -> std::cmp::Ordering {
    // Times of four-digit years sort as texts; NULL is the smallest.
    let key = |value: &Json| (value.as_bool(), value.as_str().map(str::to_owned));
    key(one).cmp(&key(other))
}

fn typed(value: &Json) -> Value {
    match value {
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::Timestamp(time::datetime_ms(text).unwrap()),
        Json::Null | Json::Number(_) | Json::Array(_) | Json::Object(_) => panic!("{value}"),
    }
}

struct Samples<'a, B> {
    ground: &'a Ground<B>,
    field: &'a str,
}

impl<B: Bench> Samples<'_, B> {
    fn action(&self, filter: Predicate, order: Option<SortKey>, limit: u32, cursor: Option<&str>) -> Action {
        Action::List {
            filter,
            order: order.into_iter().collect(),
            page: Page { number: 1, limit },
            total: Total::Skipped,
            projection: self.ground.fixture.projection("Sample", &["id", self.field]),
            includes: Vec::new(),
            cursor: cursor.map(|cursor| cursor.as_bytes().to_vec()),
        }
    }

    fn rows(&self, list: &Json) -> Vec<(i64, Json)> {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| (row["id"].as_i64().unwrap(), row[self.field].clone()))
            .collect()
    }

    fn listed(&self, filter: Predicate, order: Option<SortKey>) -> Vec<(i64, Json)> {
        let list = self
            .ground
            .run(ADMIN, "Sample", self.action(filter, order, 100, None));
        self.rows(&list.unwrap_or_else(|told| panic!("{}: {told:?}", self.field)))
    }

    /// One page more than there can be: a cursor that leads back would never end.
    fn paged(&self, key: SortKey, limit: u32, most: usize) -> Vec<(i64, Json)> {
        let cursors: Arc<dyn Places> = Arc::new(Cursors::new().unwrap());
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..=most {
            let action = self.action(Predicate::True, Some(key), limit, cursor.as_deref());
            let plan = self.ground.fixture.plan(ADMIN, "Sample", action);
            let list = json(
                &self
                    .ground
                    .bench
                    .run(&plan.with_places(&cursors).unwrap())
                    .unwrap(),
            );
            seen.extend(self.rows(&list));
            cursor = list["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        seen
    }

    fn grouped(&self) -> BTreeMap<String, u64> {
        let action = Action::Aggregate {
            filter: Predicate::True,
            groups: vec![self.ground.fixture.column("Sample", self.field)],
            count: Total::Counted,
            measures: Vec::new(),
            limit: 100,
        };
        let groups = self.ground.run(ADMIN, "Sample", action).unwrap();
        let groups = groups["data"].as_array().unwrap().iter();
        groups
            .map(|one| {
                (
                    one["group"][self.field].to_string(),
                    one["count"].as_u64().unwrap(),
                )
            })
            .collect()
    }
}

/// What is read of the times that [`FINE_TIMES`] are in each database.
pub(in crate::database) fn fine_times() -> Vec<(i64, Json)> {
    let times = [
        json!("2024-01-15T10:30:00.123Z"),
        json!("2024-01-15T10:30:00.123Z"),
        json!("2024-01-15T10:30:00.123Z"),
        json!("2024-01-15T10:30:00.124Z"),
        Json::Null,
        json!("2024-01-15T10:30:00.122Z"),
        json!("9999-12-31T23:59:59.999Z"),
        json!("9999-12-31T23:59:59.999Z"),
    ];
    (1..).zip(times).collect()
}

/// Samples whose times differ by less than ours do.
pub(in crate::database) const FINE_TIMES: &str = "INSERT INTO \"Sample\" (id, time) VALUES
    (1, '2024-01-15 10:30:00.123999'), (2, '2024-01-15 10:30:00.123'), (3, '2024-01-15 10:30:00.1235'), (4, '2024-01-15 10:30:00.124'),
    (5, NULL), (6, '2024-01-15 10:30:00.122999'), (7, '9999-12-31 23:59:59.999'), (8, '9999-12-31 23:59:59.999999')";

/// What is read of [`ANY_NUMBERS`].
pub(in crate::database) fn any_numbers() -> Vec<(i64, Json)> {
    let flags = [
        json!(false),
        json!(true),
        json!(true),
        json!(true),
        Json::Null,
        json!(false),
        json!(true),
    ];
    (1..).zip(flags).collect()
}

/// Samples whose flags are numbers of others.
pub(in crate::database) const ANY_NUMBERS: &str =
    "INSERT INTO \"Sample\" (id, flag) VALUES (1, 0), (2, 1), (3, 2), (4, -1), (5, NULL), (6, 0), (7, 127)";

/// That two times of one millisecond are equal beside one another; `made` gives notes such.
pub(in crate::database) fn times_of_one_millisecond_are_equal<B: Bench>(ground: &Ground<B>, made: &str) {
    ground.note(ALICE, &[("slug", crate::fixture::text("n"))]);
    ground.bench.execute(made);
    let [left, right] = ["createdAt", "updatedAt"].map(|name| ground.fixture.column("Note", name));
    for (op, holds) in OPERATORS {
        let filter = Predicate::CompareColumns { left, op, right };
        let count = ground.run(ADMIN, "Note", Action::Count { filter });
        assert_eq!(
            count,
            Ok(u64::from(holds(std::cmp::Ordering::Equal)).into()),
            "{op:?}"
        );
    }
}

/// That a row with what others stored in a field is answered with an error where the field is asked for, and only there.
pub(in crate::database) fn what_is_no_value_of_a_field_is_not_guessed<B: Bench>(
    ground: &Ground<B>,
    all: &[(&str, &str)],
) {
    let fixture = &ground.fixture;
    let refused = Err((Code::Internal, Vec::new()));
    for (field, stored) in all {
        ground.bench.execute("DELETE FROM \"Sample\"");
        ground.bench.execute(&format!(
            "INSERT INTO \"Sample\" (id, \"{field}\") VALUES (1, {stored})"
        ));
        let listed = |name| ground.run(ADMIN, "Sample", fixture.list("Sample", Predicate::True, &[name]));
        assert_eq!(listed(field), refused, "{field} {stored}");
        assert_eq!(
            listed("id").unwrap()["data"],
            json!([{"id": 1}]),
            "{field} {stored}"
        );
        // Of some there is no largest.
        if ["whole", "real", "exact", "day", "time"].contains(field) {
            let action = Action::Aggregate {
                filter: Predicate::True,
                groups: Vec::new(),
                count: Total::Skipped,
                measures: vec![Measure {
                    function: Function::Max,
                    column: fixture.column("Sample", field),
                }],
                limit: 1,
            };
            assert_eq!(
                ground.run(ADMIN, "Sample", action),
                refused,
                "largest {field} {stored}"
            );
        }
        // Anything that is not 0 is in the group of what is true.
        if *field != "flag" {
            let action = Action::Aggregate {
                filter: Predicate::True,
                groups: vec![fixture.column("Sample", field)],
                count: Total::Counted,
                measures: Vec::new(),
                limit: 1,
            };
            assert_eq!(
                ground.run(ADMIN, "Sample", action),
                refused,
                "group {field} {stored}"
            );
        }
    }
}
