//! Makes tables and indexes that are missing, all or none. Nothing that is there is ever changed.

use dbal_schema::Schema;
use dbal_sql::{Answers, SQLITE, SqlError, ddl};
use rusqlite::Connection;

use crate::database::compare::{Finding, Repair};

/// Why something could not be made; nothing was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// SQLite refuses.
    #[error("what is missing can't be made; nothing was. For {finding}")]
    Refused {
        /// What should have been put right.
        finding: String,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The transaction around it failed.
    #[error("what is missing can't be made")]
    Transaction(#[source] rusqlite::Error),
    /// The schema can't be put into statements.
    #[error("what is missing can't be put into statements")]
    Statements(#[from] SqlError),
}

/// Makes what the findings say is missing. Returns what was made, for people.
pub fn make(
    connection: &Connection,
    schema: &Schema,
    findings: &[Finding],
) -> Result<Vec<String>, RepairError> {
    let transaction = connection
        .unchecked_transaction()
        .map_err(RepairError::Transaction)?;
    let mut made = Vec::new();
    for finding in findings {
        let Some(repair) = &finding.repair else {
            continue;
        };
        let statements = match repair {
            Repair::Table(id) => {
                let entity = schema.entity(*id).ok_or(SqlError::NotInSchema)?;
                made.push(format!("the table `{}` of `{}`", entity.table, entity.name));
                ddl::create_one(entity, schema, &SQLITE)?
            }
            Repair::Own => {
                let own = Answers::table()?;
                made.push(format!("the worker's own table `{}`", own.entity.table));
                own.create(&SQLITE)?
            }
            Repair::Index(id, wanted) => {
                let entity = schema.entity(*id).ok_or(SqlError::NotInSchema)?;
                let columns: Vec<&str> = wanted
                    .columns
                    .iter()
                    .filter_map(|column| entity.column(*column))
                    .map(|column| column.sql.as_str())
                    .collect();
                let kind = if wanted.is_unique {
                    "a unique index"
                } else {
                    "an index"
                };
                made.push(format!(
                    "{kind} over {} of the table `{}`",
                    columns.join(", "),
                    entity.table
                ));
                vec![ddl::create_index(entity, wanted, &SQLITE)?]
            }
        };
        for statement in statements {
            transaction
                .execute(statement.sql(), [])
                .map_err(|source| RepairError::Refused {
                    finding: finding.to_string(),
                    source,
                })?;
        }
    }
    transaction.commit().map_err(RepairError::Transaction)?;
    Ok(made)
}
