//! Names for foreign keys, in both directions: what filters and includes call the linked rows. They are derived when the
//! schema loads, so that a name means one link or does not exist.

use std::collections::{HashMap, HashSet};

use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::predicate::Link;

use crate::compile_column;
use crate::declared::{DeclaredEntity, DeclaredReference};
use crate::entity::Entity;
use crate::mapping::At;
use crate::report::Report;

/// A foreign key as seen from one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Name that clients use; no field of the entity has it.
    pub name: String,
    /// From this entity to the other.
    pub link: Link,
    /// How many rows there may be at the other end.
    pub arity: Arity,
}

/// How many rows a relation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One at most: the other column is unique.
    One,
    /// Any number.
    Many,
}

/// A foreign key that has yet to be named.
struct Key<'a> {
    from: EntityId,
    column: ColumnId,
    to: EntityId,
    foreign: ColumnId,
    declared: Option<&'a DeclaredReference>,
    /// Names to derive, best first; none where the file gives one.
    own_names: Vec<String>,
    inverse_names: Vec<String>,
}

/// Gives every entity its relations. Keys over columns that are never exposed have no names: whoever could follow one
/// could guess its values.
pub(crate) fn name_all(entities: &mut [Entity], declared: &[DeclaredEntity], report: &mut Report) {
    let keys = keys(entities, declared);
    let mut names = Names::new(entities);
    for key in &keys {
        let Some(DeclaredReference {
            relation, inverse, ..
        }) = key.declared
        else {
            continue;
        };
        names.declared(key.from, relation.as_ref(), report);
        names.declared(key.to, inverse.as_ref(), report);
    }
    // To-one before to-many, and short names before long ones: each round names what only one key asks for.
    let own = |key: &Key<'_>, nth: usize| key.own_names.get(nth).map(|name| (key.from, name.clone()));
    let inverse = |key: &Key<'_>, nth: usize| key.inverse_names.get(nth).map(|name| (key.to, name.clone()));
    let own_given = names.derived(&keys, 1, own);
    let inverse_given = names.derived(&keys, 2, inverse);
    for (nth, key) in keys.iter().enumerate() {
        let chosen = |declared: Option<&At<String>>, given: &[Option<String>]| {
            declared
                .map(|at| at.value.clone())
                .or_else(|| given.get(nth).cloned().flatten())
        };
        let is_one_to_one = entities
            .get(usize::from(key.from.0))
            .is_some_and(|entity| entity.is_unique(key.column));
        let forth = Link {
            column: key.column,
            entity: key.to,
            foreign: key.foreign,
        };
        let back = Link {
            column: key.foreign,
            entity: key.from,
            foreign: key.column,
        };
        let back_arity = if is_one_to_one { Arity::One } else { Arity::Many };
        let relation = key.declared.and_then(|it| it.relation.as_ref());
        let inverse = key.declared.and_then(|it| it.inverse.as_ref());
        add(
            entities,
            key.from,
            chosen(relation, &own_given),
            forth,
            Arity::One,
        );
        add(
            entities,
            key.to,
            chosen(inverse, &inverse_given),
            back,
            back_arity,
        );
    }
}

fn add(entities: &mut [Entity], to: EntityId, name: Option<String>, link: Link, arity: Arity) {
    if let (Some(name), Some(entity)) = (name, entities.get_mut(usize::from(to.0))) {
        entity.relations.push(Relation { name, link, arity });
    }
}

fn keys<'a>(entities: &[Entity], declared: &'a [DeclaredEntity]) -> Vec<Key<'a>> {
    let mut keys = Vec::new();
    for entity in entities {
        let file = declared.iter().find(|one| one.name.value == entity.name);
        for column in &entity.columns {
            let Some(reference) = column.references else {
                continue;
            };
            let Some(other) = entities.get(usize::from(reference.entity.0)) else {
                continue;
            };
            let is_closed = other
                .column(reference.column)
                .is_none_or(|foreign| foreign.is_never_exposed);
            if column.is_never_exposed || is_closed {
                continue;
            }
            let declared = file
                .and_then(|file| file.fields.iter().find(|field| field.name.value == column.name))
                .and_then(|field| field.references.as_ref());
            let stem = stem(&column.name).map(str::to_owned);
            let of_many = if entity.is_unique(column.id) {
                lower_camel(&entity.name)
            } else {
                plural(&lower_camel(&entity.name))
            };
            let by = format!(
                "{of_many}By{}",
                upper_camel(stem.as_deref().unwrap_or(&column.name))
            );
            let relation = declared.and_then(|it| it.relation.as_ref());
            let inverse = declared.and_then(|it| it.inverse.as_ref());
            let derived =
                |given: Option<&At<String>>, names| if given.is_some() { Vec::new() } else { names };
            keys.push(Key {
                from: entity.id,
                column: column.id,
                to: reference.entity,
                foreign: reference.column,
                declared,
                own_names: derived(relation, vec![stem.unwrap_or_else(|| lower_camel(&other.name))]),
                inverse_names: derived(inverse, vec![of_many, by]),
            });
        }
    }
    keys
}

/// Names that are taken, by entity.
struct Names(Vec<HashSet<String>>);

impl Names {
    fn new(entities: &[Entity]) -> Self {
        let fields = |entity: &Entity| entity.columns.iter().map(|column| column.name.clone()).collect();
        Self(entities.iter().map(fields).collect())
    }

    fn declared(&mut self, entity: EntityId, name: Option<&At<String>>, report: &mut Report) {
        let Some(At { at, value }) = name else { return };
        if !compile_column::is_name(value) {
            report.problem(
                at,
                format!("`{value}` is no name for a relation: letters, digits and `_`, no digit first"),
            );
        } else if !self.take(entity, value) {
            report.problem(
                at,
                format!("`{value}` is already a field or a relation of the entity"),
            );
        }
    }

    /// In each round, names that are free and that only one key asks for.
    fn derived(
        &mut self,
        keys: &[Key<'_>],
        rounds: usize,
        wanted: impl Fn(&Key<'_>, usize) -> Option<(EntityId, String)>,
    ) -> Vec<Option<String>> {
        let mut given: Vec<Option<String>> = vec![None; keys.len()];
        for round in 0..rounds {
            let mut asked: HashMap<(EntityId, String), usize> = HashMap::new();
            let asking: Vec<Option<(EntityId, String)>> = keys
                .iter()
                .zip(&given)
                .map(|(key, given)| if given.is_none() { wanted(key, round) } else { None })
                .collect();
            for key in asking.iter().flatten() {
                let count = asked.entry(key.clone()).or_default();
                *count = count.saturating_add(1);
            }
            for (slot, wish) in given.iter_mut().zip(asking) {
                if let Some((entity, name)) = wish
                    && asked.get(&(entity, name.clone())) == Some(&1)
                    && self.take(entity, &name)
                {
                    *slot = Some(name);
                }
            }
        }
        given
    }

    fn take(&mut self, entity: EntityId, name: &str) -> bool {
        self.0
            .get_mut(usize::from(entity.0))
            .is_some_and(|names| names.insert(name.to_owned()))
    }
}

/// `ownerId` and `owner_id` → `owner`
fn stem(column: &str) -> Option<&str> {
    column
        .strip_suffix("_id")
        .or_else(|| column.strip_suffix("Id"))
        .filter(|stem| !stem.is_empty())
}

/// `ForumThread` → `forumThread`
pub fn lower_camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

fn upper_camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// `category` → `categories`, `box` → `boxes`, `comment` → `comments`. What ends with a single `s` is taken for a plural.
fn plural(name: &str) -> String {
    let consonant_y = name
        .strip_suffix('y')
        .filter(|rest| rest.chars().last().is_some_and(|last| !"aeiou".contains(last)));
    if let Some(rest) = consonant_y {
        return format!("{rest}ies");
    }
    if ["ss", "x", "ch", "sh"].iter().any(|end| name.ends_with(end)) {
        return format!("{name}es");
    }
    if name.ends_with('s') {
        return name.to_owned();
    }
    format!("{name}s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schema, Source};

    fn parse(text: &str) -> Result<Schema, String> {
        let source = Source {
            name: "entities.yaml".to_owned(),
            text: text.to_owned(),
        };
        Schema::parse(&[source])
            .map(|loaded| loaded.schema)
            .map_err(|error| error.to_string())
    }

    fn relations(schema: &Schema, entity: &str) -> Vec<String> {
        let found = schema.by_name(entity).unwrap();
        let one = |relation: &Relation| {
            let other = schema.entity(relation.link.entity).unwrap();
            let mark = match relation.arity {
                Arity::One => "",
                Arity::Many => "*",
            };
            format!("{}: {}{mark}", relation.name, other.name)
        };
        found.relations.iter().map(one).collect()
    }

    #[test]
    fn names_are_derived_from_foreign_keys_in_both_directions() {
        let schema = parse(
            "entity: User\nfields: {id: {type: uuid, primary: true}}\n---\n\
             entity: Profile\nfields: {id: {type: uuid, primary: true}, user_id: {type: uuid, unique: true, references: User}}\n---\n\
             entity: Category\nfields: {id: {type: uuid, primary: true}, parentId: {type: uuid, nullable: true, references: Category}}\n---\n\
             entity: Message\nfields:\n  id: {type: uuid, primary: true}\n  fromId: {type: uuid, references: User}\n  \
             toId: {type: uuid, references: User}\n  category: {type: uuid, references: Category}\n",
        )
        .unwrap();
        assert_eq!(
            relations(&schema, "User"),
            [
                "messagesByFrom: Message*",
                "messagesByTo: Message*",
                "profile: Profile"
            ]
        );
        assert_eq!(relations(&schema, "Profile"), ["user: User"]);
        assert_eq!(
            relations(&schema, "Category"),
            ["parent: Category", "categories: Category*", "messages: Message*"]
        );
        // `category` is a field, so the derived name of the relation is taken.
        assert_eq!(relations(&schema, "Message"), ["from: User", "to: User"]);
    }

    #[test]
    fn a_file_may_name_relations_itself() {
        let message = |key: &str| {
            format!(
                "entity: User\nfields: {{id: {{type: uuid, primary: true}}}}\n---\n\
                 entity: Message\nfields:\n  id: {{type: uuid, primary: true}}\n  category: {{type: uuid, foreign_key: {{entity: User, {key}}}}}\n"
            )
        };
        let schema = parse(&message("relation: author, inverse: sent")).unwrap();
        assert_eq!(relations(&schema, "User"), ["sent: Message*"]);
        assert_eq!(relations(&schema, "Message"), ["author: User"]);
        let plain = parse(&message("field: id")).unwrap();
        assert_ne!(
            schema.hash(),
            plain.hash(),
            "a name is part of what a request means"
        );
        for (key, problem) in [
            ("relation: id", "already a field"),
            ("inverse: id", "already a field"),
            ("inverse: 1st", "is no name"),
        ] {
            let error = parse(&message(key)).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_key_over_a_column_that_is_never_exposed_has_no_name() {
        let schema = parse(
            "entity: User\nfields: {id: {type: uuid, primary: true}}\n---\n\
             entity: Note\nfields: {id: {type: uuid, primary: true}, ownerId: {type: uuid, never_expose: true, references: User}}\n",
        )
        .unwrap();
        assert_eq!(relations(&schema, "User"), [""; 0]);
        assert_eq!(relations(&schema, "Note"), [""; 0]);
    }
}
