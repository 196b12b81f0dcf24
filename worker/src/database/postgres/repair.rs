//! Makes tables and indexes that are missing in a PostgreSQL schema, all or none.

use dbal_schema::Schema;
use dbal_sql::{POSTGRES, SqlError};
use tokio_postgres::Client;

use super::catalog::{CatalogError, catalog};
use crate::database::compare::compare;
use crate::database::repair::{Step, steps};

/// Why something could not be made; nothing was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// PostgreSQL refuses.
    #[error("what is missing can't be made; nothing was. For {finding}")]
    Refused {
        /// What should have been put right.
        finding: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The transaction around it failed.
    #[error("what is missing can't be made")]
    Transaction(#[source] tokio_postgres::Error),
    /// The catalogue within it.
    #[error("what is missing can't be made")]
    Catalog(#[from] CatalogError),
    /// The schema can't be put into statements.
    #[error("what is missing can't be put into statements")]
    Statements(#[from] SqlError),
}

/// Several workers may start at once; one makes the tables, the others then find them. The number is `dbal` in ASCII. An index
/// over many rows takes its time.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(1684169068)";

/// Makes what is missing by then. Returns what was made, for people.
pub(super) async fn make(client: &Client, schema: &Schema, place: &str) -> Result<Vec<String>, RepairError> {
    let failed = RepairError::Transaction;
    client.batch_execute(BEGIN).await.map_err(failed)?;
    let made = make_within(client, schema, place).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    // Of two errors the first says more; and what can't be rolled back ends with the connection.
    let ended = client.batch_execute(end).await.map_err(failed);
    made.and_then(|made| ended.map(|()| made))
}

async fn make_within(client: &Client, schema: &Schema, place: &str) -> Result<Vec<String>, RepairError> {
    let catalog = catalog(client, place).await?;
    let mut all = Vec::new();
    for step in steps(schema, &compare(schema, &catalog), &POSTGRES)? {
        let Step {
            made,
            finding,
            statements,
        } = step;
        for statement in statements {
            let ran = client.batch_execute(statement.sql()).await;
            ran.map_err(|source| RepairError::Refused {
                finding: finding.clone(),
                source,
            })?;
        }
        all.extend(made);
    }
    Ok(all)
}
