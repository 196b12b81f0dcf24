//! What a plan costs, known before it is executed.

use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::plan::Action;

use crate::wellformed::Inspected;

/// Rows of a page that cost as much as one node of a filter.
const ROWS_PER_NODE: u32 = 10;
/// Nodes that cost as much as looking through a relation.
const NODES_PER_RELATION: u32 = 10;
/// Nodes that cost as much as a column that is grouped by or put into a number: it is read in every row.
const NODES_PER_AGGREGATE: u32 = 5;

/// What a plan costs: one, and one for each node and list value of its filter, for each sort key, for each row that is
/// made, and for each ten rows that are asked for.
pub(super) fn complexity(action: &Action, inspected: &Inspected) -> u32 {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let rest = match action {
        Action::FindFirst { order, .. } => count(order.len()),
        Action::List { order, page, .. } => {
            // What is asked beyond any answer is cut, not paid for: "all of them" is a usual way to say so.
            let rows = page.limit.min(ROWS_PER_ANSWER);
            count(order.len()).saturating_add(rows.div_ceil(ROWS_PER_NODE))
        }
        Action::Aggregate {
            groups,
            measures,
            limit,
            ..
        } => {
            let each = count(groups.len().saturating_add(measures.len()));
            let rows = if groups.is_empty() {
                0
            } else {
                (*limit).min(ROWS_PER_ANSWER).div_ceil(ROWS_PER_NODE)
            };
            each.saturating_mul(NODES_PER_AGGREGATE).saturating_add(rows)
        }
        Action::CreateMany { rows } => count(rows.len()),
        Action::Read { .. }
        | Action::Count { .. }
        | Action::Create { .. }
        | Action::Update { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => 0,
    };
    let relations = count(inspected.linked.len()).saturating_mul(NODES_PER_RELATION);
    let included_rows = u32::try_from(inspected.included_rows).unwrap_or(u32::MAX);
    let included = count(inspected.included_keys).saturating_add(included_rows.div_ceil(ROWS_PER_NODE));
    1_u32
        .saturating_add(count(inspected.nodes))
        .saturating_add(relations)
        .saturating_add(included)
        .saturating_add(rest)
}
