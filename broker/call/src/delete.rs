//! `delete`, `deleteByField`, `deleteMany`.

use dbal_shared::plan::{Action, Operation, Plan};

use super::scope::Caller;
use super::{Arguments, filter};
use crate::refusal::Refusal;

pub(super) fn delete(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Delete)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Delete {
            target: scope.by_key(arguments.required("id")?)?,
        },
    })
}

pub(super) fn delete_by_field(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Delete)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Delete {
            target: scope.by_field(arguments.text("field")?, arguments.required("value")?)?,
        },
    })
}

/// Without a filter it means every row; only a policy rule with `allow_unfiltered` lets that pass.
pub(super) fn delete_many(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Delete)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::DeleteMany {
            filter: filter::parameter(arguments.optional("filter"), &scope)?,
        },
    })
}
