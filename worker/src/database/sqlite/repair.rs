//! Makes tables and indexes that are missing in a file, all or none.

use dbal_schema::Schema;
use dbal_sql::{SQLITE, SqlError};
use rusqlite::Connection;

use crate::database::compare::Finding;
use crate::database::repair::{Step, steps};

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
    let mut all = Vec::new();
    for step in steps(schema, findings, &SQLITE)? {
        let Step {
            made,
            finding,
            statements,
        } = step;
        for statement in statements {
            let ran = transaction.execute(statement.sql(), []);
            ran.map_err(|source| RepairError::Refused {
                finding: finding.clone(),
                source,
            })?;
        }
        all.extend(made);
    }
    transaction.commit().map_err(RepairError::Transaction)?;
    Ok(all)
}
