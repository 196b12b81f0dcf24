//! The agreed schema: every entity, found by id or name, and the hash that both processes compare.

use std::collections::HashMap;
use std::path::Path;

use dbal_shared::ids::{Digest, EntityId};

use crate::entity::Entity;
use crate::error::{Problems, SchemaError};
use crate::identifier::Identifier;
use crate::report::Report;
use crate::source::{Source, Warning};
use crate::{canonical, compile, declared, folder, ops_file, yaml};

/// All entities. Ids follow the names' order, so they don't depend on the order of files.
#[derive(Clone, Debug)]
pub struct Schema {
    entities: Vec<Entity>,
    by_name: HashMap<String, EntityId>,
    hash: Digest,
}

/// A schema and what is odd about its files.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The schema.
    pub schema: Schema,
    /// What loads but deserves a look.
    pub warnings: Vec<Warning>,
}

impl Schema {
    /// Reads every `*.yaml` and `*.yml` under `dir`; `*.ops.yaml` among them hold limits of operations.
    pub fn load(dir: &Path) -> Result<Loaded, SchemaError> {
        Self::parse(&folder::read(dir)?).map_err(|error| match error {
            SchemaError::Empty => SchemaError::EmptyFolder { path: dir.to_owned() },
            other @ (SchemaError::Unreadable { .. }
            | SchemaError::Invalid(_)
            | SchemaError::EmptyFolder { .. }) => other,
        })
    }

    /// The same from texts. Reports everything that is wrong with any of them.
    pub fn parse(sources: &[Source]) -> Result<Loaded, SchemaError> {
        let mut report = Report::default();
        let (mut declared, mut ops) = (Vec::new(), Vec::new());
        for source in sources {
            let is_ops = [".ops.yaml", ".ops.yml"]
                .iter()
                .any(|end| source.name.ends_with(end));
            let documents = match yaml::parse(source) {
                Ok(documents) => documents,
                Err(problem) => {
                    report.problem(&problem.at, problem.text);
                    continue;
                }
            };
            for document in &documents {
                if is_ops {
                    ops.extend(ops_file::read(document, &mut report));
                } else {
                    declared.extend(declared::read(document, &mut report));
                }
            }
        }
        let entities = compile::entities(declared, &ops, &mut report);
        let Report { problems, warnings } = report;
        if !problems.is_empty() {
            return Err(SchemaError::Invalid(Problems(problems)));
        }
        if entities.is_empty() {
            return Err(SchemaError::Empty);
        }
        let schema = Schema {
            by_name: entities
                .iter()
                .map(|entity| (entity.name.clone(), entity.id))
                .collect(),
            hash: canonical::hash(&entities),
            entities,
        };
        Ok(Loaded { schema, warnings })
    }

    /// A table of the daemon's own, whose name begins as none of an entity file may. Like our own words in SQL, its
    /// text and its name stand in our source.
    pub fn of_our_own(table: &'static str, text: &'static str) -> Option<Schema> {
        let source = Source {
            name: table.to_owned(),
            text: text.to_owned(),
        };
        let mut schema = Self::parse(&[source]).ok()?.schema;
        let [entity] = schema.entities.as_mut_slice() else {
            return None;
        };
        entity.table = Identifier::parse(table).ok()?;
        Some(schema)
    }

    /// All entities, in the order of their names.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// The entity with this index.
    pub fn entity(&self, entity: EntityId) -> Option<&Entity> {
        self.entities.get(usize::from(entity.0))
    }

    /// The entity that clients call so; case counts.
    pub fn by_name(&self, name: &str) -> Option<&Entity> {
        self.by_name.get(name).and_then(|entity| self.entity(*entity))
    }

    /// SHA-256 over all that the schema says, whatever the order and layout of its files.
    pub fn hash(&self) -> Digest {
        self.hash
    }
}

#[cfg(test)]
mod tests;
