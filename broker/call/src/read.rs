//! Methods that only look: `read`, `list`, `findFirst`, `findByField`, `count`.

use dbal_shared::json::Json;
use dbal_shared::plan::{Action, Operation, Plan};
use dbal_shared::predicate::{Comparison, Predicate};

use super::options::{self, Options};
use super::scope::Caller;
use super::{Arguments, Meta, filter};
use crate::refusal::Refusal;

pub(super) fn read(arguments: &Arguments<'_>, caller: &Caller<'_>, meta: &mut Meta) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::Read)?;
    let id = arguments.required("id")?;
    let options = Options::parse(arguments, &scope, options::OF_READ)?;
    meta.complete(options.meta)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Read {
            target: scope.by_key(id)?,
            projection: options.projection,
            includes: options.includes,
        },
    })
}

pub(super) fn list(arguments: &Arguments<'_>, caller: &Caller<'_>, meta: &mut Meta) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::List)?;
    let options = Options::parse(arguments, &scope, options::OF_LIST)?;
    meta.complete(options.meta)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::List {
            filter: options.filter,
            order: options.order,
            page: options.page,
            total: options.total,
            projection: options.projection,
            includes: options.includes,
            cursor: options.cursor,
        },
    })
}

pub(super) fn find_first(
    arguments: &Arguments<'_>,
    caller: &Caller<'_>,
    meta: &mut Meta,
) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::List)?;
    let options = Options::parse(arguments, &scope, options::OF_FIND_FIRST)?;
    meta.complete(options.meta)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::FindFirst {
            filter: filter::parameter(arguments.optional("filter"), &scope)?,
            order: options.order,
            projection: options.projection,
            includes: options.includes,
        },
    })
}

pub(super) fn find_by_field(
    arguments: &Arguments<'_>,
    caller: &Caller<'_>,
    meta: &mut Meta,
) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::List)?;
    let options = Options::parse(arguments, &scope, options::OF_READ)?;
    meta.complete(options.meta)?;
    let field = arguments.text("field")?;
    let value = arguments.nullable("value")?;
    let column = scope.column_for_lookup(field)?;
    let filter = if *value == Json::Null {
        Predicate::IsNull { column: column.id }
    } else {
        Predicate::Compare {
            column: column.id,
            op: Comparison::Eq,
            value: scope
                .operand(column, value, field)
                .map_err(|fault| Refusal::invalid(vec![fault]))?,
        }
    };
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::FindFirst {
            filter,
            order: Vec::new(),
            projection: options.projection,
            includes: options.includes,
        },
    })
}

pub(super) fn count(
    arguments: &Arguments<'_>,
    caller: &Caller<'_>,
    meta: &mut Meta,
) -> Result<Plan, Refusal> {
    let scope = caller.scope(arguments.text("entity")?, Operation::List)?;
    let options = Options::parse(arguments, &scope, options::OF_COUNT)?;
    meta.complete(options.meta)?;
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Count {
            filter: options.filter,
        },
    })
}
