//! Models → entities: which of them there can be, their keys, their indexes.

use std::collections::HashMap;

use super::super::entity_file::{EntityFile, Index};
use super::field;
use super::names::{Names, ignored, mapped};
use super::syntax::{Attribute, Document, Model, items};
use super::token::{Place, Token};
use super::told::Told;

/// Databases whose schemas can be read so.
const PROVIDERS: [&str; 4] = ["postgresql", "postgres", "mysql", "sqlite"];

/// Most bytes of enums' values in all files, since every field of an enum has them all.
const VALUES_BYTES: usize = 16 * 1024 * 1024;

/// One entity for every model that can be one. The others are told.
pub(super) fn entities(document: &Document, told: &mut Told) -> Vec<EntityFile> {
    if let Some((at, provider)) = &document.provider
        && !PROVIDERS.contains(&provider.as_str())
    {
        told.problem(
            *at,
            format!("`{provider}`: dbal serves SQLite, PostgreSQL and MySQL; native types are not known"),
        );
    }
    for one in &document.enums {
        for value in one
            .values
            .iter()
            .filter(|value| mapped(&value.attributes).is_some())
        {
            told.warning(
                value.at,
                format!(
                    "`{}.{}`: clients of dbal see and send the database's name, `{}`",
                    one.name,
                    value.name,
                    mapped(&value.attributes).unwrap_or_default()
                ),
            );
        }
        if one.values.is_empty() {
            told.problem(one.at, format!("the enum `{}` has no values", one.name));
        }
    }
    if let Some(at) = too_many_values(document) {
        told.problem(
            at,
            format!(
                "the values of the enums, for each field that has one, are more than {VALUES_BYTES} bytes"
            ),
        );
        return Vec::new();
    }
    let names = Names::of(document);
    let models = document.models.iter();
    models.filter_map(|model| entity(&names, model, told)).collect()
}

/// Where a file that is short becomes files that are not.
fn too_many_values(document: &Document) -> Option<Place> {
    let mut fields: HashMap<&str, usize> = HashMap::new();
    for field in document.models.iter().flat_map(|model| &model.fields) {
        let count = fields.entry(&field.kind).or_default();
        *count = count.saturating_add(1);
    }
    let mut bytes: usize = 0;
    document.enums.iter().find_map(|one| {
        let values = one.values.iter();
        let lengths = values.map(|value| mapped(&value.attributes).unwrap_or(&value.name).len());
        let count = fields.get(one.name.as_str()).copied().unwrap_or(0);
        bytes = bytes.saturating_add(lengths.sum::<usize>().saturating_mul(count));
        (bytes > VALUES_BYTES).then_some(one.at)
    })
}

fn entity<'a>(names: &Names<'a>, model: &'a Model, told: &mut Told) -> Option<EntityFile> {
    if let Some((at, why)) = ignored(model) {
        told.warning(at, why);
        return None;
    }
    let key = names.key(model).map_err(|(at, why)| told.problem(at, why)).ok()?;
    let lines = model.fields.iter();
    let fields = lines.filter_map(|line| field::read(names, model, line, std::ptr::eq(line, key), told));
    let mut entity = EntityFile {
        name: model.name.clone(),
        table: mapped(&model.attributes).map(str::to_owned),
        description: model.doc.clone(),
        is_read_only: model.is_view,
        fields: fields.collect(),
        ..EntityFile::default()
    };
    for attribute in &model.attributes {
        match attribute.name.as_str() {
            // Read elsewhere.
            "id" | "map" | "ignore" => {}
            "unique" => unique(attribute, model, &mut entity, told),
            "index" => {
                let index = index(attribute, "idx", model, &entity, told);
                entity.indexes.extend(index.map(|index| Index {
                    is_unique: false,
                    ..index
                }));
            }
            "schema" => told.warning(
                attribute.at,
                format!(
                    "`{}`: entity files name no schema; the connection's own is used",
                    model.name
                ),
            ),
            unknown => told.warning(
                attribute.at,
                format!(
                    "`{}`: `@@{unknown}` has no counterpart in an entity file and is not in it",
                    model.name
                ),
            ),
        }
    }
    Some(entity)
}

/// Of one field it is that field's own flag.
fn unique(attribute: &Attribute, model: &Model, entity: &mut EntityFile, told: &mut Told) {
    let Some(index) = index(attribute, "key", model, entity, told) else {
        return;
    };
    let only = match index.fields.as_slice() {
        [only] => entity.fields.iter_mut().find(|field| field.name == *only),
        _ => None,
    };
    match only {
        Some(field) => field.is_unique = true,
        None => entity.indexes.push(index),
    }
}

/// `@@index([a, b], map: "name")`; `end` is what Prisma's own names end in.
fn index(
    attribute: &Attribute,
    end: &str,
    model: &Model,
    entity: &EntityFile,
    told: &mut Told,
) -> Option<Index> {
    let mut fields = Vec::new();
    for item in attribute.first("fields").map(items).unwrap_or_default() {
        let name = item.first().and_then(Token::word).unwrap_or_default();
        if entity.fields.iter().all(|field| field.name != name) {
            told.warning(
                attribute.at,
                format!(
                    "`{}`: the index over `{name}` is left out: the entity has no such field",
                    model.name
                ),
            );
            return None;
        }
        if item.len() > 1 {
            told.warning(
                attribute.at,
                format!(
                    "`{}`: order, length and operator class of the index over `{name}` are not kept",
                    model.name
                ),
            );
        }
        fields.push(name.to_owned());
    }
    if fields.is_empty() {
        told.warning(
            attribute.at,
            format!("`{}`: the index names no field", model.name),
        );
        return None;
    }
    for option in ["type", "clustered"] {
        if attribute.named(option).is_some() {
            told.warning(
                attribute.at,
                format!(
                    "`{}`: an entity file does not say the `{option}` of an index",
                    model.name
                ),
            );
        }
    }
    let name = attribute.named("map").and_then(|value| value.first()?.text());
    Some(Index {
        name: name.map_or_else(|| prismas_name(entity, &fields, end), str::to_owned),
        fields,
        is_unique: true,
    })
}

/// `table_a_b_key`, cut where it is too long, as Prisma cuts it.
fn prismas_name(entity: &EntityFile, fields: &[String], end: &str) -> String {
    let mut name = entity.table.as_ref().unwrap_or(&entity.name).clone();
    for name_of_field in fields {
        let field = entity.fields.iter().find(|field| field.name == *name_of_field);
        let column = field
            .and_then(|field| field.column.as_ref())
            .unwrap_or(name_of_field);
        name.push('_');
        name.push_str(column);
    }
    let most = 63_usize.saturating_sub(end.len()).saturating_sub(1);
    let cut = (0..=most.min(name.len()))
        .rev()
        .find(|cut| name.is_char_boundary(*cut));
    name.truncate(cut.unwrap_or(0));
    format!("{name}_{end}")
}
