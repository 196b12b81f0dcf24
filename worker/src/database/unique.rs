//! Constraints as they were at start: the columns of each unique one, since an error names the constraint, and a client is told the
//! fields; and which tables refer to themselves, whatever the entities say of that.

use std::collections::{HashMap, HashSet};

use dbal_schema::Schema;
use dbal_shared::ids::{ColumnId, EntityId};

use super::catalog::{Catalog, Extent, Reference};

/// Unique constraints and indexes of the entities' tables, and what refers to itself.
#[derive(Debug, Default)]
pub(in crate::database) struct Unique {
    columns: HashMap<(EntityId, String), Vec<ColumnId>>,
    /// Columns of which no two rows have the same value.
    single: HashSet<(EntityId, ColumnId)>,
    /// Entities whose table has a foreign key to itself.
    circular: HashSet<EntityId>,
}

impl Unique {
    /// Those of a database.
    pub(in crate::database) fn of(schema: &Schema, catalog: &Catalog) -> Self {
        let mut unique = Self::default();
        for entity in schema.entities() {
            let Some(table) = catalog.table(entity.table.as_str()) else {
                continue;
            };
            let is_own = |reference: &Reference| catalog.table_names.are_one(&reference.table, &table.name);
            if table.references.iter().any(is_own) {
                unique.circular.insert(entity.id);
            }
            for index in table.indexes.iter().filter(|index| index.is_unique) {
                let ours = |name: &String| {
                    let mut columns = entity.columns.iter();
                    columns
                        .find(|column| catalog.names.are_one(column.sql.as_str(), name))
                        .map(|column| column.id)
                };
                let columns: Vec<ColumnId> = index.columns.iter().filter_map(ours).collect();
                // Of an index over two columns, one of them ours, `columns` has one, too.
                let is_whole = index.extent == Extent::Whole;
                if let ([one], [_], true) = (columns.as_slice(), index.columns.as_slice(), is_whole) {
                    unique.single.insert((entity.id, *one));
                }
                unique.columns.insert((entity.id, index.name.clone()), columns);
            }
        }
        unique
    }

    /// Whether no two rows have the same value of this column.
    pub(in crate::database) fn is_unique(&self, entity: EntityId, column: ColumnId) -> bool {
        self.single.contains(&(entity, column))
    }

    /// Whether a row may refer to another of the same table, which the entity need not say.
    pub(in crate::database) fn is_circular(&self, entity: EntityId) -> bool {
        self.circular.contains(&entity)
    }

    /// The columns of one; none where it is not of columns alone, or was not there at start.
    pub(in crate::database) fn columns(&self, entity: EntityId, constraint: &str) -> Vec<ColumnId> {
        let key = (entity, constraint.to_owned());
        self.columns.get(&key).cloned().unwrap_or_default()
    }
}
