//! `update`, `updateByField`, `updateMany`.

use dbal_schema::Write;
use dbal_shared::plan::{Action, Operation, Plan, Target};

use super::scope::{Caller, Scope};
use super::{Arguments, filter};
use crate::refusal::Refusal;

pub(super) fn update(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Update)?;
    let target = scope.by_key(arguments.required("id")?)?;
    one_row(arguments, &scope, target)
}

pub(super) fn update_by_field(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Update)?;
    let target = scope.by_field(arguments.text("field")?, arguments.required("value")?)?;
    one_row(arguments, &scope, target)
}

pub(super) fn update_many(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Update)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::UpdateMany {
            filter: filter::parameter(Some(arguments.object("filter")?), &scope)?,
            values: scope
                .values(arguments.object("data")?, Write::Update, "")
                .map_err(Refusal::invalid)?,
        },
    })
}

fn one_row(arguments: &Arguments<'_>, scope: &Scope<'_>, target: Target) -> Result<Plan, Refusal> {
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Update {
            target,
            values: scope
                .values(arguments.object("data")?, Write::Update, "")
                .map_err(Refusal::invalid)?,
            projection: scope.projection(),
        },
    })
}
