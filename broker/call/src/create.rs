//! `create` and `createMany`.

use dbal_schema::Write;
use dbal_shared::fault::Code;
use dbal_shared::json::Json;
use dbal_shared::limits::ROWS_PER_CREATE_MANY;
use dbal_shared::plan::{Action, Operation, Plan};

use super::Arguments;
use super::scope::Caller;
use crate::refusal::{FAULTS, Kind, Refusal};

pub(super) fn create(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Create)?;
    let values = scope
        .values(arguments.object("data")?, Write::Create, "")
        .map_err(Refusal::invalid)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Create {
            values,
            projection: scope.projection(),
        },
    })
}

pub(super) fn create_many(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Create)?;
    let Json::List(items) = arguments.required("rows")? else {
        return Err(arguments.fault("`rows` must be an array of objects"));
    };
    if items.len() > ROWS_PER_CREATE_MANY {
        return Err(Refusal::new(
            Kind::Code(Code::TooLarge),
            format!("{} rows; at most {ROWS_PER_CREATE_MANY} are allowed", items.len()),
        ));
    }
    let mut rows = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (position, item) in items.iter().enumerate() {
        if !matches!(item, Json::Object(_)) {
            return Err(arguments.fault("`rows` must be an array of objects"));
        }
        match scope.values(item, Write::Create, &format!("rows[{position}].")) {
            Ok(row) => rows.push(row),
            Err(more) => faults.extend(more),
        }
        if faults.len() > FAULTS {
            break;
        }
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::CreateMany { rows },
    })
}
