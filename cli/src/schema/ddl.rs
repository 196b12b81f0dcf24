//! `dbal schema ddl`: the statements that make tables and indexes, for whoever runs them by hand or keeps migrations.

use std::path::Path;

use clap::builder::PossibleValuesParser;
use dbal_schema::{ColumnType, Schema};
use dbal_sql::{Answers, Dialect, POSTGRES, SQLITE, Statement};

use crate::error::ToolError;

/// Every database that there are statements for.
const DIALECTS: [&Dialect; 2] = [&SQLITE, &POSTGRES];

/// What `--database` may say.
pub(super) fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(DIALECTS.map(|dialect| dialect.name))
}

pub(super) fn run(entities: &Path, database: &str) -> Result<(), ToolError> {
    let dialect = DIALECTS.into_iter().find(|dialect| dialect.name == database);
    let dialect =
        dialect.ok_or_else(|| ToolError::Usage(format!("there are no statements for `{database}`")))?;
    let loaded = Schema::load(entities)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", script(&loaded.schema, dialect)?);
    Ok(())
}

/// All statements, each on its line, tables before indexes.
fn script(schema: &Schema, dialect: &'static Dialect) -> Result<String, ToolError> {
    let count = schema.entities().len();
    let mut script = format!(
        "-- for {}; entities: {count}; schema {}\n",
        dialect.name,
        schema.hash()
    );
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
    Ok(script)
}

fn add(statement: &Statement, script: &mut String) {
    script.push_str(statement.sql());
    script.push_str(";\n");
}
