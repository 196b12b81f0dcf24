//! Entities → `CREATE TABLE IF NOT EXISTS`, for databases that the daemon makes itself.

use dbal_schema::{Column, Entity, Identifier, Index, OnDelete, Schema};
use dbal_shared::ids::{ColumnId, EntityId};

use crate::dialect::{Dialect, Forward, References};
use crate::sql::{Sql, SqlError, Statement};

/// Statements that make every table and index that is not there yet. Existing tables are left as they are.
pub fn create_tables(schema: &Schema, dialect: &'static Dialect) -> Result<Vec<Statement>, SqlError> {
    let (mut creates, mut rest) = (Vec::new(), Vec::new());
    let mut all_indexes = Vec::new();
    for table in tables_in_order(schema, dialect)? {
        let Table {
            entity: _,
            create,
            references,
            indexes,
        } = table;
        creates.push(create);
        rest.extend(references);
        all_indexes.extend(indexes);
    }
    creates.append(&mut rest);
    creates.append(&mut all_indexes);
    Ok(creates)
}

/// What makes one table.
#[derive(Debug)]
pub struct Table {
    /// Of this entity.
    pub entity: EntityId,
    /// Makes it, with the references to tables that are made before it.
    pub create: Statement,
    /// References to tables that are made after it; to be run when all are there.
    pub references: Vec<Statement>,
    /// Its indexes.
    pub indexes: Vec<Statement>,
}

/// What makes every table. A table comes after those that it refers to, as far as references form no circle: whoever stops in
/// between has no table that refers to nothing.
pub fn tables_in_order(schema: &Schema, dialect: &'static Dialect) -> Result<Vec<Table>, SqlError> {
    let mut made = vec![false; schema.entities().len()];
    let mut tables = Vec::with_capacity(made.len());
    let position = |entity: EntityId| usize::from(entity.0);
    let takes_any = match dialect.forward {
        Forward::Taken => true,
        Forward::Refused => false,
    };
    while tables.len() < made.len() {
        let is_made = |entity: EntityId| made.get(position(entity)).copied().unwrap_or(false);
        let is_before = |other: EntityId, own: EntityId| other == own || is_made(other);
        let waiting = || schema.entities().iter().filter(|entity| !is_made(entity.id));
        let is_ready = |entity: &&Entity| {
            let mut references = entity.columns.iter().filter_map(|column| column.references);
            references.all(|reference| is_before(reference.entity, entity.id))
        };
        // Where all that are left refer to one another, one has to be the first.
        let Some(entity) = waiting().find(is_ready).or_else(|| waiting().next()) else {
            break;
        };
        let is_before = |other: EntityId| takes_any || is_before(other, entity.id);
        let mut references = Vec::new();
        for column in &entity.columns {
            if column
                .references
                .is_some_and(|reference| !is_before(reference.entity))
            {
                references.push(add_reference(entity, column, schema, dialect)?);
            }
        }
        tables.push(Table {
            entity: entity.id,
            create: create_table(entity, schema, dialect, &is_before)?,
            references,
            indexes: create_indexes(entity, dialect)?,
        });
        if let Some(made) = made.get_mut(position(entity.id)) {
            *made = true;
        }
    }
    Ok(tables)
}

fn create_table(
    entity: &Entity,
    schema: &Schema,
    dialect: &'static Dialect,
    may_refer_to: &dyn Fn(EntityId) -> bool,
) -> Result<Statement, SqlError> {
    let may_be_here = |column: &Column| {
        column
            .references
            .is_some_and(|reference| may_refer_to(reference.entity))
    };
    let mut sql = Sql::new(dialect);
    sql.keyword("CREATE TABLE IF NOT EXISTS ")
        .identifier(&entity.table)
        .keyword(" (");
    for (nth, column) in entity.columns.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " });
        sql.identifier(&column.sql)
            .keyword(" ")
            .keyword(column_type(column, entity, dialect));
        if column.id == entity.key {
            sql.keyword(" PRIMARY KEY");
        }
        if !column.is_nullable || column.id == entity.key {
            sql.keyword(" NOT NULL");
        }
        if column.is_unique && column.id != entity.key {
            sql.keyword(" UNIQUE");
        }
        if dialect.references == References::Inline && may_be_here(column) {
            references(column, schema, &mut sql)?;
        }
    }
    if dialect.references == References::AtEnd {
        for column in entity.columns.iter().filter(|column| may_be_here(column)) {
            // Names that the database makes up can be too long for it.
            sql.keyword(", CONSTRAINT ")
                .reference_of(&entity.table, &column.sql);
            sql.keyword(" FOREIGN KEY (").identifier(&column.sql).keyword(")");
            references(column, schema, &mut sql)?;
        }
    }
    sql.keyword(")").keyword(dialect.table_options);
    sql.finish()
}

fn column_type(column: &Column, entity: &Entity, dialect: &Dialect) -> &'static str {
    let is_in_an_index = entity.is_unique(column.id)
        || column.is_indexed
        || column.references.is_some()
        || entity
            .indexes
            .iter()
            .any(|index| index.columns.contains(&column.id));
    if is_in_an_index {
        (dialect.indexed_type)(column)
    } else {
        (dialect.column_type)(column.kind)
    }
}

fn add_reference(
    entity: &Entity,
    column: &Column,
    schema: &Schema,
    dialect: &'static Dialect,
) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(dialect);
    sql.keyword("ALTER TABLE ").identifier(&entity.table);
    // Named as PostgreSQL names those within CREATE TABLE, so that there is never a second one of the same.
    sql.keyword(" ADD CONSTRAINT ")
        .reference_of(&entity.table, &column.sql);
    sql.keyword(" FOREIGN KEY (").identifier(&column.sql).keyword(")");
    references(column, schema, &mut sql)?;
    sql.finish()
}

fn references(column: &Column, schema: &Schema, sql: &mut Sql) -> Result<(), SqlError> {
    let Some(reference) = column.references else {
        return Ok(());
    };
    let other = schema.entity(reference.entity).ok_or(SqlError::NotInSchema)?;
    let target = other.column(reference.column).ok_or(SqlError::NotInSchema)?;
    sql.keyword(" REFERENCES ").identifier(&other.table);
    sql.keyword(" (").identifier(&target.sql).keyword(")");
    sql.keyword(match reference.on_delete {
        // Looked at when the statement ends, in SQLite and PostgreSQL: rows that refer to one another go together. By `RESTRICT` SQLite
        // looks at each row by itself. To MariaDB and MySQL both are that.
        OnDelete::Restrict => " ON DELETE NO ACTION",
        OnDelete::Cascade => " ON DELETE CASCADE",
        OnDelete::SetNull => " ON DELETE SET NULL",
    });
    Ok(())
}

/// An index that an entity wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its columns, in order.
    pub columns: Vec<ColumnId>,
    /// No two rows agree in all of them.
    pub is_unique: bool,
    /// Its name; none where it is named after its only column.
    pub name: Option<Identifier>,
    /// Whether `CREATE TABLE` makes it as part of its column.
    pub is_inline: bool,
}

/// Every index that the entity wants besides its key's.
pub fn wanted_indexes(entity: &Entity) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let single = |column: &Column, is_unique| Wanted {
        columns: vec![column.id],
        is_unique,
        name: None,
        is_inline: is_unique,
    };
    for column in entity.columns.iter().filter(|column| column.id != entity.key) {
        if column.is_unique {
            wanted.push(single(column, true));
        } else if (column.is_indexed || column.references.is_some() || is_swept(entity, column))
            && !entity.is_unique(column.id)
        {
            // A reference is followed backwards whenever the other row is deleted, and expired rows are looked for again and
            // again; without an index each of both reads the whole table.
            wanted.push(single(column, false));
        }
    }
    wanted.extend(entity.indexes.iter().map(|index| Wanted {
        columns: index.columns.clone(),
        is_unique: index.is_unique,
        name: Some(index.name.clone()),
        is_inline: false,
    }));
    wanted
}

/// Whether rows expire by this column, and no index of the entity's own serves to find them.
fn is_swept(entity: &Entity, column: &Column) -> bool {
    let begins_with_it = |index: &Index| index.columns.first() == Some(&column.id);
    entity.expires_by().is_some_and(|by| by.id == column.id) && !entity.indexes.iter().any(begins_with_it)
}

/// Makes one index of a table that is there.
pub fn create_index(
    entity: &Entity,
    wanted: &Wanted,
    dialect: &'static Dialect,
) -> Result<Statement, SqlError> {
    let columns = wanted
        .columns
        .iter()
        .map(|column| entity.column(*column).ok_or(SqlError::NotInSchema))
        .collect::<Result<Vec<_>, _>>()?;
    let first = columns.first().ok_or(SqlError::NotInSchema)?;
    let mut sql = Sql::new(dialect);
    sql.keyword(if wanted.is_unique {
        "CREATE UNIQUE INDEX"
    } else {
        "CREATE INDEX"
    });
    sql.keyword(dialect.if_not_exists).keyword(" ");
    match &wanted.name {
        Some(name) => sql.identifier(name),
        None if wanted.is_unique => sql.unique_index_of(&entity.table, &first.sql),
        None => sql.index_of(&entity.table, &first.sql),
    };
    sql.keyword(" ON ").identifier(&entity.table).keyword(" (");
    for (nth, column) in columns.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " });
        indexed(column, &mut sql);
    }
    sql.keyword(")");
    sql.finish()
}

fn create_indexes(entity: &Entity, dialect: &'static Dialect) -> Result<Vec<Statement>, SqlError> {
    let wanted = wanted_indexes(entity);
    let apart = wanted.iter().filter(|wanted| !wanted.is_inline);
    apart
        .map(|wanted| create_index(entity, wanted, dialect))
        .collect()
}

fn indexed(column: &Column, sql: &mut Sql) {
    let order = if column.is_nullable {
        sql.dialect().indexed
    } else {
        ""
    };
    sql.identifier(&column.sql).keyword(order);
}
