//! Each database's answers against the policy's own evaluation, for random rows, filters, orders and pages.

use std::cmp::Ordering;

use dbal_policy::evaluate;
use dbal_schema::json_text;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Direction, Page, SortKey, Total};
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::value::Value;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::cases::Bench;
use super::sqlite::functions;
use crate::fixture::{ALICE, Fixture, json};

const ADMIN: (&str, &str) = (ALICE, "admin");
/// Columns of the entity `Sample` that can be compared: all but the key and json.
const COMPARED: std::ops::Range<u16> = 1..10;
const TEXT: ColumnId = ColumnId(5);
const FLAG: u16 = 4;
const BYTES: u16 = 9;

type Row = Vec<Value>;

/// Few values, so that filters hit.
fn value(column: u16) -> BoxedStrategy<Value> {
    match column {
        1 => prop_oneof![Just(i64::MIN), -2..3_i64, Just(i64::MAX)]
            .prop_map(Value::Int)
            .boxed(),
        2 => prop_oneof![Just(-0.0), Just(0.0), Just(1.5), Just(-1e300), Just(1e300)]
            .prop_map(Value::Float)
            .boxed(),
        3 => prop_oneof![
            Just("-10"),
            Just("-9.5"),
            Just("0"),
            Just("0.5"),
            Just("9"),
            Just("10"),
            Just("12345678901234567890.1"),
            Just("12345678901234567890.2")
        ]
        .prop_map(|text| Value::Decimal(text.to_owned()))
        .boxed(),
        4 => any::<bool>().prop_map(Value::Bool).boxed(),
        5 => words().prop_map(Value::Text).boxed(),
        6 => (-2..3_i32)
            .prop_map(|day| Value::Date(day.saturating_mul(40_000)))
            .boxed(),
        7 => (-2..3_i64)
            .prop_map(|nth| Value::Timestamp(nth.saturating_mul(1_234_567_890_123)))
            .boxed(),
        8 => (0..3_u8)
            .prop_map(|byte| Value::Uuid([byte.wrapping_mul(127); 16]))
            .boxed(),
        _ => prop::collection::vec(0..2_u8, 0..3)
            .prop_map(Value::Bytes)
            .boxed(),
    }
}

fn words() -> BoxedStrategy<String> {
    prop::sample::select(vec![
        "", " ", "a", "a ", "A", "ab", "b%", "_", "ä", "Äb", "'", "\"", "ß", "é?", "e\u{301}", "\\",
        "\u{ffee}", "😀",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

fn row() -> impl Strategy<Value = Row> {
    let cells: Vec<_> = COMPARED
        .map(|column| prop_oneof![1 => Just(Value::Null), 4 => value(column)].boxed())
        .collect();
    cells
}

fn filter() -> impl Strategy<Value = Predicate> {
    let leaf = COMPARED.prop_flat_map(|column| {
        let id = ColumnId(column);
        // What the policy lets be compared (dbal-policy's table of operators).
        let is_ordered = column != FLAG && column != BYTES;
        let mut ops = vec![Comparison::Eq, Comparison::Ne];
        if is_ordered {
            ops.extend([Comparison::Lt, Comparison::Lte, Comparison::Gt, Comparison::Gte]);
        }
        let ops = prop::sample::select(ops);
        let positions = prop::sample::select(vec![
            TextPosition::Contains,
            TextPosition::StartsWith,
            TextPosition::EndsWith,
            TextPosition::Whole,
        ]);
        prop_oneof![
            (ops.clone(), value(column)).prop_map(move |(op, value)| Predicate::Compare {
                column: id,
                op,
                value
            }),
            prop::collection::vec(value(column), 1..4)
                .prop_map(move |values| Predicate::In { column: id, values }),
            Just(Predicate::IsNull { column: id }),
            (value(column), value(column)).prop_map(move |(low, high)| {
                if is_ordered {
                    Predicate::Between {
                        column: id,
                        low,
                        high,
                    }
                } else {
                    Predicate::IsNull { column: id }
                }
            }),
            ops.prop_map(move |op| Predicate::CompareColumns {
                left: id,
                op,
                right: id
            }),
            (positions, words(), any::<bool>()).prop_map(|(position, text, is_sensitive)| {
                Predicate::Matches {
                    column: TEXT,
                    position,
                    text,
                    case: if is_sensitive {
                        Case::Sensitive
                    } else {
                        Case::Insensitive
                    },
                }
            }),
            Just(Predicate::True),
            Just(Predicate::False),
        ]
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::Or),
            inner.prop_map(|predicate| Predicate::Not(Box::new(predicate))),
        ]
    })
}

fn order() -> impl Strategy<Value = Vec<SortKey>> {
    prop::sample::subsequence((COMPARED.start..BYTES).collect::<Vec<_>>(), 0..4).prop_flat_map(|columns| {
        let directions = prop::collection::vec(any::<bool>(), columns.len());
        directions.prop_map(move |directions| {
            let keys = columns.iter().zip(directions);
            keys.map(|(column, is_ascending)| SortKey {
                column: ColumnId(*column),
                direction: if is_ascending {
                    Direction::Ascending
                } else {
                    Direction::Descending
                },
            })
            .collect()
        })
    })
}

fn fill(fixture: &Fixture, bench: &impl Bench, rows: &[Row]) {
    bench.execute("DELETE FROM \"Sample\"");
    for (nth, row) in rows.iter().enumerate() {
        let mut values = vec![dbal_shared::plan::Assignment {
            column: ColumnId(0),
            value: Value::Int(i64::try_from(nth).unwrap()),
        }];
        for (column, value) in COMPARED.zip(row).filter(|(_, value)| **value != Value::Null) {
            values.push(dbal_shared::plan::Assignment {
                column: ColumnId(column),
                value: value.clone(),
            });
        }
        let action = Action::Create {
            values,
            projection: Vec::new(),
        };
        bench.run(&fixture.plan(ADMIN, "Sample", action)).unwrap();
    }
}

/// NULL first, then as the type orders.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(left), Value::Int(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => {
            left.cmp(right)
        }
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap(),
        (Value::Decimal(left), Value::Decimal(right)) => functions::compare_decimals(left, right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::Uuid(left), Value::Uuid(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (left, right) => panic!("{left:?} {right:?}"),
    }
}

fn expected(rows: &[Row], filter: &Predicate, order: &[SortKey]) -> Vec<usize> {
    let cell =
        |nth: usize, column: ColumnId| &rows[nth][usize::from(column.0.saturating_sub(COMPARED.start))];
    let mut found: Vec<usize> = (0..rows.len())
        .filter(|nth| evaluate(filter, &|column| Some(cell(*nth, column))) == Some(true))
        .collect();
    found.sort_by(|left, right| {
        let by_keys = order.iter().map(|SortKey { column, direction }| {
            let ordering = compare(cell(*left, *column), cell(*right, *column));
            match direction {
                Direction::Ascending => ordering,
                Direction::Descending => ordering.reverse(),
            }
        });
        by_keys
            .fold(Ordering::Equal, Ordering::then)
            .then(left.cmp(right))
    });
    found
}

pub(super) fn selects_sorts_and_cuts_as_the_policy_evaluates<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        ..ProptestConfig::default()
    });
    let queries = prop::collection::vec((filter(), order(), 1..4_u32, 1..9_u32, any::<bool>()), 20);
    let case = (prop::collection::vec(row(), 0..25), queries);
    let outcome = runner.run(&case, |(rows, queries)| {
        fill(&fixture, &bench, &rows);
        for (filter, order, number, limit, is_counted) in queries {
            let all = expected(&rows, &filter, &order);
            let page = Page { number, limit };
            let action = Action::List {
                filter: filter.clone(),
                order,
                page,
                total: if is_counted {
                    Total::Counted
                } else {
                    Total::Skipped
                },
                projection: vec![ColumnId(0)],
                includes: Vec::new(),
                cursor: None,
            };
            let list = json(&bench.run(&fixture.plan(ADMIN, "Sample", action)).unwrap());
            let found: Vec<usize> = list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| usize::try_from(row["id"].as_u64().unwrap()).unwrap())
                .collect();
            let start = usize::try_from(page.offset()).unwrap().min(all.len());
            let end = start
                .saturating_add(usize::try_from(limit).unwrap())
                .min(all.len());
            prop_assert_eq!(&found, &all[start..end], "{:?}", &filter);
            prop_assert_eq!(list["hasMore"].as_bool().unwrap(), end < all.len());
            if is_counted {
                prop_assert_eq!(list["total"].as_u64(), u64::try_from(all.len()).ok());
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

pub(super) fn every_type_comes_back_as_it_was_written<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 20,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&prop::collection::vec(row(), 1..20), |rows| {
        fill(&fixture, &bench, &rows);
        let entity = fixture.entity("Sample");
        let action = Action::List {
            filter: Predicate::True,
            order: Vec::new(),
            page: Page {
                number: 1,
                limit: 100,
            },
            total: Total::Skipped,
            projection: COMPARED.map(ColumnId).collect(),
            includes: Vec::new(),
            cursor: None,
        };
        let list = json(&bench.run(&fixture.plan(ADMIN, "Sample", action)).unwrap());
        for (nth, row) in rows.iter().enumerate() {
            for (column, value) in COMPARED.zip(row) {
                let column = entity.column(ColumnId(column)).unwrap();
                let mut written = String::new();
                json_text::push_value(column, value, &mut written);
                let written: serde_json::Value = serde_json::from_str(&written).unwrap();
                prop_assert_eq!(&list["data"][nth][&column.name], &written);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Both properties, on one database.
macro_rules! agreement {
    ($bench:ty) => {
        #[test]
        fn it_selects_sorts_and_cuts_as_the_policy_evaluates() {
            $crate::database::agreement::selects_sorts_and_cuts_as_the_policy_evaluates::<$bench>();
        }

        #[test]
        fn every_type_comes_back_as_it_was_written() {
            $crate::database::agreement::every_type_comes_back_as_it_was_written::<$bench>();
        }
    };
}
pub(super) use agreement;
