//! What the database has against what the entities say: looked at once, at start. A table that can't work is refused then,
//! with entity, field and column; the names of unique constraints are kept, so that a conflict can name its fields.

use std::collections::HashMap;

use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use tokio_postgres::Client;
use tokio_postgres::types::{Kind, Type};

use super::values::usable;

/// What is kept of it.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    unique: HashMap<(EntityId, String), Vec<ColumnId>>,
}

/// What of an entity the database can't serve.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// No such table.
    #[error(
        "entity `{entity}`: there is no table `{table}` in the schema that `database.postgresql.schema` names; \
         `create_tables: true` makes missing tables, but never changes one"
    )]
    NoTable {
        /// The entity.
        entity: String,
        /// Its table.
        table: String,
    },
    /// No such column.
    #[error("entity `{entity}`, field `{field}`: the table `{table}` has no column `{column}`")]
    NoColumn {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// Its table.
        table: String,
        /// Its column.
        column: String,
    },
    /// A type that does not hold the field's values.
    #[error(
        "entity `{entity}`, field `{field}`: the column `{column}` is of type {found}; usable are {usable}"
    )]
    Type {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// Its column.
        column: String,
        /// The column's type.
        found: String,
        /// Types that would do.
        usable: String,
    },
    /// An enum without a label.
    #[error(
        "entity `{entity}`, field `{field}`: the enum type `{found}` of the column `{column}` has no label for `{value}`"
    )]
    Label {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// Its column.
        column: String,
        /// The enum.
        found: String,
        /// The value without a label.
        value: String,
    },
    /// Texts that are different are equal there.
    #[error(
        "entity `{entity}`, field `{field}`: the collation of the column `{column}` is not deterministic, so different texts \
         would be equal"
    )]
    Collation {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// Its column.
        column: String,
    },
    /// The database computes it.
    #[error(
        "entity `{entity}`, field `{field}`: the database computes the column `{column}`, so no row could be written; \
         `read_only: true` would serve the entity for reading"
    )]
    Computed {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// Its column.
        column: String,
    },
    /// The database refuses the question.
    #[error("entity `{entity}`: its table can't be read")]
    Refused {
        /// The entity.
        entity: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
}

/// A column as the database has it.
struct Found {
    kind: Type,
    is_nullable: bool,
    is_deterministic: bool,
    is_computed: bool,
}

const COLUMNS: &str = "SELECT a.attname::text, a.attnotnull, coalesce(c.collisdeterministic, true), \
        a.attgenerated <> '' OR a.attidentity = 'a' \
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
    WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped";

const UNIQUE: &str = "SELECT i.relname::text, \
        array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE k.place <= x.indnkeyatts), \
        x.indexprs IS NOT NULL \
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
        CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (number, place) \
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number \
    WHERE x.indisunique AND x.indrelid = to_regclass(quote_ident($1)) GROUP BY i.relname, x.indexprs IS NOT NULL";

impl Catalog {
    /// Compares every entity with its table.
    pub(super) async fn read(client: &Client, schema: &Schema) -> Result<Self, Misfit> {
        let mut catalog = Self::default();
        for entity in schema.entities() {
            catalog.read_entity(client, entity).await?;
        }
        Ok(catalog)
    }

    /// The columns of a unique constraint or index; none where it is not of columns alone, or was not there at start.
    pub(super) fn unique_columns(&self, entity: EntityId, constraint: &str) -> Vec<ColumnId> {
        let key = (entity, constraint.to_owned());
        self.unique.get(&key).cloned().unwrap_or_default()
    }

    async fn read_entity(&mut self, client: &Client, entity: &Entity) -> Result<(), Misfit> {
        let refused = |source| Misfit::Refused {
            entity: entity.name.clone(),
            source,
        };
        let table = entity.table.as_str();
        let asked: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] = [(&table, Type::TEXT)];
        let columns = client.query_typed(COLUMNS, &asked).await.map_err(refused)?;
        if columns.is_empty() {
            return Err(Misfit::NoTable {
                entity: entity.name.clone(),
                table: table.to_owned(),
            });
        }
        let mut found = HashMap::new();
        for row in &columns {
            let name: String = row.try_get(0).map_err(refused)?;
            let column = Found {
                kind: Type::UNKNOWN,
                is_nullable: !row.try_get::<_, bool>(1).map_err(refused)?,
                is_deterministic: row.try_get(2).map_err(refused)?,
                is_computed: row.try_get(3).map_err(refused)?,
            };
            found.insert(name, column);
        }
        for column in &entity.columns {
            if !found.contains_key(column.sql.as_str()) {
                return Err(Misfit::NoColumn {
                    entity: entity.name.clone(),
                    field: column.name.clone(),
                    table: table.to_owned(),
                    column: column.sql.as_str().to_owned(),
                });
            }
        }
        // It names every column, so its result has their types; and only who may read the table may run it.
        let nothing = dbal_sql::ddl::select_nothing(entity, &dbal_sql::POSTGRES);
        if let Ok(nothing) = nothing {
            let prepared = client.prepare(nothing.sql()).await.map_err(refused)?;
            client.query(&prepared, &[]).await.map_err(refused)?;
            for (column, described) in entity.columns.iter().zip(prepared.columns()) {
                if let Some(found) = found.get_mut(column.sql.as_str()) {
                    found.kind = described.type_().clone();
                }
            }
        }
        for column in &entity.columns {
            if let Some(found) = found.get(column.sql.as_str()) {
                fits(entity, column, found)?;
            }
        }
        for row in client.query_typed(UNIQUE, &asked).await.map_err(refused)? {
            let name: String = row.try_get(0).map_err(refused)?;
            let columns: Option<Vec<Option<String>>> = row.try_get(1).map_err(refused)?;
            let is_of_expressions: bool = row.try_get(2).map_err(refused)?;
            let ids = columns.into_iter().flatten().flatten().filter_map(|name| {
                let mut ours = entity.columns.iter();
                ours.find(|column| column.sql.as_str() == name)
                    .map(|column| column.id)
            });
            let ids: Vec<ColumnId> = ids.collect();
            if !is_of_expressions {
                self.unique.insert((entity.id, name), ids);
            }
        }
        let is_unique = |columns: &Vec<ColumnId>| *columns == [entity.key];
        let mut unique = self.unique.iter().filter(|((of, _), _)| *of == entity.id);
        if !unique.any(|(_, columns)| is_unique(columns)) {
            tracing::warn!(
                entity = entity.name,
                "no unique index on the key: rows with the same key could not be told apart, and are not written"
            );
        }
        Ok(())
    }
}

fn fits(entity: &Entity, column: &Column, found: &Found) -> Result<(), Misfit> {
    let Found {
        kind,
        is_nullable,
        is_deterministic,
        is_computed,
    } = found;
    let names = || {
        (
            entity.name.clone(),
            column.name.clone(),
            column.sql.as_str().to_owned(),
        )
    };
    let mut base = kind;
    while let Kind::Domain(inner) = base.kind() {
        base = inner;
    }
    match (column.kind, base.kind()) {
        (ColumnType::Enum, Kind::Enum(labels)) => {
            let missing = column.rules.values.iter().find(|value| !labels.contains(value));
            if let Some(value) = missing {
                let (entity, field, column) = names();
                return Err(Misfit::Label {
                    entity,
                    field,
                    column,
                    found: base.name().to_owned(),
                    value: value.clone(),
                });
            }
        }
        (declared, _) if usable(declared).contains(base) => {}
        (declared, _) => {
            let (entity, field, column) = names();
            let usable: Vec<&str> = usable(declared).iter().map(Type::name).collect();
            return Err(Misfit::Type {
                entity,
                field,
                column,
                found: base.name().to_owned(),
                usable: usable.join(", "),
            });
        }
    }
    if !is_deterministic {
        let (entity, field, column) = names();
        return Err(Misfit::Collation {
            entity,
            field,
            column,
        });
    }
    if *is_computed && !entity.is_read_only {
        let (entity, field, column) = names();
        return Err(Misfit::Computed {
            entity,
            field,
            column,
        });
    }
    if *is_nullable && !column.is_nullable {
        tracing::warn!(
            entity = entity.name,
            field = column.name,
            "the column takes NULL and the field does not: rows with NULL in it sort elsewhere than in other databases"
        );
    }
    Ok(())
}
