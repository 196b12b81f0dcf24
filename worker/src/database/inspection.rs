//! One connection that looks at the database's own catalogue, for `dbal schema`. An adapter adds a line to each function.

use dbal_config::Database as DatabaseConfig;
use dbal_schema::Schema;

use super::catalog::Catalog;
use super::compare::{Finding, Weight, compare};
use super::{OpenError, mysql, postgres, prisma, sqlite};

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
    /// To a PostgreSQL server.
    Postgres(postgres::open::Inspection),
    /// To a MariaDB or MySQL server.
    Mysql(mysql::open::Inspection),
    /// To a bridge, and through it.
    Prisma(prisma::open::Inspection),
}

impl Inspection {
    /// Opens it, before the process locks itself in.
    pub fn open(config: &DatabaseConfig, access: Access) -> Result<Self, OpenError> {
        match config {
            DatabaseConfig::Sqlite(config) => {
                let inspection = sqlite::open::Inspection::open(config, access)?;
                Ok(Self::Sqlite(inspection))
            }
            DatabaseConfig::Postgresql(config) => {
                let inspection = postgres::open::Inspection::open(config);
                Ok(Self::Postgres(inspection.map_err(of_postgres)?))
            }
            DatabaseConfig::Mysql(config) => {
                let inspection = mysql::open::Inspection::open(config);
                Ok(Self::Mysql(inspection.map_err(of_mysql)?))
            }
            DatabaseConfig::Prisma(config) => {
                let inspection = prisma::open::Inspection::open(config);
                Ok(Self::Prisma(inspection.map_err(of_prisma)?))
            }
        }
    }

    /// Kind of database.
    pub fn adapter(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => dbal_sql::SQLITE.name,
            Self::Postgres(_) => dbal_sql::POSTGRES.name,
            Self::Mysql(_) => dbal_sql::MARIADB.name,
            Self::Prisma(_) => dbal_sql::BRIDGED_POSTGRES.name,
        }
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        match self {
            Self::Sqlite(inspection) => Ok(inspection.catalog()?),
            Self::Postgres(inspection) => inspection.catalog().map_err(of_postgres),
            Self::Mysql(inspection) => inspection.catalog().map_err(of_mysql),
            Self::Prisma(inspection) => inspection.catalog().map_err(of_prisma),
        }
    }

    /// Makes what is missing: all or nothing where the database can take a statement back, else as far as it comes. Returns what was made, for people.
    pub fn make(&self, schema: &Schema, findings: &[Finding]) -> Result<Vec<String>, OpenError> {
        match self {
            Self::Sqlite(inspection) => Ok(inspection.make(schema, findings)?),
            // Others may be making the same: it looks again when they are done.
            Self::Postgres(inspection) => inspection.make(schema).map_err(of_postgres),
            Self::Mysql(inspection) => inspection.make(schema).map_err(of_mysql),
            Self::Prisma(_) => Err(of_prisma(prisma::OpenError::NotMade)),
        }
    }
}

fn of_postgres(error: postgres::OpenError) -> OpenError {
    OpenError::Postgres(Box::new(error))
}

fn of_mysql(error: mysql::OpenError) -> OpenError {
    OpenError::Mysql(Box::new(error))
}

fn of_prisma(error: prisma::OpenError) -> OpenError {
    OpenError::Prisma(Box::new(error))
}

/// What an adapter does when the worker starts: makes what is missing if it may, tells the log what matters, and gives all
/// that the worker can't start with, or else what is there.
pub(super) fn fitting<E>(
    schema: &Schema,
    access: Access,
    catalog: impl Fn() -> Result<Catalog, E>,
    make: impl FnOnce(&[Finding]) -> Result<Vec<String>, E>,
) -> Result<Result<Catalog, Vec<Finding>>, E> {
    let mut there = catalog()?;
    let mut findings = compare(schema, &there);
    if access == Access::Make && findings.iter().any(|finding| finding.repair.is_some()) {
        make(&findings)?;
        there = catalog()?;
        findings = compare(schema, &there);
    }
    let (refused, others): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|finding| finding.weight == Weight::Refuses);
    if !refused.is_empty() {
        return Ok(Err(refused));
    }
    for finding in others.iter().filter(|finding| finding.weight == Weight::Matters) {
        tracing::warn!("the database differs from the entities: {finding}");
    }
    Ok(Ok(there))
}

/// Each on its line.
pub(super) fn listed(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(|finding| format!("\n  {finding}")).collect();
    lines.concat()
}
