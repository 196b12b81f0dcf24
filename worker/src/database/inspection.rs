//! One connection that looks at the database's own catalogue, for `dbal schema`. An adapter adds a line to each function.

use dbal_config::Database as DatabaseConfig;
use dbal_sandbox::RunAs;
use dbal_schema::Schema;

use super::catalog::Catalog;
use super::compare::Finding;
use super::{OpenError, sqlite};

/// Whether something may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look, and make no file.
    Read,
    /// Make what is missing, the file too.
    Make,
}

/// An open connection.
#[derive(Debug)]
pub enum Inspection {
    /// To a SQLite file.
    Sqlite(sqlite::open::Inspection),
}

impl Inspection {
    /// Opens it, before the process locks itself in.
    pub fn open(config: &DatabaseConfig, access: Access, owner: Option<RunAs>) -> Result<Self, OpenError> {
        match config {
            DatabaseConfig::Sqlite(config) => {
                let inspection = sqlite::open::Inspection::open(config, access, owner)?;
                Ok(Self::Sqlite(inspection))
            }
            // Its adapter looks at the catalogue by itself when the worker starts.
            DatabaseConfig::Postgresql(_) => Err(OpenError::NoInspection {
                adapter: dbal_sql::POSTGRES.name,
            }),
            DatabaseConfig::Mysql(_) => Err(OpenError::NoInspection {
                adapter: dbal_sql::MARIADB.name,
            }),
        }
    }

    /// Kind of database.
    pub fn adapter(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => dbal_sql::SQLITE.name,
        }
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        match self {
            Self::Sqlite(inspection) => Ok(inspection.catalog()?),
        }
    }

    /// Makes what is missing, all or nothing. Returns what was made, for people.
    pub fn make(&self, schema: &Schema, findings: &[Finding]) -> Result<Vec<String>, OpenError> {
        match self {
            Self::Sqlite(inspection) => Ok(inspection.make(schema, findings)?),
        }
    }
}
