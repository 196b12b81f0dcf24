//! What the worker found at start and a row or an error does not tell: unique constraints, and columns of types whose values need a
//! second look.

use std::collections::HashMap;

use dbal_schema::{Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_sql::{BRIDGED_POSTGRES, BRIDGED_POSTGRES_FOREIGN, Dialect};

use super::values::Storage;
use crate::database::catalog::Catalog;
use crate::database::postgres::tables::Texts;
use crate::database::unique::Unique;

/// Of all entities.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) unique: Unique,
    storages: HashMap<(EntityId, ColumnId), Storage>,
    texts: Texts,
}

impl Tables {
    /// Those of a database.
    pub(super) fn of(schema: &Schema, catalog: &Catalog) -> Self {
        let mut storages = HashMap::new();
        for entity in schema.entities() {
            let Some(table) = catalog.table(entity.table.as_str()) else {
                continue;
            };
            for column in &entity.columns {
                let mut there = table.columns.iter();
                let storage =
                    there
                        .find(|there| there.name == column.sql.as_str())
                        .map_or(Storage::Plain, |there| match there.storage.as_str() {
                            "float4" => Storage::Single,
                            "bpchar" => Storage::Padded,
                            _ => Storage::Plain,
                        });
                if storage != Storage::Plain {
                    storages.insert((entity.id, column.id), storage);
                }
            }
        }
        Self {
            unique: Unique::of(schema, catalog),
            storages,
            texts: Texts::of(schema, catalog),
        }
    }

    /// What its statements are written in.
    pub(super) fn dialect(&self) -> &'static Dialect {
        match self.texts {
            Texts::Exact => &BRIDGED_POSTGRES,
            Texts::Padded => &BRIDGED_POSTGRES_FOREIGN,
        }
    }

    /// Of a column.
    pub(super) fn storage(&self, entity: &Entity, column: ColumnId) -> Storage {
        self.storages
            .get(&(entity.id, column))
            .copied()
            .unwrap_or_default()
    }
}
