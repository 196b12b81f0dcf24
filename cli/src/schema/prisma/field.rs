//! One line of a model → one field of an entity: its type, what fills it, and what it refers to.

use dbal_schema::{ColumnType, OnDelete};

use super::super::entity_file::{Field, Fill, Reference, json};
use super::names::{Link, Names, attribute, call, literal, mapped};
use super::native;
use super::syntax::{self, Arity, Attribute, Enumeration, Model};
use super::token::{Place, Token};
use super::told::Told;

/// None where the line stands for another model, or for something that entities don't have; that is told.
pub(super) fn read<'a>(
    names: &Names<'a>,
    model: &'a Model,
    line: &'a syntax::Field,
    is_key: bool,
    told: &mut Told,
) -> Option<Field> {
    let name = format!("{}.{}", model.name, line.name);
    if names.model(&line.kind).is_some() {
        relation(names, model, line, &name, told);
        return None;
    }
    let enumeration = names.enumeration(&line.kind);
    let is_left_out = |why: &str| {
        let consequence = if line.arity == Arity::One && attribute(&line.attributes, "default").is_none() {
            "; the column takes no row without it, so nothing can be created through the daemon"
        } else {
            ""
        };
        format!("`{name}` is left out: {why}{consequence}")
    };
    if let Some(ignore) = attribute(&line.attributes, "ignore") {
        told.warning(ignore.at, is_left_out("its `@ignore` says that nobody uses it"));
        return None;
    }
    if line.arity == Arity::Many {
        told.warning(
            line.at,
            is_left_out(
                "a list is served from PostgreSQL alone: say `type: json` there, or keep it in a model of its own",
            ),
        );
        return None;
    }
    let Some(kind) = names.kind(model, line) else {
        let natives = line.attributes.iter().map(|attribute| {
            let scalar = native::scalar(&line.kind).unwrap_or(ColumnType::String);
            native::of(attribute, scalar)
        });
        let unknown = natives
            .filter(|native| native.is_unknown)
            .find_map(|native| native.warning);
        let unknown = unknown.unwrap_or_else(|| format!("there is no type for `{}`", line.kind));
        told.warning(line.at, is_left_out(&unknown));
        return None;
    };
    let mut field = Field::new(&line.name, kind);
    field.is_primary = is_key;
    field.is_nullable = line.arity == Arity::Optional && !is_key;
    field.column = mapped(&line.attributes).map(str::to_owned);
    field.description.clone_from(&line.doc);
    if let Some(enumeration) = enumeration {
        field.values = values(enumeration);
    }
    for attribute in &line.attributes {
        apply(attribute, line, enumeration, &name, &mut field, told);
    }
    if kind != ColumnType::String && kind != ColumnType::Text && kind != ColumnType::Bytes {
        field.max_length = None;
    }
    if field.is_unique && matches!(kind, ColumnType::Float | ColumnType::Json) {
        field.is_unique = false;
        told.warning(
            line.at,
            format!(
                "`{name}`: the type {} can't be `unique` in an entity",
                kind.name()
            ),
        );
    }
    if let Some(link) = names.link(model, &line.name) {
        field.references = reference(names, &link, &name, told);
    }
    Some(field)
}

fn apply(
    attribute: &Attribute,
    line: &syntax::Field,
    enumeration: Option<&Enumeration>,
    name: &str,
    field: &mut Field,
    told: &mut Told,
) {
    match attribute.name.as_str() {
        // Read elsewhere.
        "id" | "map" | "ignore" => {}
        "unique" => field.is_unique = true,
        "updatedAt" => field.fill = Fill::AutoUpdate,
        "default" => {
            if field.fill == Fill::Nothing {
                field.fill = fill(attribute, enumeration, name, field, told);
            }
        }
        _ if attribute.name.starts_with("db.") => {
            let scalar = native::scalar(&line.kind).unwrap_or(ColumnType::String);
            let native = native::of(attribute, scalar);
            field.max_length = native.max_length.or(field.max_length);
            if let Some((min, max)) = native.range {
                field.range = Some((min.to_owned(), max.to_owned()));
            }
            if let Some(warning) = native.warning {
                told.warning(attribute.at, format!("`{name}`: {warning}"));
            }
        }
        unknown => told.warning(
            attribute.at,
            format!("`{name}`: `@{unknown}` has no counterpart in an entity file and is not in it"),
        ),
    }
}

/// `@default(…)`
fn fill(
    default: &Attribute,
    enumeration: Option<&Enumeration>,
    name: &str,
    field: &Field,
    told: &mut Told,
) -> Fill {
    let value = default.first("value").unwrap_or_default();
    if let Some(function) = call(value) {
        return function_fill(default.at, function, name, field, told);
    }
    let [literal_token] = value else {
        told.warning(
            default.at,
            format!("`{name}`: a default is one value; none is set, so clients must name it"),
        );
        return Fill::Nothing;
    };
    let text = literal(literal_token).unwrap_or_default();
    if let Some(enumeration) = enumeration {
        let value = enumeration.values.iter().find(|value| value.name == text);
        if value.is_none() {
            told.warning(
                default.at,
                format!("`{name}`: `{}` has no value `{text}`", enumeration.name),
            );
        }
        return value.map_or(Fill::Nothing, |value| {
            Fill::Text(mapped(&value.attributes).unwrap_or(&value.name).to_owned())
        });
    }
    match field.kind {
        ColumnType::Integer | ColumnType::Bigint | ColumnType::Float | ColumnType::Boolean => {
            plain_fill(literal_token, field.kind, name, told)
        }
        ColumnType::Json => json_fill(default.at, text, name, told),
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        // As text, where every digit counts.
        | ColumnType::Decimal
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Bytes => Fill::Text(text.to_owned()),
    }
}

/// A number or a boolean stands in the file as it is, so it must be one.
fn plain_fill(token: &Token, kind: ColumnType, name: &str, told: &mut Told) -> Fill {
    let text = literal(token).unwrap_or_default();
    let is_one = if kind == ColumnType::Boolean {
        token.word().is_some_and(|word| word == "true" || word == "false")
    } else {
        token.text().is_none() && text.parse::<f64>().is_ok_and(f64::is_finite)
    };
    if is_one {
        return Fill::Plain(text.to_owned());
    }
    told.warning(
        token.at,
        format!(
            "`{name}`: the default is no {}; none is set, so clients must name it",
            kind.name()
        ),
    );
    Fill::Nothing
}

/// Prisma has a JSON default as a text; YAML has JSON as it is.
fn json_fill(at: Place, text: &str, name: &str, told: &mut Told) -> Fill {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if !value.is_null() => Fill::Plain(json(&value)),
        Ok(_) | Err(_) => {
            told.warning(
                at,
                format!("`{name}`: the default is no JSON value; none is set, so clients must name it"),
            );
            Fill::Nothing
        }
    }
}

fn function_fill(at: Place, function: &str, name: &str, field: &Field, told: &mut Told) -> Fill {
    match (function, field.kind) {
        ("uuid", ColumnType::Uuid)
        | ("cuid", ColumnType::Cuid)
        | ("now", ColumnType::Datetime | ColumnType::Date) => Fill::Generated,
        ("dbgenerated", ColumnType::Uuid) => {
            told.warning(
                at,
                format!("`{name}`: the daemon makes the uuid (version 7), not the database's function"),
            );
            Fill::Generated
        }
        ("autoincrement", _) => {
            told.warning(
                at,
                format!(
                    "`{name}`: the daemon names every column of a new row, so the database's counter is not asked; \
                     clients must send the value. A uuid key needs no counter"
                ),
            );
            Fill::Nothing
        }
        (unknown, _) => {
            told.warning(
                at,
                format!(
                    "`{name}`: `{unknown}()` is nothing that the daemon can make, and it does not leave columns to the \
                     database; clients must send the value"
                ),
            );
            Fill::Nothing
        }
    }
}

/// What is in the database: the names that `@map` gives.
fn values(enumeration: &Enumeration) -> Vec<String> {
    let values = enumeration.values.iter();
    values
        .map(|value| mapped(&value.attributes).unwrap_or(&value.name).to_owned())
        .collect()
}

/// A line that stands for another model is only there to say what refers to what.
fn relation<'a>(names: &Names<'a>, model: &'a Model, line: &'a syntax::Field, name: &str, told: &mut Told) {
    let relation = attribute(&line.attributes, "relation");
    let fields = relation.and_then(|relation| Some((relation, syntax::items(relation.named("fields")?))));
    match fields {
        Some((relation, fields)) if fields.len() > 1 => told.warning(
            relation.at,
            format!(
                "`{name}`: a reference of several fields has no counterpart; the fields are there, without `foreign_key`"
            ),
        ),
        Some((relation, fields)) => {
            let field = fields.first().and_then(|item| item.first()).and_then(Token::word);
            if field.and_then(|field| names.link(model, field)).is_none() {
                told.warning(
                    relation.at,
                    format!("`{name}`: `fields` and `references` don't name a field each; there is no `foreign_key`"),
                );
            }
        }
        // Lists on both sides: the rows that connect them are in a table that no model describes.
        None if line.arity == Arity::Many => {
            let other = names.model(&line.kind);
            let back = other.into_iter().flat_map(|other| &other.fields).find(|field| {
                field.kind == model.name && field.arity == Arity::Many && !std::ptr::eq(*field, line)
            });
            let is_answered = other.into_iter().flat_map(|other| &other.fields).any(|field| {
                field.kind == model.name && field.arity != Arity::Many
            });
            if back.is_some() && !is_answered {
                told.warning(
                    line.at,
                    format!(
                        "`{name}`: the table between `{}` and `{}` is Prisma's own (`_AToB`) and not imported; \
                         declare a model for it to have it as an entity",
                        model.name, line.kind
                    ),
                );
            }
        }
        None => {}
    }
}

fn reference<'a>(names: &Names<'a>, link: &Link<'a>, name: &str, told: &mut Told) -> Option<Reference> {
    let Link {
        attribute,
        through,
        model,
        field,
    } = link;
    if !names.is_entity(model) {
        told.warning(
            attribute.at,
            format!(
                "`{name}`: `{}` is left out, so there is no `foreign_key` to it",
                model.name
            ),
        );
        return None;
    }
    if attribute
        .named("onUpdate")
        .and_then(|value| value.first()?.word())
        == Some("SetNull")
    {
        told.warning(
            attribute.at,
            format!("`{name}`: `onUpdate` is not in the entity: through the daemon a key never changes"),
        );
    }
    let on_delete = match attribute.named("onDelete").and_then(|value| value.first()) {
        Some(action) => match action.word() {
            Some("Cascade") => OnDelete::Cascade,
            Some("SetNull") => OnDelete::SetNull,
            Some("Restrict" | "NoAction") => OnDelete::Restrict,
            _ => {
                told.warning(
                    action.at,
                    format!(
                        "`{name}`: this `onDelete` has no counterpart; it says `restrict` now, and `dbal schema check` \
                         will tell where the database does something else"
                    ),
                );
                OnDelete::Restrict
            }
        },
        // Prisma's own defaults.
        None if through.arity == Arity::Optional => OnDelete::SetNull,
        None => OnDelete::Restrict,
    };
    Some(Reference {
        entity: model.name.clone(),
        field: field.name.clone(),
        on_delete,
    })
}
