//! What a plan costs, known before it is executed. `docs/policy.md` has the table; one constant here is one line there.

use dbal_schema::Entity;
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::plan::{Action, SortKey};
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

/// The table's lines for one plan.
pub(super) fn cost(action: &Action, inspected: &Inspected, entity: &Entity) -> Cost {
    let mut cost = Cost::default();
    cost.add(Item::Plan, 1);
    cost.add(Item::FilterNodes, count(inspected.nodes));
    cost.add(
        Item::Relations,
        count(inspected.linked.len()).saturating_mul(RELATION),
    );
    cost.add(Item::SortKeys, count(inspected.included_keys));
    let included_rows = u32::try_from(inspected.included_rows).unwrap_or(u32::MAX);
    cost.add(Item::IncludedRows, included_rows.div_ceil(ROWS_PER_NODE));
    match action {
        Action::FindFirst { filter, order, .. } => {
            scan(&mut cost, filter, entity);
            sort(&mut cost, order, filter, entity);
        }
        Action::List {
            filter, order, page, ..
        } => {
            scan(&mut cost, filter, entity);
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
            if !groups.is_empty() {
                cost.add(Item::Rows, rows(*limit));
            }
        }
        Action::Count { filter } | Action::UpdateMany { filter, .. } | Action::DeleteMany { filter } => {
            scan(&mut cost, filter, entity);
        }
        Action::CreateMany { rows } => cost.add(Item::CreatedRows, count(rows.len())),
        Action::Read { .. }
        | Action::Create { .. }
        | Action::Update { .. }
        | Action::Delete { .. }
        | Action::Upsert { .. } => {}
    }
    cost
}

/// What is asked beyond any answer is cut, not paid for: "all of them" is a usual way to say so.
fn rows(limit: u32) -> u32 {
    limit.min(ROWS_PER_ANSWER).div_ceil(ROWS_PER_NODE)
}

fn scan(cost: &mut Cost, filter: &Predicate, entity: &Entity) {
    let is_free = *filter == Predicate::True || narrows(filter, entity);
    if !is_free {
        cost.add(Item::FilterWithoutIndex, WITHOUT_INDEX);
    }
    cost.add(Item::Searches, searches(filter));
}

fn sort(cost: &mut Cost, order: &[SortKey], filter: &Predicate, entity: &Entity) {
    cost.add(Item::SortKeys, count(order.len()));
    let is_led = order.first().is_none_or(|key| leads(key.column, entity));
    if !is_led && !finds_one(filter, entity) {
        cost.add(Item::OrderWithoutIndex, WITHOUT_INDEX);
    }
}

/// Whether an index leads to the filter's rows, or near them.
fn narrows(filter: &Predicate, entity: &Entity) -> bool {
    match filter {
        Predicate::False => true,
        Predicate::Compare { column, op, value: _ } => *op != Comparison::Ne && leads(*column, entity),
        Predicate::In { column, .. } | Predicate::IsNull { column } | Predicate::Between { column, .. } => {
            leads(*column, entity)
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

/// Whether an index begins with the column: its own, that of a foreign key, or one over several.
fn leads(column: ColumnId, entity: &Entity) -> bool {
    let has_own = |id| {
        entity
            .column(id)
            .is_some_and(|found| found.is_indexed || found.references.is_some())
    };
    entity.is_unique(column)
        || has_own(column)
        || entity
            .indexes
            .iter()
            .any(|index| index.columns.first() == Some(&column))
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
