//! Entities → `CREATE TABLE IF NOT EXISTS`, for databases that the daemon makes itself.

use dbal_schema::{Column, Entity, OnDelete, Schema};

use crate::dialect::Dialect;
use crate::sql::{Sql, SqlError, Statement};

/// Statements that make every table and index that is not there yet. Existing tables are left as they are.
pub fn create_tables(schema: &Schema, dialect: &'static Dialect) -> Result<Vec<Statement>, SqlError> {
    let mut statements = Vec::new();
    for entity in schema.entities() {
        statements.push(create_table(entity, schema, dialect)?);
    }
    for entity in schema.entities() {
        create_indexes(entity, dialect, &mut statements)?;
    }
    Ok(statements)
}

/// A query that finds nothing and names every column: it can be prepared only where the table fits the entity.
pub fn select_nothing(entity: &Entity, dialect: &'static Dialect) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(dialect);
    sql.keyword("SELECT ");
    for (nth, column) in entity.columns.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&entity.table);
        sql.keyword(".").identifier(&column.sql);
    }
    sql.keyword(" FROM ")
        .identifier(&entity.table)
        .keyword(" WHERE FALSE");
    sql.finish()
}

fn create_table(entity: &Entity, schema: &Schema, dialect: &'static Dialect) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(dialect);
    sql.keyword("CREATE TABLE IF NOT EXISTS ")
        .identifier(&entity.table)
        .keyword(" (");
    for (nth, column) in entity.columns.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " });
        sql.identifier(&column.sql)
            .keyword(" ")
            .keyword((dialect.column_type)(column.kind));
        if column.id == entity.key {
            sql.keyword(" PRIMARY KEY");
        }
        if !column.is_nullable || column.id == entity.key {
            sql.keyword(" NOT NULL");
        }
        if column.is_unique && column.id != entity.key {
            sql.keyword(" UNIQUE");
        }
        references(column, schema, &mut sql)?;
    }
    sql.keyword(")").keyword(dialect.table_options);
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
        OnDelete::Restrict => " ON DELETE RESTRICT",
        OnDelete::Cascade => " ON DELETE CASCADE",
        OnDelete::SetNull => " ON DELETE SET NULL",
    });
    Ok(())
}

fn create_indexes(
    entity: &Entity,
    dialect: &'static Dialect,
    statements: &mut Vec<Statement>,
) -> Result<(), SqlError> {
    // A reference is followed backwards whenever the other row is deleted; without an index that reads the whole table.
    let is_wanted = |column: &&Column| column.is_indexed || column.references.is_some();
    for column in entity
        .columns
        .iter()
        .filter(is_wanted)
        .filter(|column| !entity.is_unique(column.id))
    {
        let mut sql = Sql::new(dialect);
        sql.keyword("CREATE INDEX IF NOT EXISTS ")
            .index_of(&entity.table, &column.sql);
        sql.keyword(" ON ").identifier(&entity.table).keyword(" (");
        sql.identifier(&column.sql).keyword(")");
        statements.push(sql.finish()?);
    }
    for index in &entity.indexes {
        let mut sql = Sql::new(dialect);
        sql.keyword(if index.is_unique {
            "CREATE UNIQUE INDEX IF NOT EXISTS "
        } else {
            "CREATE INDEX IF NOT EXISTS "
        });
        sql.identifier(&index.name)
            .keyword(" ON ")
            .identifier(&entity.table)
            .keyword(" (");
        for (nth, column) in index.columns.iter().enumerate() {
            let column = entity.column(*column).ok_or(SqlError::NotInSchema)?;
            sql.keyword(if nth == 0 { "" } else { ", " })
                .identifier(&column.sql);
        }
        sql.keyword(")");
        statements.push(sql.finish()?);
    }
    Ok(())
}
