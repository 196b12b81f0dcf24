//! Each database's answers against the policy's own evaluation, for random rows, filters, orders, pages, cursors, linked rows
//! and numbers.

mod made_up;
mod wanted;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use dbal_schema::{ColumnType, canonical_decimal};
use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Function, Include, Measure, Page, SortKey, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::Places;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};

use super::cases::Bench;
use crate::cursor::Cursors;
use crate::fixture::{ALICE, Fixture, json};
pub(super) use made_up::agree as finds_in_entities_that_are_made_up;
pub(super) use wanted::Folding;
use wanted::{filters, includes, orders, worlds};
use world::{Leaf, Of, Row, Sample, World, cell, compare, plain};

const ADMIN: (&str, &str) = (ALICE, "admin");

/// Worlds that each property is tried on: all of them together take some seconds.
const WORLDS: u32 = 24;

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: WORLDS,
        // A world takes long to make smaller on a real database.
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn either() -> impl Strategy<Value = Of> {
    select(vec![Sample, Leaf])
}

/// A list without its page.
#[derive(Clone, Debug)]
struct Wanted {
    of: Of,
    filter: Predicate,
    order: Vec<SortKey>,
    includes: Vec<Include>,
}

impl Wanted {
    fn action(&self, page: Page, total: Total, cursor: Option<&str>) -> Action {
        Action::List {
            filter: self.filter.clone(),
            order: self.order.clone(),
            page,
            total,
            projection: vec![ColumnId(0)],
            includes: self.includes.clone(),
            cursor: cursor.map(|cursor| cursor.as_bytes().to_vec()),
        }
    }
}

fn lists(folding: Folding) -> impl Strategy<Value = Wanted> {
    either().prop_flat_map(move |of| {
        (filters(of, folding), orders(of)).prop_map(move |(filter, order)| Wanted {
            of,
            filter,
            order,
            includes: Vec::new(),
        })
    })
}

fn keys<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Json> {
    rows.into_iter()
        .map(|row| json!({"id": plain(&row[0])}))
        .collect()
}

pub(super) fn selects_sorts_and_cuts_as_the_policy_evaluates<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let totals = select(vec![Total::Counted, Total::Skipped]);
    let queries = prop::collection::vec((lists(B::FOLDING), 1..4_u32, 1..9_u32, totals), 24);
    let outcome = runner().run(&(worlds(B::FOLDING), queries), |(world, queries)| {
        world.fill(&fixture, &bench);
        for (wanted, number, limit, total) in queries {
            let all = world.found(wanted.of, &wanted.filter, &wanted.order);
            let page = Page { number, limit };
            let action = wanted.action(page, total, None);
            let list = json(&bench.run(&fixture.plan(ADMIN, wanted.of.name(), action)).unwrap());
            let start = usize::try_from(page.offset()).unwrap().min(all.len());
            let end = start
                .saturating_add(usize::try_from(limit).unwrap())
                .min(all.len());
            let expected = keys(all[start..end].iter().copied());
            prop_assert_eq!(&list["data"], &json!(expected), "{:?}", &wanted);
            prop_assert_eq!(list["hasMore"].as_bool().unwrap(), end < all.len());
            if total == Total::Counted {
                prop_assert_eq!(list["total"].as_u64(), u64::try_from(all.len()).ok());
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

pub(super) fn pages_by_cursor_are_the_list<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let cursors: Arc<dyn Places> = Arc::new(Cursors::new().unwrap());
    let queries = prop::collection::vec((lists(B::FOLDING), 1..7_u32), 8);
    let outcome = runner().run(&(worlds(B::FOLDING), queries), |(world, queries)| {
        world.fill(&fixture, &bench);
        for (wanted, limit) in queries {
            let expected = keys(world.found(wanted.of, &wanted.filter, &wanted.order));
            let page = Page { number: 1, limit };
            let mut cursor: Option<String> = None;
            let mut seen: Vec<Json> = Vec::new();
            // One page more than there can be: a cursor that leads back would never end.
            for _ in 0..=expected.len() {
                let action = wanted.action(page, Total::Skipped, cursor.as_deref());
                let plan = fixture.plan(ADMIN, wanted.of.name(), action);
                let list = json(&bench.run(&plan.with_places(&cursors).unwrap()).unwrap());
                seen.extend(list["data"].as_array().unwrap().clone());
                cursor = list["nextCursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, expected, "{:?} by {}", &wanted, limit);
        }
        Ok(())
    });
    outcome.unwrap();
}

pub(super) fn brings_along_what_is_linked_in_memory<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let with_includes = lists(B::FOLDING).prop_flat_map(|wanted| {
        includes(wanted.of, 3, B::FOLDING).prop_map(move |includes| Wanted {
            includes,
            ..wanted.clone()
        })
    });
    let queries = prop::collection::vec(with_includes, 8);
    let outcome = runner().run(&(worlds(B::FOLDING), queries), |(world, queries)| {
        world.fill(&fixture, &bench);
        for wanted in queries {
            let found = world.found(wanted.of, &wanted.filter, &wanted.order);
            let objects = found.into_iter();
            let expected: Json = objects
                .map(|row| world.object(&fixture, wanted.of, row, &wanted.includes))
                .collect();
            let page = Page {
                number: 1,
                limit: 100,
            };
            let action = wanted.action(page, Total::Skipped, None);
            let list = json(&bench.run(&fixture.plan(ADMIN, wanted.of.name(), action)).unwrap());
            prop_assert_eq!(&list["data"], &expected, "{:?}", &wanted);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Numbers over rows that are wanted.
#[derive(Clone, Debug)]
struct Numbers {
    of: Of,
    filter: Predicate,
    groups: Vec<ColumnId>,
    measures: Vec<(Function, ColumnId)>,
    limit: u32,
}

fn numbers(folding: Folding) -> impl Strategy<Value = Numbers> {
    either().prop_flat_map(move |of| {
        let functions = [Function::Sum, Function::Average, Function::Min, Function::Max];
        let suitable: Vec<(Function, ColumnId)> = of
            .ids()
            .flat_map(|id| functions.map(|function| (function, id)))
            .filter(|(function, id)| of.kind(*id).suits(*function))
            // The last digits of their sums depend on the order in which a database adds.
            .filter(|(function, id)| {
                of.kind(*id) != ColumnType::Float || matches!(function, Function::Min | Function::Max)
            })
            .collect();
        let groups = subsequence(of.ids().collect::<Vec<_>>(), 0..3).prop_shuffle();
        let measures = subsequence(suitable, 0..5).prop_shuffle();
        let parts = (filters(of, folding), groups, measures, 1..9_u32);
        parts.prop_map(move |(filter, groups, measures, limit)| Numbers {
            of,
            filter,
            groups,
            measures,
            limit,
        })
    })
}

impl Numbers {
    /// The answer; none where a sum is too large.
    fn expected(&self, fixture: &Fixture, world: &World) -> Option<Json> {
        let found = world.found(self.of, &self.filter, &[]);
        let key = |row: &Row| -> Vec<Value> { self.groups.iter().map(|id| cell(row, *id).clone()).collect() };
        let mut groups: Vec<(Vec<Value>, Vec<&Row>)> = Vec::new();
        for row in found {
            let values = key(row);
            let is_same = |(other, _): &&mut (Vec<Value>, _)| {
                let pairs = values.iter().zip(other.iter());
                pairs
                    .into_iter()
                    .all(|(left, right)| compare(left, right).is_eq())
            };
            match groups.iter_mut().find(is_same) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((values, vec![row])),
            }
        }
        if self.groups.is_empty() {
            groups = vec![(
                Vec::new(),
                groups.into_iter().flat_map(|(_, rows)| rows).collect(),
            )];
        }
        groups.sort_by(|(left, _), (right, _)| {
            let pairs = left.iter().zip(right);
            pairs
                .map(|(left, right)| compare(left, right))
                .find(|one| one.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let limit = usize::try_from(self.limit).unwrap();
        let has_more = groups.len() > limit;
        groups.truncate(limit);
        let told: Option<Vec<Json>> = groups
            .iter()
            .map(|(values, rows)| self.group(fixture, values, rows))
            .collect();
        let told = told?;
        Some(if self.groups.is_empty() {
            told[0].clone()
        } else {
            json!({"data": told, "limit": self.limit, "hasMore": has_more})
        })
    }

    fn group(&self, fixture: &Fixture, values: &[Value], rows: &[&Row]) -> Option<Json> {
        let name = |id: ColumnId| &fixture.entity(self.of.name()).column(id).unwrap().name;
        let mut told = json!({"count": rows.len()});
        if !values.is_empty() {
            let named = self.groups.iter().zip(values);
            told["group"] = named
                .map(|(id, value)| (name(*id).clone(), plain(value)))
                .collect();
        }
        let mut by_function: BTreeMap<&str, serde_json::Map<String, Json>> = BTreeMap::new();
        for (function, id) in &self.measures {
            let cells = rows.iter().map(|row| cell(row, *id));
            let cells: Vec<&Value> = cells.filter(|value| **value != Value::Null).collect();
            let mut sum = 0_i128;
            for value in &cells {
                if let Value::Int(number) = value {
                    sum = sum.saturating_add(i128::from(*number));
                }
            }
            let is_decimal = self.of.kind(*id) == ColumnType::Decimal;
            let exact = if is_decimal {
                sum_of_decimals(&cells)
            } else {
                sum.to_string()
            };
            let (name_of, value) = match function {
                Function::Sum if cells.is_empty() => ("sum", Value::Null),
                Function::Sum if is_decimal => ("sum", Value::Decimal(exact)),
                Function::Sum => ("sum", Value::Int(i64::try_from(sum).ok()?)),
                Function::Average if cells.is_empty() => ("avg", Value::Null),
                Function::Average => {
                    let sum: f64 = exact.parse().unwrap();
                    let count: f64 = cells.len().to_string().parse().unwrap();
                    ("avg", Value::Float(sum / count))
                }
                Function::Min => {
                    let least = cells.iter().min_by(|left, right| compare(left, right));
                    ("min", least.map_or(Value::Null, |value| (**value).clone()))
                }
                Function::Max => {
                    let most = cells.iter().max_by(|left, right| compare(left, right));
                    ("max", most.map_or(Value::Null, |value| (**value).clone()))
                }
            };
            let members = by_function.entry(name_of).or_default();
            members.insert(name(*id).clone(), plain(&value));
        }
        for (function, members) in by_function {
            told[function] = Json::Object(members);
        }
        Some(told)
    }
}

/// Of decimals with no more than thirty digits behind the point.
fn sum_of_decimals(values: &[&Value]) -> String {
    const ONE: i128 = 10_i128.pow(30);
    let (mut whole, mut fraction) = (0_i128, 0_i128);
    for value in values {
        let Value::Decimal(text) = value else { continue };
        let sign = if text.starts_with('-') { "-" } else { "" };
        let digits = text.trim_start_matches('-');
        let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
        let number = |digits: String| -> i128 { format!("{sign}{digits}").parse().unwrap() };
        whole = whole.checked_add(number(before.to_owned())).unwrap();
        fraction = fraction.checked_add(number(format!("{behind:0<30}"))).unwrap();
    }
    whole = whole.checked_add(fraction.div_euclid(ONE)).unwrap();
    fraction = fraction.rem_euclid(ONE);
    let is_negative = whole < 0;
    if is_negative && fraction > 0 {
        whole = whole.checked_add(1).unwrap();
        fraction = ONE.checked_sub(fraction).unwrap();
    }
    let sign = if is_negative { "-" } else { "" };
    canonical_decimal(&format!("{sign}{}.{fraction:030}", whole.abs())).unwrap()
}

pub(super) fn numbers_are_those_of_the_rows<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let queries = prop::collection::vec(numbers(B::FOLDING), 16);
    let outcome = runner().run(&(worlds(B::FOLDING), queries), |(world, queries)| {
        world.fill(&fixture, &bench);
        for wanted in queries {
            let measure = |(function, column): &(Function, ColumnId)| Measure {
                function: *function,
                column: *column,
            };
            let action = Action::Aggregate {
                filter: wanted.filter.clone(),
                groups: wanted.groups.clone(),
                count: Total::Counted,
                measures: wanted.measures.iter().map(measure).collect(),
                limit: wanted.limit,
            };
            let told = bench.run(&fixture.plan(ADMIN, wanted.of.name(), action));
            if let Some(expected) = wanted.expected(&fixture, &world) {
                prop_assert_eq!(json(&told.unwrap()), expected, "{:?}", &wanted);
            } else {
                let failure = told.unwrap_err().into_refusal().failure;
                prop_assert_eq!(failure.code, Code::Invalid, "{:?}", &wanted);
                prop_assert_eq!(failure.fields.len(), 1);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

pub(super) fn every_type_comes_back_as_it_was_written<B: Bench>() {
    let fixture = Fixture::new();
    let bench = B::new(&fixture);
    let outcome = runner().run(&worlds(B::FOLDING), |world| {
        world.fill(&fixture, &bench);
        let entity = fixture.entity("Sample");
        let action = Action::List {
            filter: Predicate::True,
            order: Vec::new(),
            page: Page {
                number: 1,
                limit: 100,
            },
            total: Total::Skipped,
            projection: Sample.ids().collect(),
            includes: Vec::new(),
            cursor: None,
        };
        let list = json(&bench.run(&fixture.plan(ADMIN, "Sample", action)).unwrap());
        for (nth, row) in world.samples.iter().enumerate() {
            for (column, value) in Sample.ids().zip(row) {
                let name = &entity.column(column).unwrap().name;
                prop_assert_eq!(&list["data"][nth][name], &plain(value));
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

/// All properties, on one database.
macro_rules! agreement {
    ($bench:ty) => {
        #[test]
        fn it_selects_sorts_and_cuts_as_the_policy_evaluates() {
            $crate::database::agreement::selects_sorts_and_cuts_as_the_policy_evaluates::<$bench>();
        }

        #[test]
        fn it_finds_in_entities_that_are_made_up_what_the_policy_evaluates() {
            $crate::database::agreement::finds_in_entities_that_are_made_up::<$bench>();
        }

        #[test]
        fn its_pages_by_cursor_are_the_list() {
            $crate::database::agreement::pages_by_cursor_are_the_list::<$bench>();
        }

        #[test]
        fn it_brings_along_what_is_linked_in_memory() {
            $crate::database::agreement::brings_along_what_is_linked_in_memory::<$bench>();
        }

        #[test]
        fn its_numbers_are_those_of_the_rows() {
            $crate::database::agreement::numbers_are_those_of_the_rows::<$bench>();
        }

        #[test]
        fn every_type_comes_back_as_it_was_written() {
            $crate::database::agreement::every_type_comes_back_as_it_was_written::<$bench>();
        }
    };
}
pub(super) use agreement;
