//! What a predicate says of a row in memory. For policy tests; databases evaluate for themselves.

use std::cmp::Ordering;

use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Case, Predicate, TextPosition};
use dbal_shared::value::Value;

use crate::operators::holds;

/// Whether the row is selected; none where SQL would say unknown, and for linked rows, which are not at hand.
pub fn evaluate<'a>(predicate: &Predicate, row: &impl Fn(ColumnId) -> Option<&'a Value>) -> Option<bool> {
    evaluate_with(predicate, row, &|_| None)
}

/// The same with an answer for each [`Predicate::Related`]: never unknown where the linked rows are at hand.
pub fn evaluate_with<'a>(
    predicate: &Predicate,
    row: &impl Fn(ColumnId) -> Option<&'a Value>,
    related: &impl Fn(&Predicate) -> Option<bool>,
) -> Option<bool> {
    let known = |column: ColumnId| row(column).filter(|value| **value != Value::Null);
    match predicate {
        Predicate::True => Some(true),
        Predicate::False => Some(false),
        Predicate::Compare { column, op, value } => Some(holds(*op, order(known(*column)?, value)?)),
        Predicate::CompareColumns { left, op, right } => {
            Some(holds(*op, order(known(*left)?, known(*right)?)?))
        }
        // Known whatever the row holds: there is nothing to compare it with.
        Predicate::In { column: _, values } if values.is_empty() => Some(false),
        Predicate::In { column, values } => Some(values.contains(known(*column)?)),
        Predicate::Matches {
            column,
            position,
            text,
            case,
        } => {
            let Value::Text(value) = known(*column)? else {
                return None;
            };
            Some(match case {
                Case::Sensitive => matches(value, *position, text),
                Case::Insensitive => matches(&value.to_lowercase(), *position, &text.to_lowercase()),
            })
        }
        Predicate::IsNull { column } => Some(known(*column).is_none()),
        Predicate::Between { column, low, high } => {
            let value = known(*column)?;
            Some(order(low, value)?.is_le() && order(value, high)?.is_le())
        }
        Predicate::Related { .. } => related(predicate),
        Predicate::And(all) => fold(all, row, related, false),
        Predicate::Or(any) => fold(any, row, related, true),
        Predicate::Not(inner) => evaluate_with(inner, row, related).map(|is_true| !is_true),
    }
}

/// AND and OR: one `decisive` part decides; else an unknown part leaves the whole unknown.
fn fold<'a>(
    parts: &[Predicate],
    row: &impl Fn(ColumnId) -> Option<&'a Value>,
    related: &impl Fn(&Predicate) -> Option<bool>,
    decisive: bool,
) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match evaluate_with(part, row, related) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn matches(value: &str, position: TextPosition, text: &str) -> bool {
    match position {
        TextPosition::Contains => value.contains(text),
        TextPosition::StartsWith => value.starts_with(text),
        TextPosition::EndsWith => value.ends_with(text),
        TextPosition::Whole => value == text,
    }
}

/// How two values of one type are ordered; text by code points.
pub fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => {
            Some(left.cmp(right))
        }
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => Some(compare_decimals(left, right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Uuid(left), Value::Uuid(right)) => Some(left.cmp(right)),
        (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Decimal(_)
            | Value::Text(_)
            | Value::Uuid(_)
            | Value::Date(_)
            | Value::Timestamp(_)
            | Value::Json(_)
            | Value::Bytes(_)
            | Value::Earlier(_),
            _,
        ) => None,
    }
}

/// Canonical decimals: no leading zeros, so the longer whole part is the greater; no trailing ones, so fractions sort as text.
fn compare_decimals(left: &str, right: &str) -> Ordering {
    let magnitude = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.len(), whole.to_owned(), fraction.to_owned())
    };
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => magnitude(left).cmp(&magnitude(right)),
        (Some(left), Some(right)) => magnitude(right).cmp(&magnitude(left)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}
