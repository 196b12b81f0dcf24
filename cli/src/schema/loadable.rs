//! Which entities the daemons would load. The others stay in their files as comments, so that whatever is written loads: the
//! loader itself is asked, and no importer has to know all of its rules.

use std::collections::{HashMap, HashSet};

use dbal_schema::error::Problems;
use dbal_schema::yaml::FILE_BYTES;
use dbal_schema::{Schema, SchemaError, Source};
use dbal_shared::limits::ENTITIES;

use super::entity_file::{EntityFile, cut, file_names};

/// How often the loader is asked. It tells 200 problems at once; where this is not enough, nothing of the schema is sound.
const ROUNDS: usize = 16;
/// Longest note of an entity whose file would be too long with all of it.
const NOTE_BYTES: usize = 1_024;

/// What was done so that the rest loads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The entity is a comment in its file.
    Refused {
        entity: String,
        /// None: the whole entity.
        field: Option<String>,
        /// In the loader's words.
        why: String,
    },
    /// The field refers to nothing, since the other entity is a comment.
    Unlinked {
        entity: String,
        field: String,
        to: String,
    },
}

/// Something that the loader says, about which entity and which of its fields.
struct Objection {
    entity: usize,
    /// None: the whole entity.
    field: Option<usize>,
    why: String,
}

/// Takes out what the daemons would refuse, until they load what is left. The notes of the entities tell all of it too.
pub(super) fn settle(entities: &mut [EntityFile]) -> Vec<Change> {
    let mut changes = Vec::new();
    tell_indexes_apart(entities);
    let too_many = format!("there are more than {ENTITIES} entities");
    refuse_rest(entities, ENTITIES, &too_many, &mut changes);
    for _ in 0..ROUNDS {
        let objections = objections(entities);
        if objections.is_empty() {
            return changes;
        }
        for Objection { entity, field, why } in objections {
            if let Some(entity) = entities.get_mut(entity) {
                changes.push(refuse(entity, field, why));
            }
        }
        unlink(entities, &mut changes);
    }
    refuse_rest(
        entities,
        0,
        "too many others are refused for this one to be looked at",
        &mut changes,
    );
    changes
}

/// Some databases name indexes within a table, entity files over all of them.
fn tell_indexes_apart(entities: &mut [EntityFile]) {
    let mut taken = HashSet::new();
    for entity in entities {
        for index in &mut entity.indexes {
            if !taken.insert(index.name.to_ascii_lowercase()) {
                index.name = cut(&format!("{}_{}", entity.name, index.name));
                taken.insert(index.name.to_ascii_lowercase());
            }
        }
    }
}

/// What the loader says against the entities that are left. Empty only if they load, and never about others: each round
/// takes one out.
fn objections(entities: &[EntityFile]) -> Vec<Objection> {
    let named = entities.iter().zip(file_names(entities)).enumerate();
    let left = named.filter(|(_, (entity, _))| entity.is_entity());
    let (numbers, sources): (Vec<usize>, Vec<Source>) = left
        .map(|(nth, (entity, name))| {
            let text = entity.text();
            (nth, Source { name, text })
        })
        .unzip();
    let Some(first) = numbers.first().copied() else {
        return Vec::new();
    };
    let problems = match Schema::parse(&sources) {
        Ok(_) => return Vec::new(),
        Err(SchemaError::Invalid(Problems(problems))) => problems,
        Err(
            other @ (SchemaError::Unreadable { .. } | SchemaError::EmptyFolder { .. } | SchemaError::Empty),
        ) => {
            return vec![Objection {
                entity: first,
                field: None,
                why: other.to_string(),
            }];
        }
    };
    let files: HashMap<&str, (usize, &str)> = sources
        .iter()
        .zip(numbers)
        .map(|(source, nth)| (source.name.as_str(), (nth, source.text.as_str())))
        .collect();
    let objections = problems.into_iter().map(|problem| {
        let (nth, text) = files.get(&*problem.at.file).copied().unwrap_or((first, ""));
        let before = usize::try_from(problem.at.line).unwrap_or(0).checked_sub(1);
        let line = before.and_then(|before| text.lines().nth(before));
        let entity = entities.get(nth);
        Objection {
            entity: nth,
            field: entity.and_then(|entity| entity.field_in(line?)),
            why: problem.text,
        }
    });
    objections.collect()
}

fn refuse(entity: &mut EntityFile, field: Option<usize>, why: String) -> Change {
    let note = format!("the daemons refuse this: {why}");
    let field = field.and_then(|field| entity.fields.get_mut(field));
    let name = field.as_ref().map(|field| field.name.clone());
    field
        .map_or(&mut entity.notes, |field| &mut field.notes)
        .push(note);
    entity.is_refused = true;
    // Nor would a file that is too long for them be read for its comments.
    if entity.text().len() > FILE_BYTES {
        entity.fields.clear();
        entity.notes.retain(|note| note.len() <= NOTE_BYTES);
    }
    Change::Refused {
        entity: entity.name.clone(),
        field: name,
        why,
    }
}

/// All but the first so many that are left.
fn refuse_rest(entities: &mut [EntityFile], first: usize, why: &str, changes: &mut Vec<Change>) {
    let left = entities.iter_mut().filter(|entity| entity.is_entity());
    let mut refused = left.skip(first).peekable();
    if refused.peek().is_some() {
        changes.extend(refused.map(|entity| refuse(entity, None, why.to_owned())));
        unlink(entities, changes);
    }
}

/// Whoever refers to what is refused would be refused too.
fn unlink(entities: &mut [EntityFile], changes: &mut Vec<Change>) {
    let left = entities.iter().filter(|entity| entity.is_entity());
    let left: HashSet<String> = left.map(|entity| entity.name.clone()).collect();
    for entity in entities.iter_mut().filter(|entity| entity.is_entity()) {
        for field in &mut entity.fields {
            let Some(lost) = field.references.take_if(|to| !left.contains(&to.entity)) else {
                continue;
            };
            field.notes.push(format!(
                "the foreign key to `{}.{}` is left out: `{}` is no entity as it stands",
                lost.entity, lost.field, lost.entity
            ));
            changes.push(Change::Unlinked {
                entity: entity.name.clone(),
                field: field.name.clone(),
                to: lost.entity,
            });
        }
    }
}
