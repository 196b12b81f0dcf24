//! One field's condition: `{field: value}` or `{field: {operator: value, …}}`. Each operator has one arm.

use dbal_schema::Column;
use dbal_shared::json::Json;
use dbal_shared::limits::IN_LIST_VALUES;
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::value::Value;

use super::arguments::shown;
use super::earlier;
use super::scope::Scope;
use crate::refusal::FieldFault;

/// All operators, for error texts.
const OPERATORS: &str =
    "eq, ne, gt, gte, lt, lte, in, notIn, contains, startsWith, endsWith, between, isNull";

/// The condition on one column, or everything that is wrong with it.
pub(super) fn condition(
    scope: &Scope<'_>,
    column: &Column,
    json: &Json,
    path: &str,
) -> Result<Predicate, Vec<FieldFault>> {
    let Json::Object(members) = json else {
        return equality(scope, column, json, path).map_err(|fault| vec![fault]);
    };
    if earlier::is_reference(scope, json) {
        return equality(scope, column, json, path).map_err(|fault| vec![fault]);
    }
    let case = match json.member("mode") {
        None => Case::Sensitive,
        Some(mode) if mode.as_text() == Some("insensitive") => Case::Insensitive,
        Some(mode) if mode.as_text() == Some("default") => Case::Sensitive,
        Some(_) => {
            return Err(vec![FieldFault::text(
                format!("{path}.mode"),
                "must be `insensitive` or `default`",
            )]);
        }
    };
    let mut all = Predicate::True;
    let mut faults = Vec::new();
    let mut count = 0_usize;
    for (name, value) in members.iter().filter(|(name, _)| name != "mode") {
        count = count.saturating_add(1);
        let path = format!("{path}.{}", shown(name));
        match operator(scope, column, name, value, case, &path) {
            Ok(predicate) => all = all.and(predicate),
            Err(fault) => faults.push(fault),
        }
    }
    if count == 0 {
        faults.push(FieldFault::text(
            path,
            format!("names no operator; there are {OPERATORS}"),
        ));
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

fn operator(
    scope: &Scope<'_>,
    column: &Column,
    name: &str,
    json: &Json,
    case: Case,
    path: &str,
) -> Result<Predicate, FieldFault> {
    match name {
        "contains" => return matches(column, TextPosition::Contains, json, case, path),
        "startsWith" => return matches(column, TextPosition::StartsWith, json, case, path),
        "endsWith" => return matches(column, TextPosition::EndsWith, json, case, path),
        "eq" if case == Case::Insensitive => {
            return matches(column, TextPosition::Whole, json, case, path);
        }
        _ => {}
    }
    let predicate = match name {
        "eq" => equality(scope, column, json, path),
        "ne" if *json == Json::Null => Ok(is_null(column, false)),
        "ne" => operand(scope, column, json, path).map(|value| Predicate::Compare {
            column: column.id,
            op: Comparison::Ne,
            value,
        }),
        "gt" => ordered(scope, column, Comparison::Gt, json, path),
        "gte" => ordered(scope, column, Comparison::Gte, json, path),
        "lt" => ordered(scope, column, Comparison::Lt, json, path),
        "lte" => ordered(scope, column, Comparison::Lte, json, path),
        "in" => values(scope, column, json, path).map(|values| Predicate::In {
            column: column.id,
            values,
        }),
        "notIn" => values(scope, column, json, path).map(|values| {
            Predicate::Not(Box::new(Predicate::In {
                column: column.id,
                values,
            }))
        }),
        "between" => between(scope, column, json, path),
        "isNull" => {
            if let Json::Bool(wanted) = json {
                Ok(is_null(column, *wanted))
            } else {
                Err(FieldFault::text(path, "must be true or false"))
            }
        }
        _ => {
            return Err(FieldFault::text(
                path,
                format!("unknown operator; there are {OPERATORS}"),
            ));
        }
    }?;
    if case == Case::Insensitive {
        return Err(FieldFault::text(
            path,
            "`mode: insensitive` goes with eq, contains, startsWith and endsWith",
        ));
    }
    Ok(predicate)
}

fn equality(scope: &Scope<'_>, column: &Column, json: &Json, path: &str) -> Result<Predicate, FieldFault> {
    if *json == Json::Null {
        return Ok(is_null(column, true));
    }
    Ok(Predicate::Compare {
        column: column.id,
        op: Comparison::Eq,
        value: operand(scope, column, json, path)?,
    })
}

fn is_null(column: &Column, wanted: bool) -> Predicate {
    let predicate = Predicate::IsNull { column: column.id };
    if wanted {
        predicate
    } else {
        Predicate::Not(Box::new(predicate))
    }
}

fn ordered(
    scope: &Scope<'_>,
    column: &Column,
    op: Comparison,
    json: &Json,
    path: &str,
) -> Result<Predicate, FieldFault> {
    must_be_ordered(column, path)?;
    Ok(Predicate::Compare {
        column: column.id,
        op,
        value: operand(scope, column, json, path)?,
    })
}

fn between(scope: &Scope<'_>, column: &Column, json: &Json, path: &str) -> Result<Predicate, FieldFault> {
    must_be_ordered(column, path)?;
    let bounds = if let Json::List(bounds) = json {
        bounds.as_slice()
    } else {
        &[]
    };
    let [low, high] = bounds else {
        return Err(FieldFault::text(path, "must be an array of two values"));
    };
    Ok(Predicate::Between {
        column: column.id,
        low: operand(scope, column, low, path)?,
        high: operand(scope, column, high, path)?,
    })
}

fn values(scope: &Scope<'_>, column: &Column, json: &Json, path: &str) -> Result<Vec<Value>, FieldFault> {
    let Json::List(items) = json else {
        return Err(FieldFault::text(path, "must be an array of values"));
    };
    if items.len() > IN_LIST_VALUES {
        return Err(FieldFault::text(
            path,
            format!("must have at most {IN_LIST_VALUES} values"),
        ));
    }
    items
        .iter()
        .map(|item| operand(scope, column, item, path))
        .collect()
}

fn matches(
    column: &Column,
    position: TextPosition,
    json: &Json,
    case: Case,
    path: &str,
) -> Result<Predicate, FieldFault> {
    if !column.kind.is_text() {
        return Err(FieldFault::text(path, "only text fields can be searched so"));
    }
    // Part of a text needs none of the whole's format, so the column's own reading doesn't apply.
    let Some(text) = json.as_text() else {
        return Err(FieldFault::text(path, "must be a string"));
    };
    Ok(Predicate::Matches {
        column: column.id,
        position,
        text: text.to_owned(),
        case,
    })
}

fn operand(scope: &Scope<'_>, column: &Column, json: &Json, path: &str) -> Result<Value, FieldFault> {
    if !column.kind.is_comparable() {
        return Err(FieldFault::text(path, "this field's values can't be compared"));
    }
    scope.operand(column, json, path)
}

fn must_be_ordered(column: &Column, path: &str) -> Result<(), FieldFault> {
    if column.kind.is_ordered() {
        Ok(())
    } else {
        Err(FieldFault::text(path, "this field's values have no order"))
    }
}
