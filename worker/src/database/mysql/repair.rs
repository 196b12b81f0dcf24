//! Makes tables and indexes that are missing in a MariaDB or MySQL database, one statement after the other: each of them stays,
//! whatever becomes of the next. Since all that is missing is looked for again each time, the next run makes the rest.

use dbal_schema::Schema;
use dbal_sql::SqlError;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::catalog::catalog;
use super::order::made as dialect_of;
use super::server::Kind;
use super::trouble::told;
use crate::database::compare::compare;
use crate::database::repair::{Step, steps};

/// Why not all could be made.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The server refuses.
    #[error(
        "not all that is missing can be made. This server takes no statement back, so {} there; when the cause is gone, the same once \
         more makes the rest. For {finding}: {why}",
        among(.made)
    )]
    Refused {
        /// What was made before.
        made: Vec<String>,
        /// What should have been put right.
        finding: String,
        /// Why.
        why: String,
    },
    /// What is around it failed.
    #[error("what is missing can't be made: {0}")]
    Around(String),
    /// Somebody else is at it.
    #[error("somebody else has been making tables of this database for 50 s; try again when that is done")]
    Busy,
    /// The schema can't be put into statements.
    #[error("what is missing can't be put into statements")]
    Statements(#[from] SqlError),
}

fn among(made: &[String]) -> String {
    if made.is_empty() {
        "nothing more than before is".to_owned()
    } else {
        format!("this much is: {};", made.join(", "))
    }
}

/// Several workers may start at once; one makes the tables, the others then find them. Names of locks are those of the whole
/// server, and short.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('dbal.', LEFT(SHA2(DATABASE(), 256), 32)), 50)";
const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('dbal.', LEFT(SHA2(DATABASE(), 256), 32)))";
/// Tables may refer to one another in a circle. An index over many rows takes its time (MySQL limits only the time of reads).
fn begin(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::MariaDb => &[
            "SET SESSION foreign_key_checks = 0",
            "SET SESSION max_statement_time = 0",
        ],
        Kind::MySql => &["SET SESSION foreign_key_checks = 0"],
    }
}

/// Makes what is missing by then. Returns what was made, for people. The connection is good for looking afterwards, and for
/// nothing else.
pub(super) async fn make(
    connection: &mut Conn,
    schema: &Schema,
    kind: Kind,
) -> Result<Vec<String>, RepairError> {
    let around = |error: Error| RepairError::Around(told(&error));
    let got: Option<Option<bool>> = connection.query_first(LOCK).await.map_err(around)?;
    if got.flatten() != Some(true) {
        return Err(RepairError::Busy);
    }
    let made = make_within(connection, schema, kind).await;
    // Of two errors the first says more; and the lock ends with the connection.
    let unlocked = connection.query_drop(UNLOCK).await.map_err(around);
    made.and_then(|made| unlocked.map(|()| made))
}

async fn make_within(connection: &mut Conn, schema: &Schema, kind: Kind) -> Result<Vec<String>, RepairError> {
    let around = |error: Error| RepairError::Around(told(&error));
    for command in begin(kind) {
        connection.query_drop(*command).await.map_err(around)?;
    }
    let catalog = catalog(connection, kind).await.map_err(around)?;
    let mut all = Vec::new();
    for step in steps(schema, &compare(schema, &catalog), dialect_of(kind))? {
        let Step {
            made,
            finding,
            statements,
        } = step;
        for statement in statements {
            if let Err(error) = connection.query_drop(statement.sql()).await {
                return Err(RepairError::Refused {
                    made: all,
                    finding,
                    why: told(&error),
                });
            }
        }
        all.extend(made);
    }
    Ok(all)
}
