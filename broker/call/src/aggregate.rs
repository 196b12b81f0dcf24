//! `aggregate`: numbers over rows, by group.

use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::limits::{GROUP_KEYS, MEASURES, ROWS_PER_ANSWER};
use dbal_shared::plan::{Action, Function, Measure, Operation, Plan, Total};
use dbal_shared::predicate::Predicate;

use super::arguments::shown;
use super::scope::{Caller, Scope};
use super::{Arguments, Meta, filter, options};
use crate::refusal::{FieldFault, Refusal};

/// What there is to say.
const OPTIONS: &[&str] = &[
    "filter", "groupBy", "count", "sum", "avg", "min", "max", "limit", "meta",
];
/// Groups of a call that names no limit.
const DEFAULT_GROUPS: u32 = 100;

pub(super) fn aggregate(
    arguments: &Arguments<'_>,
    caller: &Caller<'_>,
    meta: &mut Meta,
) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::List)?;
    let members = match arguments.optional("options") {
        None => &[],
        Some(Json::Object(members)) => members.as_slice(),
        Some(_) => return Err(arguments.fault("`options` must be an object")),
    };
    let mut faults = Vec::new();
    let (mut predicate, mut groups, mut measures) = (Predicate::True, Vec::new(), Vec::new());
    let (mut count, mut limit) = (None, DEFAULT_GROUPS.min(ROWS_PER_ANSWER));
    for (name, value) in members.iter().filter(|(_, value)| *value != Json::Null) {
        let function = match name.as_str() {
            "sum" => Function::Sum,
            "avg" => Function::Average,
            "min" => Function::Min,
            "max" => Function::Max,
            "filter" => {
                predicate = filter::parse(Some(value), &scope, "filter", &mut faults);
                continue;
            }
            "groupBy" => {
                groups = columns("groupBy", value, &scope, GROUP_KEYS, &mut faults);
                continue;
            }
            "count" => {
                match value {
                    Json::Bool(true) => count = Some(Total::Counted),
                    Json::Bool(false) => count = Some(Total::Skipped),
                    Json::Null
                    | Json::Int(_)
                    | Json::Unsigned(_)
                    | Json::Float(_)
                    | Json::Text(_)
                    | Json::List(_)
                    | Json::Object(_) => faults.push(FieldFault::text("count", "must be true or false")),
                }
                continue;
            }
            "limit" => {
                limit = options::limit("limit", value, &mut faults);
                continue;
            }
            "meta" => {
                meta.complete(Meta::parse(Some(value), "options.meta")?)?;
                continue;
            }
            _ => {
                faults.push(FieldFault::unknown_option(shown(name), OPTIONS));
                continue;
            }
        };
        let found = columns(name, value, &scope, MEASURES, &mut faults);
        measures.extend(found.into_iter().map(|column| Measure { function, column }));
    }
    if measures.len() > MEASURES {
        faults.push(FieldFault::text(
            "options",
            format!("must ask for at most {MEASURES} numbers"),
        ));
    }
    unsuitable(&scope, &groups, &measures, &mut faults);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    // Who asks for nothing else wants to know how many there are.
    let by_default = if measures.is_empty() {
        Total::Counted
    } else {
        Total::Skipped
    };
    let count = count.unwrap_or(by_default);
    if count == Total::Skipped && measures.is_empty() && groups.is_empty() {
        return Err(arguments.fault("`options` ask for nothing"));
    }
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Aggregate {
            filter: filter::bounded(predicate)?,
            groups,
            count,
            measures,
            limit,
        },
    })
}

/// `["a","b"]` or `"a"`.
fn columns(
    path: &str,
    json: &Json,
    scope: &Scope<'_>,
    most: usize,
    faults: &mut Vec<FieldFault>,
) -> Vec<ColumnId> {
    let names: Option<Vec<&str>> = if let Json::List(items) = json {
        items.iter().map(Json::as_text).collect()
    } else {
        json.as_text().map(|name| vec![name])
    };
    let Some(names) = names.filter(|names| names.len() <= most) else {
        let error = format!("must be an array of at most {most} field names");
        faults.push(FieldFault::text(path, error));
        return Vec::new();
    };
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        match scope.readable(name) {
            Some(column) if columns.contains(&column.id) => {}
            Some(column) => columns.push(column.id),
            None => faults.push(FieldFault::new(
                format!("{path}.{}", shown(name)),
                &Fault::Unknown,
            )),
        }
    }
    columns
}

fn unsuitable(scope: &Scope<'_>, groups: &[ColumnId], measures: &[Measure], faults: &mut Vec<FieldFault>) {
    let columns = groups.iter().filter_map(|id| scope.entity.column(*id));
    for column in columns.filter(|column| !column.kind.is_comparable()) {
        let field = format!("groupBy.{}", column.name);
        faults.push(FieldFault::text(field, "this field's values can't be compared"));
    }
    for Measure { function, column } in measures {
        let (name, error) = match function {
            Function::Sum => ("sum", "only fields of numbers can be summed"),
            Function::Average => ("avg", "only fields of numbers have a mean"),
            Function::Min => ("min", "this field's values have no smallest"),
            Function::Max => ("max", "this field's values have no largest"),
        };
        let column = scope.entity.column(*column);
        if let Some(column) = column.filter(|column| !column.kind.suits(*function)) {
            faults.push(FieldFault::text(format!("{name}.{}", column.name), error));
        }
    }
}
