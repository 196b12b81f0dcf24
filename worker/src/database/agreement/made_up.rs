//! Entities of random shape: keys and columns of other types, null or not, with and without an index, by names of the
//! database's own that need quotes. What is found in them is what the policy's evaluation finds.

use std::cmp::Ordering;
use std::fmt::Write;

use dbal_policy::evaluate;
use dbal_schema::ColumnType;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Page, SortKey, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};

use super::wanted::{ENUM, Folding, conditions_over, orders_over, value};
use super::world::{Row, cell, compare, directed, plain};
use super::{ADMIN, runner};
use crate::database::cases::Bench;
use crate::fixture::{Fixture, json};

/// Entities that are made up for each database, all at once: tables take longer than rows.
const ENTITIES: usize = 6;
/// Sets of rows that each is tried with.
const WORLDS: u32 = 3;

/// Columns of these are made up.
const KINDS: [ColumnType; 12] = [
    ColumnType::Integer,
    ColumnType::Bigint,
    ColumnType::Float,
    ColumnType::Decimal,
    ColumnType::Boolean,
    ColumnType::String,
    ColumnType::Text,
    ColumnType::Enum,
    ColumnType::Date,
    ColumnType::Datetime,
    ColumnType::Uuid,
    ColumnType::Bytes,
];

/// Names of columns in the database: words of SQL, and what is a name only in quotes.
const NAMES: [&str; 8] = [
    "select",
    "Order",
    "with space",
    "a-b",
    "ü",
    "1st",
    "group_id",
    "null",
];

/// One entity. The key is its first column.
#[derive(Clone, Debug)]
struct MadeUp {
    nth: usize,
    columns: Vec<MadeColumn>,
}

#[derive(Clone, Debug)]
struct MadeColumn {
    kind: ColumnType,
    is_nullable: bool,
    is_indexed: bool,
    /// What the database calls it.
    name: Option<&'static str>,
}

fn columns() -> impl Strategy<Value = Vec<MadeColumn>> {
    let keys = select(vec![
        ColumnType::Integer,
        ColumnType::Bigint,
        ColumnType::Uuid,
        ColumnType::String,
    ]);
    let kinds = subsequence(KINDS.to_vec(), 1..7).prop_shuffle();
    let names = Just(NAMES.to_vec()).prop_shuffle();
    let flags = prop::collection::vec(any::<[bool; 3]>(), NAMES.len());
    (keys, kinds, names, flags).prop_map(|(key, kinds, names, flags)| {
        let kinds = std::iter::once(key).chain(kinds);
        let parts = kinds.zip(names).zip(flags).enumerate();
        parts
            .map(
                |(nth, ((kind, name), [is_nullable, is_indexed, is_mapped]))| MadeColumn {
                    kind,
                    is_nullable: is_nullable && nth > 0,
                    is_indexed: is_indexed
                        && nth > 0
                        && !matches!(kind, ColumnType::Text | ColumnType::Bytes),
                    name: is_mapped.then_some(name),
                },
            )
            .collect()
    })
}

impl MadeUp {
    fn name(&self) -> String {
        format!("Made{}", self.nth)
    }

    /// In the database.
    fn table(&self) -> String {
        format!("made up {}", self.nth)
    }

    fn kinds(&self) -> Vec<ColumnType> {
        self.columns.iter().map(|column| column.kind).collect()
    }

    fn ids(&self) -> impl Iterator<Item = ColumnId> + use<> {
        (0..self.columns.len()).map(|nth| ColumnId(u16::try_from(nth).unwrap()))
    }

    /// As an entity file says it.
    fn file(&self) -> String {
        let mut file = format!(
            "---\nentity: {}\ntable: \"{}\"\nfields:\n",
            self.name(),
            self.table()
        );
        for (nth, column) in self.columns.iter().enumerate() {
            let MadeColumn {
                kind,
                is_nullable,
                is_indexed,
                name,
            } = column;
            let mut said = vec![format!("type: {}", kind.name())];
            said.push(match (nth, is_nullable) {
                (0, _) => "primary: true".to_owned(),
                (_, true) => "nullable: true".to_owned(),
                (_, false) => "required: true".to_owned(),
            });
            if *is_indexed {
                said.push("index: true".to_owned());
            }
            if let Some(name) = name {
                said.push(format!("column: \"{name}\""));
            }
            if *kind == ColumnType::Enum {
                said.push(format!("values: {}", json!(ENUM)));
            } else if *kind == ColumnType::String {
                said.push("max_length: 40".to_owned());
            }
            writeln!(file, "  f{nth}: {{{}}}", said.join(", ")).unwrap();
        }
        file
    }

    fn rule(&self) -> String {
        format!(
            "  - {{id: made-{}, entity: {}, roles: [admin], operations: [read, list, create], fields: {{read: [\"*\"], write: [\"*\", f0]}}}}\n",
            self.nth,
            self.name()
        )
    }

    /// Rows with keys of their own, not in the order of their numbers.
    fn rows(&self, folding: Folding) -> impl Strategy<Value = Vec<Row>> + use<> {
        let cells: Vec<_> = self.columns[1..]
            .iter()
            .map(|column| {
                let value = value(column.kind, folding);
                if column.is_nullable {
                    prop_oneof![1 => Just(Value::Null), 4 => value].boxed()
                } else {
                    value
                }
            })
            .collect();
        let kind = self.columns[0].kind;
        prop::collection::vec(cells, 0..16).prop_map(move |rows| {
            let keyed = |(nth, mut row): (usize, Row)| {
                row.insert(0, key(kind, nth));
                row
            };
            rows.into_iter().enumerate().map(keyed).collect()
        })
    }

    /// What is asked of them.
    fn lists(&self, folding: Folding) -> impl Strategy<Value = (Predicate, Vec<SortKey>, Page)> + use<> {
        let page = (1..3_u32, 1..9_u32).prop_map(|(number, limit)| Page { number, limit });
        let kinds = self.kinds();
        let sortable = self.ids().filter(|id| kinds[usize::from(id.0)].is_sortable());
        let orders = orders_over(sortable.collect());
        (conditions_over(kinds, folding), orders, page)
    }

    fn fill(&self, rows: &[Row], fixture: &Fixture, bench: &impl Bench) {
        bench.execute(&format!("DELETE FROM \"{}\"", self.table()));
        let given = |row: &Row| {
            let cells = self.ids().zip(row).filter(|(_, value)| **value != Value::Null);
            let assigned = cells.map(|(column, value)| Assignment {
                column,
                value: value.clone(),
            });
            assigned.collect()
        };
        let rows = rows.iter().map(given).collect();
        let plan = fixture.plan(ADMIN, &self.name(), Action::CreateMany { rows });
        bench.run(&plan).unwrap();
    }
}

/// As it is answered.
fn object(row: &Row) -> Json {
    let cells = row.iter().enumerate();
    cells
        .map(|(nth, value)| (format!("f{nth}"), plain(value)))
        .collect()
}

/// The key of the row with this number.
fn key(kind: ColumnType, nth: usize) -> Value {
    let number = i64::try_from(nth).unwrap();
    // Each of 0 to 15 once.
    let scattered = number.wrapping_mul(7).rem_euclid(16);
    if kind == ColumnType::Uuid {
        return Value::Uuid([u8::try_from(scattered).unwrap().wrapping_mul(17); 16]);
    }
    if kind == ColumnType::String {
        // Of several lengths, in both cases, and after one another in no order but that of code points.
        let begin = ["a", "A", "ä", "_", "Z ", "😀"][nth.rem_euclid(6)];
        return Value::Text(format!("{begin}{scattered}"));
    }
    Value::Int(scattered.saturating_sub(8))
}

fn found<'a>(rows: &'a [Row], filter: &Predicate, order: &[SortKey]) -> Vec<&'a Row> {
    let holds = |row: &&Row| evaluate(filter, &|column| row.get(usize::from(column.0))) == Some(true);
    let mut found: Vec<&Row> = rows.iter().filter(holds).collect();
    found.sort_by(|left, right| {
        let keys = order.iter().map(|SortKey { column, direction }| {
            directed(*direction, compare(cell(left, *column), cell(right, *column)))
        });
        keys.fold(Ordering::Equal, Ordering::then)
            .then(compare(&left[0], &right[0]))
    });
    found
}

pub(in crate::database) fn agree<B: Bench>() {
    let made = prop::collection::vec(columns(), ENTITIES).new_tree(&mut runner());
    let entities: Vec<MadeUp> = made
        .unwrap()
        .current()
        .into_iter()
        .enumerate()
        .map(|(nth, columns)| MadeUp { nth, columns })
        .collect();
    let all = |part: fn(&MadeUp) -> String| entities.iter().map(part).collect::<String>();
    let fixture = Fixture::with(&all(MadeUp::file), &all(MadeUp::rule));
    let bench = B::new(&fixture);
    for entity in &entities {
        let queries = prop::collection::vec(entity.lists(B::FOLDING), 12);
        let mut runner = TestRunner::new(ProptestConfig {
            cases: WORLDS,
            ..runner().config().clone()
        });
        let outcome = runner.run(&(entity.rows(B::FOLDING), queries), |(rows, queries)| {
            entity.fill(&rows, &fixture, &bench);
            for (filter, order, page) in queries {
                let said = format!("{filter:?} {order:?} {page:?} of {}", entity.file());
                let all = found(&rows, &filter, &order);
                let (start, limit) = (
                    usize::try_from(page.offset()).unwrap(),
                    usize::try_from(page.limit).unwrap(),
                );
                let expected: Vec<Json> = all
                    .iter()
                    .skip(start)
                    .take(limit)
                    .map(|row| object(row))
                    .collect();
                let list = Action::List {
                    filter,
                    order,
                    page,
                    total: Total::Counted,
                    projection: entity.ids().collect(),
                    includes: Vec::new(),
                    cursor: None,
                };
                let told = json(&bench.run(&fixture.plan(ADMIN, &entity.name(), list)).unwrap());
                prop_assert_eq!(&told["data"], &json!(expected), "{}", &said);
                prop_assert_eq!(told["total"].as_u64(), u64::try_from(all.len()).ok(), "{}", &said);
            }
            Ok(())
        });
        outcome.unwrap();
    }
}
