//! The columns of each unique constraint, as they were at start: an error names the constraint, and a client is told the fields.

use std::collections::HashMap;

use dbal_schema::Schema;
use dbal_shared::ids::{ColumnId, EntityId};

use crate::database::catalog::Catalog;

/// Unique constraints and indexes of the entities' tables.
#[derive(Debug, Default)]
pub(super) struct Unique(HashMap<(EntityId, String), Vec<ColumnId>>);

impl Unique {
    /// Those of a database.
    pub(super) fn of(schema: &Schema, catalog: &Catalog) -> Self {
        let mut unique = HashMap::new();
        for entity in schema.entities() {
            let Some(table) = catalog.table(entity.table.as_str()) else {
                continue;
            };
            for index in table.indexes.iter().filter(|index| index.is_unique) {
                let ours = |name: &String| {
                    let mut columns = entity.columns.iter();
                    columns
                        .find(|column| column.sql.as_str() == name)
                        .map(|column| column.id)
                };
                let columns = index.columns.iter().filter_map(ours).collect();
                unique.insert((entity.id, index.name.clone()), columns);
            }
        }
        Self(unique)
    }

    /// The columns of one; none where it is not of columns alone, or was not there at start.
    pub(super) fn columns(&self, entity: EntityId, constraint: &str) -> Vec<ColumnId> {
        let key = (entity, constraint.to_owned());
        self.0.get(&key).cloned().unwrap_or_default()
    }
}
