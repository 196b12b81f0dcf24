//! What a call of a transaction refers to: `{"$ref": "0.id"}` is the field `id` of the row that the first call answers.
//! Whether the caller may use it there, the policy decides.

use dbal_schema::{Column, ColumnType};
use dbal_shared::json::Json;
use dbal_shared::plan::Plan;
use dbal_shared::value::{Earlier, Value};

use super::scope::{Caller, Scope};

/// The one member of a reference.
const REF: &str = "$ref";

/// Whether this stands for a value of an earlier call. Outside of a transaction nothing does.
pub(super) fn is_reference(scope: &Scope<'_>, json: &Json) -> bool {
    scope.is_in_transaction() && named(json).is_some()
}

/// What is referred to in the place of a value of `column`; none if this is no reference. In a json column it is itself.
pub(super) fn reference(caller: &Caller<'_>, column: &Column, json: &Json) -> Option<Result<Value, String>> {
    let calls = caller.earlier.filter(|_| column.kind != ColumnType::Json)?;
    let name = named(json)?;
    Some(find(caller, calls, name).map(Value::Earlier))
}

fn named(json: &Json) -> Option<&Json> {
    match json {
        Json::Object(members) => match members.as_slice() {
            [(name, value)] if name == REF => Some(value),
            _ => None,
        },
        Json::Null
        | Json::Bool(_)
        | Json::Int(_)
        | Json::Unsigned(_)
        | Json::Float(_)
        | Json::Text(_)
        | Json::List(_) => None,
    }
}

fn find(caller: &Caller<'_>, calls: &[Plan], name: &Json) -> Result<Earlier, String> {
    let parts = name.as_text().and_then(|name| name.split_once('.'));
    let (call, field) = parts.ok_or("`$ref` must be like \"0.id\": an earlier call's place and a field")?;
    let call: u16 = call
        .parse()
        .map_err(|_| "`$ref` must begin with a call's place")?;
    let plan = calls
        .get(usize::from(call))
        .ok_or("`$ref` must name a call before this one; the first is 0")?;
    let Plan { entity, action } = plan;
    let vocabulary = caller
        .policy
        .vocabulary(caller.subject, *entity, action.operation());
    let found = caller
        .policy
        .schema()
        .entity(*entity)
        .and_then(|entity| entity.column_by_name(field))
        .filter(|column| vocabulary.is_some_and(|words| words.readable.contains(column.id)))
        .ok_or("`$ref` must name a field that the earlier call answers")?;
    Ok(Earlier {
        call,
        column: found.id,
    })
}
