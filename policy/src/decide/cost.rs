//! What a plan costs, known before it is executed. `docs/policy.md` has the table; one constant here is one line there.

use dbal_schema::{Entity, Schema};
use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::plan::{Action, Include, SortKey, Total};
use dbal_shared::predicate::{Comparison, Predicate};

use crate::cost::{Cost, Item};
use crate::wellformed::Inspected;

/// Rows that are asked for and cost as much as one node of a filter.
const ROWS_PER_NODE: u32 = 10;
/// Rows before a page that cost as much as one node: they are found and thrown away.
const SKIPPED_ROWS_PER_NODE: u64 = 1_000;
/// Looking through a relation, or including it: a join, or a statement of its own.
const RELATION: u32 = 10;
/// A search within a text: no index helps.
const SEARCH: u32 = 5;
/// A filter or an order that no index leads to: every row is looked at.
const WITHOUT_INDEX: u32 = 20;
/// A column that is grouped by or put into a number: it is read in every row.
const AGGREGATE: u32 = 5;
/// Counting rows, or making numbers of them: no limit ends it, and an index may lead to every row there is.
const COUNTED: u32 = 10;
/// Changing or removing rows that no unique field names: as many as there are, each with its indexes.
const WRITTEN: u32 = 50;

/// How many of the rows that fit a filter are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// No more than a limit asks for.
    Limited,
    /// Each of them.
    Every,
}

/// The table's lines for one plan.
pub(super) fn cost(action: &Action, inspected: &Inspected, entity: &Entity, schema: &Schema) -> Cost {
    let mut cost = Cost::default();
    cost.add(Item::Plan, 1);
    cost.add(Item::FilterNodes, count(inspected.nodes));
    cost.add(
        Item::Relations,
        count(inspected.linked.len()).saturating_mul(RELATION),
    );
    let included_rows = u32::try_from(inspected.included_rows).unwrap_or(u32::MAX);
    cost.add(Item::IncludedRows, included_rows.div_ceil(ROWS_PER_NODE));
    match action {
        Action::FindFirst {
            filter,
            order,
            includes,
            ..
        } => {
            scan(&mut cost, filter, entity, Reach::Limited);
            sort(&mut cost, order, filter, entity);
            included(&mut cost, includes, schema);
        }
        Action::List {
            filter,
            order,
            page,
            total,
            includes,
            ..
        } => {
            match total {
                Total::Counted => {
                    scan(&mut cost, filter, entity, Reach::Every);
                    counted(&mut cost, filter, entity);
                }
                Total::Skipped => scan(&mut cost, filter, entity, Reach::Limited),
            }
            included(&mut cost, includes, schema);
            sort(&mut cost, order, filter, entity);
            cost.add(Item::Rows, rows(page.limit));
            let skipped = page.offset().div_euclid(SKIPPED_ROWS_PER_NODE);
            cost.add(Item::SkippedRows, u32::try_from(skipped).unwrap_or(u32::MAX));
        }
        Action::Aggregate {
            filter,
            groups,
            measures,
            limit,
            ..
        } => {
            let columns = count(groups.len().saturating_add(measures.len()));
            cost.add(Item::AggregatedFields, columns.saturating_mul(AGGREGATE));
            cost.add(Item::Searches, searches(filter));
            // Numbers over all rows look at all rows.
            if !narrows(filter, entity) {
                cost.add(Item::AggregateWithoutIndex, WITHOUT_INDEX);
            }
            counted(&mut cost, filter, entity);
            if !groups.is_empty() {
                cost.add(Item::Rows, rows(*limit));
            }
        }
        Action::Count { filter } => {
            scan(&mut cost, filter, entity, Reach::Every);
            counted(&mut cost, filter, entity);
        }
        Action::UpdateMany { filter, .. } | Action::DeleteMany { filter } => {
            scan(&mut cost, filter, entity, Reach::Every);
            if !names(filter, entity) {
                cost.add(Item::WrittenRows, WRITTEN);
            }
        }
        Action::Read { includes, .. } => included(&mut cost, includes, schema),
        Action::CreateMany { rows } => cost.add(Item::CreatedRows, count(rows.len())),
        Action::Create { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Upsert { .. } => {}
    }
    cost
}

/// What is asked beyond any answer is cut, not paid for: "all of them" is a usual way to say so.
fn rows(limit: u32) -> u32 {
    limit.min(ROWS_PER_ANSWER).div_ceil(ROWS_PER_NODE)
}

/// Filters and orders of linked rows; an index leads to all rows of one link, not to those among them that are asked for.
/// As deep as `inspect` let them be.
fn included(cost: &mut Cost, includes: &[Include], schema: &Schema) {
    for include in includes {
        if let Some(entity) = schema.entity(include.link.entity) {
            scan(cost, &include.filter, entity, Reach::Limited);
            sort(cost, &include.order, &include.filter, entity);
        }
        included(cost, &include.includes, schema);
    }
}

fn counted(cost: &mut Cost, filter: &Predicate, entity: &Entity) {
    if !names(filter, entity) {
        cost.add(Item::CountedRows, COUNTED);
    }
}

fn scan(cost: &mut Cost, filter: &Predicate, entity: &Entity, reach: Reach) {
    // The first rows of all are the first that are read.
    let is_first_of_all = *filter == Predicate::True && reach == Reach::Limited;
    let is_free = is_first_of_all || narrows(filter, entity);
    if !is_free {
        cost.add(Item::FilterWithoutIndex, WITHOUT_INDEX);
    }
    cost.add(Item::Searches, searches(filter));
}

fn sort(cost: &mut Cost, order: &[SortKey], filter: &Predicate, entity: &Entity) {
    cost.add(Item::SortKeys, count(order.len()));
    let is_led = order
        .first()
        .is_none_or(|key| entity.has_index_led_by(key.column));
    if !is_led && !finds_one(filter, entity) {
        cost.add(Item::OrderWithoutIndex, WITHOUT_INDEX);
    }
}

/// Whether an index leads to the filter's rows, or near them.
fn narrows(filter: &Predicate, entity: &Entity) -> bool {
    match filter {
        Predicate::False => true,
        Predicate::Compare { column, op, value: _ } => {
            *op != Comparison::Ne && entity.has_index_led_by(*column)
        }
        Predicate::In { column, .. } | Predicate::IsNull { column } | Predicate::Between { column, .. } => {
            entity.has_index_led_by(*column)
        }
        Predicate::And(parts) => parts.iter().any(|part| narrows(part, entity)),
        Predicate::Or(parts) => parts.iter().all(|part| narrows(part, entity)),
        Predicate::True
        | Predicate::CompareColumns { .. }
        | Predicate::Matches { .. }
        | Predicate::Related { .. }
        | Predicate::Not(_) => false,
    }
}

/// Whether unique fields name the rows: there are no more of them than values in the filter.
fn names(filter: &Predicate, entity: &Entity) -> bool {
    match filter {
        Predicate::In { column, values: _ } => entity.is_unique(*column),
        Predicate::And(parts) => parts.iter().any(|part| names(part, entity)),
        Predicate::Or(parts) => parts.iter().all(|part| names(part, entity)),
        Predicate::False
        | Predicate::True
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. }
        | Predicate::Related { .. }
        | Predicate::Not(_) => finds_one(filter, entity),
    }
}

/// Whether there is one row at most to sort.
fn finds_one(filter: &Predicate, entity: &Entity) -> bool {
    match filter {
        Predicate::Compare {
            column,
            op: Comparison::Eq,
            value: _,
        } => entity.is_unique(*column),
        Predicate::And(parts) => parts.iter().any(|part| finds_one(part, entity)),
        Predicate::False => true,
        Predicate::True
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. }
        | Predicate::Related { .. }
        | Predicate::Or(_)
        | Predicate::Not(_) => false,
    }
}

fn searches(filter: &Predicate) -> u32 {
    match filter {
        Predicate::Matches { .. } => SEARCH,
        Predicate::And(parts) | Predicate::Or(parts) => {
            parts.iter().map(searches).fold(0, u32::saturating_add)
        }
        Predicate::Not(inner) => searches(inner),
        Predicate::Related { predicate, .. } => searches(predicate),
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. } => 0,
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
