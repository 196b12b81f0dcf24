//! Looks names up among what the file declares: which models can be entities, and which type a field has in the end.

use std::collections::HashMap;

use dbal_schema::ColumnType;

use super::native;
use super::syntax::{Arity, Attribute, Document, Enumeration, Field, Model, items};
use super::token::{Kind, Place, Token};

/// A field that refers to one that refers to one … and so on, at most as often. Real schemas need two.
const HOPS: usize = 16;

/// Everything that has a name.
pub(super) struct Names<'a> {
    models: HashMap<&'a str, &'a Model>,
    enums: HashMap<&'a str, &'a Enumeration>,
}

/// One field that refers to one field.
pub(super) struct Link<'a> {
    /// `@relation(…)`
    pub(super) attribute: &'a Attribute,
    /// The field that stands for the other model.
    pub(super) through: &'a Field,
    pub(super) model: &'a Model,
    pub(super) field: &'a Field,
}

impl<'a> Names<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        let models = document.models.iter();
        let enums = document.enums.iter();
        Self {
            models: models.map(|model| (model.name.as_str(), model)).collect(),
            enums: enums.map(|one| (one.name.as_str(), one)).collect(),
        }
    }

    pub(super) fn model(&self, name: &str) -> Option<&'a Model> {
        self.models.get(name).copied()
    }

    pub(super) fn enumeration(&self, name: &str) -> Option<&'a Enumeration> {
        self.enums.get(name).copied()
    }

    /// The field's type; none where it stands for another model, or where there is none for it.
    pub(super) fn kind(&self, model: &'a Model, field: &'a Field) -> Option<ColumnType> {
        let (mut model, mut field) = (model, field);
        // A text that refers to a uuid is one, or the two could not be compared.
        for _ in 0..HOPS {
            let kind = self.own_kind(field)?;
            match self.link(model, &field.name) {
                Some(link) if kind == ColumnType::String => (model, field) = (link.model, link.field),
                Some(_) | None => return Some(kind),
            }
        }
        self.own_kind(field)
    }

    fn own_kind(&self, field: &Field) -> Option<ColumnType> {
        if self.enums.contains_key(field.kind.as_str()) {
            return Some(ColumnType::Enum);
        }
        let scalar = native::scalar(&field.kind)?;
        let mut kind = scalar;
        for attribute in &field.attributes {
            let native = native::of(attribute, scalar);
            if native.is_unknown {
                return None;
            }
            kind = native.kind.unwrap_or(kind);
        }
        let function = attribute(&field.attributes, "default")
            .and_then(|default| default.first("value"))
            .and_then(call);
        Some(match function {
            Some("uuid") if scalar == ColumnType::String => ColumnType::Uuid,
            Some("cuid") if scalar == ColumnType::String => ColumnType::Cuid,
            Some(_) | None => kind,
        })
    }

    /// What the field with this name refers to, where it does so alone.
    pub(super) fn link(&self, model: &'a Model, name: &str) -> Option<Link<'a>> {
        model.fields.iter().find_map(|through| {
            let relation = attribute(&through.attributes, "relation")?;
            let own = items(relation.named("fields")?);
            let [[own]] = own.as_slice() else {
                return None;
            };
            if own.word() != Some(name) {
                return None;
            }
            let target = self.model(&through.kind)?;
            let referred = items(relation.named("references")?);
            let [[referred]] = referred.as_slice() else {
                return None;
            };
            let field = find(target, referred.word()?)?;
            Some(Link {
                attribute: relation,
                through,
                model: target,
                field,
            })
        })
    }

    /// The field that is the model's key, or why there is none and where that stands.
    pub(super) fn key(&self, model: &'a Model) -> Result<&'a Field, (Place, String)> {
        let whole = attribute(&model.attributes, "id");
        let of_block = whole.map(|whole| (whole, whole.first("fields").map(items).unwrap_or_default()));
        let marked = model
            .fields
            .iter()
            .find(|field| attribute(&field.attributes, "id").is_some());
        let key = match (marked, of_block) {
            (Some(field), _) => Some(field),
            (None, Some((_, fields))) if fields.len() == 1 => {
                let name = fields.first().and_then(|item| item.first()).and_then(Token::word);
                name.and_then(|name| find(model, name))
            }
            (None, Some((whole, fields))) => {
                let names: Vec<&str> = fields
                    .iter()
                    .filter_map(|item| item.first().and_then(Token::word))
                    .collect();
                return Err((
                    whole.at,
                    format!(
                        "`{}` is left out: its key is made of several fields ({}), and an entity has a key of one. Give \
                         the table a column of its own for that and keep these as `@@unique`",
                        model.name,
                        names.join(", ")
                    ),
                ));
            }
            // What identifies a row is whatever is unique and always there.
            (None, None) => model
                .fields
                .iter()
                .find(|field| field.arity == Arity::One && attribute(&field.attributes, "unique").is_some()),
        };
        let Some(key) = key else {
            return Err((
                model.at,
                format!(
                    "`{}` is left out: no single field identifies its rows; mark one with `@id`, or with `@unique`",
                    model.name
                ),
            ));
        };
        match self.kind(model, key) {
            Some(ColumnType::Float | ColumnType::Json) | None => Err((
                key.at,
                format!(
                    "`{}` is left out: a field of the type `{}` can't be the key of an entity",
                    model.name, key.kind
                ),
            )),
            Some(_) => Ok(key),
        }
    }

    /// Whether the model becomes an entity.
    pub(super) fn is_entity(&self, model: &'a Model) -> bool {
        ignored(model).is_none() && self.key(model).is_ok()
    }
}

/// Where the model is marked as used by nobody, and what that means.
pub(super) fn ignored(model: &Model) -> Option<(Place, String)> {
    let ignore = attribute(&model.attributes, "ignore")?;
    let why = format!(
        "`{}` is left out: its `@@ignore` says that nobody uses it",
        model.name
    );
    Some((ignore.at, why))
}

/// The attribute with this name.
pub(super) fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

/// The field with this name.
pub(super) fn find<'a>(model: &'a Model, name: &str) -> Option<&'a Field> {
    model.fields.iter().find(|field| field.name == name)
}

/// The name of the function that a value calls.
pub(super) fn call(value: &[Token]) -> Option<&str> {
    match value {
        [name, open, ..] if open.is('(') => name.word(),
        _ => None,
    }
}

/// What a database calls it: `@map("…")`.
pub(super) fn mapped(attributes: &[Attribute]) -> Option<&str> {
    attribute(attributes, "map").and_then(|map| map.text("name"))
}

/// The text of a literal.
pub(super) fn literal(token: &Token) -> Option<&str> {
    match &token.kind {
        Kind::Word(text) | Kind::Text(text) | Kind::Number(text) => Some(text),
        Kind::Sign(_) | Kind::Doc(_) | Kind::NewLine => None,
    }
}
