//! What a field allows against what its column takes and gives: rights, lengths, numbers, lists of values.

use dbal_schema::{Bound, Column, ColumnType};
use dbal_shared::value::Value;

use super::{Report, Weight};
use crate::database::catalog::Column as Found;

pub(super) fn compare(column: &Column, found: &Found, report: &mut Report<'_>) {
    readable(column, found, report);
    length(column, found, report);
    range(column, found, report);
    values(column, found, report);
}

fn length(column: &Column, found: &Found, report: &mut Report<'_>) {
    let Some(most) = found.max_length else {
        return;
    };
    let longest = column
        .rules
        .values
        .iter()
        .map(|value| value.chars().count())
        .max();
    let longest = longest.and_then(|longest| u64::try_from(longest).ok());
    let wanted = longest.or(column.rules.max_length).or(match column.kind {
        ColumnType::Email => Some(254),
        ColumnType::Cuid => Some(32),
        ColumnType::String | ColumnType::Text | ColumnType::Bytes => Some(u64::MAX),
        ColumnType::Uuid
        | ColumnType::Enum
        | ColumnType::Integer
        | ColumnType::Bigint
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json => None,
    });
    if wanted.is_some_and(|wanted| wanted > most) {
        report.add(
            Weight::Matters,
            Some(column),
            format!("the field allows longer values than the {most} that the database takes"),
            &format!("say `max_length: {most}`"),
            None,
        );
    }
}

fn readable(column: &Column, found: &Found, report: &mut Report<'_>) {
    if !found.is_readable {
        report.add(
            Weight::Refuses,
            Some(column),
            "the worker's user has no right to read it".to_owned(),
            "grant SELECT on the table, or leave the field out",
            None,
        );
    }
}

fn range(column: &Column, found: &Found, report: &mut Report<'_>) {
    let (Some((least, most)), Some((smallest, largest))) = (found.range, integers(column)) else {
        return;
    };
    if smallest < least || largest > most {
        let (smallest, largest) = (smallest.max(least), largest.min(most));
        report.add(
            Weight::Matters,
            Some(column),
            format!("the field allows numbers beyond the {least} to {most} that the database takes"),
            &format!("say `min: {smallest}, max: {largest}`"),
            None,
        );
    }
}

/// Smallest and largest number of a field of whole ones.
fn integers(column: &Column) -> Option<(i64, i64)> {
    let (least, most) = column.kind.whole_numbers()?;
    let bound = |bound: &Option<Bound>| {
        let Value::Int(value) = bound.as_ref()?.value else {
            return None;
        };
        Some(value)
    };
    Some((
        bound(&column.rules.min).map_or(least, |min| min.max(least)),
        bound(&column.rules.max).map_or(most, |max| max.min(most)),
    ))
}

fn values(column: &Column, found: &Found, report: &mut Report<'_>) {
    if found.values.is_empty() {
        return;
    }
    let refused = column
        .rules
        .values
        .iter()
        .filter(|value| !found.values.contains(value));
    let refused: Vec<String> = refused.map(|value| format!("`{value}`")).collect();
    if column.rules.values.is_empty() {
        report.add(
            Weight::Matters,
            Some(column),
            "the database has a list of the values that it takes, and the field takes any".to_owned(),
            &format!("say `type: enum, values: [{}]`", found.values.join(", ")),
            None,
        );
    } else if !refused.is_empty() {
        report.add(
            Weight::Matters,
            Some(column),
            format!(
                "the database does not take {}, which the field takes",
                refused.join(", ")
            ),
            "take them out of `values`, or add them there",
            None,
        );
    }
}
