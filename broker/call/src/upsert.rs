//! `upsert` in the two forms that clients use, told apart strictly: an old client that sends a third form would lose
//! its `updateData` if it were guessed at.

use dbal_schema::Write;
use dbal_shared::json::Json;
use dbal_shared::plan::{Action, Assignment, Operation, Plan, Target};

use super::Arguments;
use super::scope::Caller;
use crate::refusal::{FieldFault, Refusal};

pub(super) fn upsert(arguments: &Arguments<'_>, caller: &Caller<'_>) -> Result<Plan, Refusal> {
    let form = Form::of(arguments)?;
    let scope = caller.scope(form.entity, Operation::Create)?;
    // What may be written depends on the operation: a field that only updates write is none of the other half's business.
    let updating = caller.scope(form.entity, Operation::Update)?;
    let target = scope.by_field(form.field, form.value)?;
    let create = scope.values(form.create, Write::Create, "createData.");
    let update = updating.values(form.update, Write::Update, "updateData.");
    let (create, update) = match (create, update) {
        (Ok(create), Ok(update)) => (create, update),
        (create, update) => {
            let mut faults = create.err().unwrap_or_default();
            faults.extend(update.err().unwrap_or_default());
            return Err(Refusal::invalid(faults));
        }
    };
    Ok(Plan {
        entity: scope.entity.id,
        action: Action::Upsert {
            create: with_target(create, &target, form.field)?,
            target,
            update,
            projection: scope.projection(),
        },
    })
}

struct Form<'a> {
    entity: &'a str,
    field: &'a str,
    value: &'a Json,
    create: &'a Json,
    update: &'a Json,
}

impl<'a> Form<'a> {
    fn of(arguments: &Arguments<'a>) -> Result<Self, Refusal> {
        let (entity, unique, create, update) = match arguments.positional().map(without_options) {
            Some([entity, filter @ Json::Object(_), create, update]) => {
                (entity, one_member(filter), create, update)
            }
            Some([entity, Json::Text(field), value, create, update]) => {
                (entity, Some((field.as_str(), value)), create, update)
            }
            Some(_) => return Err(arguments.fault("neither of the two forms")),
            None => {
                let unique = match (arguments.optional("filter"), arguments.optional("uniqueField")) {
                    (Some(filter), None) if arguments.optional("uniqueValue").is_none() => one_member(filter),
                    (None, Some(_)) => {
                        Some((arguments.text("uniqueField")?, arguments.required("uniqueValue")?))
                    }
                    _ => return Err(arguments.fault("neither of the two forms")),
                };
                (
                    arguments.required("entity")?,
                    unique,
                    arguments.required("createData")?,
                    arguments.required("updateData")?,
                )
            }
        };
        let (field, value) =
            unique.ok_or_else(|| arguments.fault("`filter` must name exactly one unique field"))?;
        match (entity, create, update) {
            (Json::Text(entity), Json::Object(_), Json::Object(_)) => Ok(Self {
                entity,
                field,
                value,
                create,
                update,
            }),
            _ => Err(arguments.fault("`entity` must be a string, `createData` and `updateData` objects")),
        }
    }
}

/// The parameters but for the options behind them, which `Arguments::options_of_write` reads. Options that say nothing may be
/// somebody's third form, so they are none.
fn without_options(values: &[Json]) -> &[Json] {
    let length = if matches!(values.get(1), Some(Json::Object(_))) {
        4
    } else {
        5
    };
    match values.split_last() {
        Some((Json::Object(options), rest)) if rest.len() == length && !options.is_empty() => rest,
        _ => values,
    }
}

fn one_member(filter: &Json) -> Option<(&str, &Json)> {
    match filter {
        Json::Object(members) => match members.as_slice() {
            [(field, value)] => Some((field, value)),
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

/// A new row must be the one that was looked for.
fn with_target(
    mut create: Vec<Assignment>,
    target: &Target,
    field: &str,
) -> Result<Vec<Assignment>, Refusal> {
    match create
        .iter()
        .find(|assignment| assignment.column == target.column)
    {
        Some(given) if given.value != target.value => Err(Refusal::invalid(vec![FieldFault::text(
            format!("createData.{field}"),
            "must be the value that is looked for",
        )])),
        Some(_) => Ok(create),
        None => {
            create.push(Assignment {
                column: target.column,
                value: target.value.clone(),
            });
            Ok(create)
        }
    }
}
