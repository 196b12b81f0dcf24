//! `dbal schema ddl`: the statements that make tables and indexes, for whoever runs them by hand or keeps migrations.

use std::path::Path;

use clap::builder::PossibleValuesParser;
use dbal_schema::{ColumnType, Schema};
use dbal_sql::{Answers, Dialect, MARIADB, MYSQL, POSTGRES, SQLITE, Statement};

use crate::error::ToolError;
use crate::output;

/// Every database that there are statements for.
const DIALECTS: [(&str, &Dialect); 4] = [
    ("sqlite", &SQLITE),
    ("postgresql", &POSTGRES),
    ("mariadb", &MARIADB),
    ("mysql", &MYSQL),
];

/// What `--database` may say.
pub(super) fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(DIALECTS.map(|(name, _)| name))
}

pub(super) fn run(entities: &Path, database: &str) -> Result<(), ToolError> {
    let (name, dialect) = DIALECTS
        .into_iter()
        .find(|(name, _)| *name == database)
        .ok_or_else(|| ToolError::Usage(format!("there are no statements for `{database}`")))?;
    let loaded = Schema::load(entities)?;
    for warning in &loaded.warnings {
        output::say(format_args!("warning: {warning}"));
    }
    output::print(script(&loaded.schema, name, dialect)?)
}

/// All statements, each on its line, tables before indexes.
fn script(schema: &Schema, name: &str, dialect: &'static Dialect) -> Result<String, ToolError> {
    let count = schema.entities().len();
    let mut script = format!("-- for {name}; entities: {count}; schema {}\n", schema.hash());
    let has_decimal = schema
        .entities()
        .iter()
        .flat_map(|entity| &entity.columns)
        .any(|column| column.kind == ColumnType::Decimal);
    let needs_collation = (dialect.column_type)(ColumnType::Decimal).contains("dbal_decimal");
    if has_decimal && needs_collation {
        script.push_str(
            "-- The collation dbal_decimal is dbal's own: only the worker knows it, so other programs can neither make nor\n\
             -- sort these columns. `dbal schema apply` and `create_tables: true` make the tables where it is known.\n",
        );
    }
    // Its own client speaks whatever character set it was told, and a table may refer to one that comes later.
    let is_mysql = dialect.quote == '`';
    if is_mysql {
        script.push_str("SET NAMES utf8mb4;\nSET SESSION foreign_key_checks = 0;\n");
    }
    let tables = dbal_sql::ddl::tables_in_order(schema, dialect)?;
    for table in &tables {
        add(&table.create, &mut script);
    }
    for index in tables.iter().flat_map(|table| &table.indexes) {
        add(index, &mut script);
    }
    script.push_str("-- The worker's own table: answers to calls with an idempotency key.\n");
    for statement in Answers::table()?.create(dialect)? {
        add(&statement, &mut script);
    }
    let mut circles = tables.iter().flat_map(|table| &table.references).peekable();
    if circles.peek().is_some() {
        // There is no ADD CONSTRAINT IF NOT EXISTS, so this comes last: whoever stops at an error has all the rest.
        script.push_str(
            "-- Tables that refer to one another. A second run of this script is told that these exist already.\n",
        );
    }
    for reference in circles {
        add(reference, &mut script);
    }
    if is_mysql {
        script.push_str("SET SESSION foreign_key_checks = 1;\n");
    }
    Ok(script)
}

fn add(statement: &Statement, script: &mut String) {
    script.push_str(statement.sql());
    script.push_str(";\n");
}
