//! Looks at the bridge and the database behind it before the process locks itself in: lets itself be let in, looks at the settings
//! that values depend on, compares the tables. The connections that serve are made afterwards, from within the sandbox.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use dbal_config::{BridgedDialect, Prisma};
use dbal_schema::Schema;
use dbal_shared::message::Capabilities;
use dbal_sql::BRIDGED_POSTGRES;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::endpoint::{Endpoint, EndpointError};
use super::pool::{NoAnswer, Pool};
use super::protocol::{Kind, Part, Told, body, read};
use super::tables::Tables;
use crate::cache::Effects;
use crate::database::catalog::{Catalog, Types};
use crate::database::compare::Finding;
use crate::database::inspection::{Access, fitting, listed};
use crate::database::postgres::catalog::{Ask, CatalogError, catalog};
use crate::database::postgres::json_row::JsonRow;
use crate::database::postgres::types;

/// How long the bridge may take for one question at start.
const PATIENCE: Duration = Duration::from_secs(10);

/// What values and statements depend on, and what of it must hold. The bridge's connections are not ours to set.
const SETTINGS: &str = "SELECT current_setting('server_version'), current_setting('server_version_num')::int, \
    current_setting('TimeZone'), current_setting('extra_float_digits')::int, current_setting('bytea_output'), \
    current_setting('server_encoding'), \
    EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu'), \
    EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper)";
/// Names of the one zone whose times have no offset (tzdata, `backward`).
const UTC: [&str; 7] = ["UTC", "Etc/UTC", "UCT", "Etc/UCT", "GMT", "Zulu", "Etc/Zulu"];

/// Everything needed to serve.
pub struct Connections {
    pub(super) endpoint: Endpoint,
    pub(super) tables: Tables,
    pub(in crate::database) pool_size: u32,
    pub(in crate::database) capabilities: Capabilities,
    pub(in crate::database) effects: Arc<Effects>,
}

/// Why the bridge can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Names or certificates.
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    /// It does not let us in, or its database does not let it in.
    #[error(
        "no answer from the bridge; the worker starts when `database.prisma` leads to a bridge that takes its token"
    )]
    Ask(#[from] AskError),
    /// A setting of its connections.
    #[error(
        "the bridge's connections have {name} = {found}, with which values would be read wrong: it must be {wanted}; \
         set it by `options=-c {name}={wanted}` in the bridge's DATABASE_URL, or for its role by ALTER ROLE … SET"
    )]
    Setting {
        /// PostgreSQL's name of it.
        name: &'static str,
        /// As it is.
        found: String,
        /// As it must be.
        wanted: &'static str,
    },
    /// Too old.
    #[error("the database behind the bridge is PostgreSQL {found}; it must be 12 or later")]
    Version {
        /// As it says.
        found: String,
    },
    /// Built without ICU.
    #[error("the server behind the bridge has no ICU collations, which texts need whose case does not count")]
    NoIcu,
    /// The catalogue.
    #[error("the database behind the bridge can't be looked at")]
    Catalog(#[from] CatalogError),
    /// Its tables are not what the entities say.
    #[error("the database does not fit the entities (`dbal schema check` tells all that differs):{}", listed(.0))]
    Unfit(Vec<Finding>),
    /// Tables behind a bridge are Prisma's.
    #[error(
        "tables behind a bridge are made by Prisma (`prisma migrate`), not by the worker; `dbal schema ddl` prints what it would make"
    )]
    NotMade,
    /// The runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Why a question at start has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection, or it broke.
    #[error("{0}")]
    NoAnswer(String),
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The token.
    #[error("it does not take `token`: is it the one in the bridge's BRIDGE_TOKEN_FILE?")]
    Unauthorized,
    /// Anything else.
    #[error("it answered {status} ({code})")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// The bridge's word, or the database's state.
        code: String,
    },
}

/// Asks, and checks all. Starts no thread.
pub fn open(config: &Prisma, schema: &Schema) -> Result<Connections, OpenError> {
    let inspection = Inspection::open(config)?;
    let version = inspection.check_settings()?;
    let look = || inspection.catalog();
    // Never asked: what may only be read is not made.
    let make = |_: &[Finding]| Err(OpenError::NotMade);
    let catalog = fitting(schema, Access::Read, look, make)?.map_err(OpenError::Unfit)?;
    drop(inspection);
    Ok(Connections {
        // Nothing of the connections that were made outside of the sandbox is kept.
        endpoint: Endpoint::resolve(config)?,
        tables: Tables::of(schema, &catalog),
        pool_size: config.pool_size,
        capabilities: capabilities(version),
        effects: Arc::new(Effects::of(schema, &catalog)),
    })
}

/// A bridge, and what drives its connections while something is asked of it.
pub struct Inspection {
    asker: Asker,
    driver: LocalSet,
    runtime: Runtime,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The endpoint holds a token.
        out.debug_struct("Inspection").finish_non_exhaustive()
    }
}

impl Inspection {
    /// Resolves names. The first question connects.
    pub fn open(config: &Prisma) -> Result<Self, OpenError> {
        // A second dialect would not compile here.
        let BridgedDialect::Postgresql = config.dialect;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::Runtime)?;
        let pool = Pool::new(Endpoint::resolve(config)?, 1, Arc::new(AtomicU32::new(0)));
        Ok(Self {
            asker: Asker(pool),
            driver: LocalSet::new(),
            runtime,
        })
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        let asked = catalog(&self.asker, "that the bridge's connections use");
        let catalog = self.driver.block_on(&self.runtime, asked)?;
        Ok(Catalog {
            types: Types {
                fit: types::bridged_fit,
                suggest: types::bridged_suggestion,
                ..catalog.types
            },
            ..catalog
        })
    }

    /// The database's version, if its settings will do.
    fn check_settings(&self) -> Result<String, OpenError> {
        let asked = self.asker.rows(SETTINGS);
        let rows = self.driver.block_on(&self.runtime, asked)?;
        let row = rows.first().map_or("{}", String::as_str);
        let row = JsonRow::read(row).map_err(CatalogError::Unreadable)?;
        let text = |nth| row.get::<String>(nth).map_err(CatalogError::Unreadable);
        let version = text(0)?;
        if row.get::<i32>(1).map_err(CatalogError::Unreadable)? < 120_000 {
            return Err(OpenError::Version { found: version });
        }
        let zone = text(2)?;
        if !UTC.contains(&zone.as_str()) {
            return Err(OpenError::Setting {
                name: "TimeZone",
                found: zone,
                wanted: "UTC",
            });
        }
        let digits: i32 = row.get(3).map_err(CatalogError::Unreadable)?;
        if digits < 1 {
            return Err(OpenError::Setting {
                name: "extra_float_digits",
                found: digits.to_string(),
                wanted: "1",
            });
        }
        for (nth, name, wanted) in [(4, "bytea_output", "hex"), (5, "server_encoding", "UTF8")] {
            let found = text(nth)?;
            if found != wanted {
                return Err(OpenError::Setting { name, found, wanted });
            }
        }
        if !row.get::<bool>(6).map_err(CatalogError::Unreadable)? {
            return Err(OpenError::NoIcu);
        }
        if row.get::<bool>(7).map_err(CatalogError::Unreadable)? {
            tracing::warn!(
                "the bridge is a superuser of its database; it should own nothing and may do no more than the entities need"
            );
        }
        Ok(version)
    }
}

struct Asker(Pool);

impl Asker {
    /// The rows of a statement of ours, each as JSON.
    async fn rows(&self, sql: &str) -> Result<Vec<String>, AskError> {
        let sql = format!("SELECT 0 AS n, row_to_json(dbal_part0)::text AS r FROM ({sql}) AS dbal_part0");
        let question = body(&sql, &[], Kind::Query).ok_or_else(|| AskError::NoAnswer(String::new()))?;
        let answered = timeout(PATIENCE, self.0.ask(question))
            .await
            .map_err(|_| AskError::Slow)?
            .map_err(|error: NoAnswer| AskError::NoAnswer(error.to_string()))?;
        let status = answered.status;
        match read(&answered, Kind::Query) {
            Told::Rows(parts) => Ok(parts.into_iter().map(|Part { n: _, r }| r).collect()),
            Told::Refused(refused) if refused.code == "unauthorized" => Err(AskError::Unauthorized),
            Told::Refused(refused) => {
                let code = refused.sqlstate.unwrap_or(refused.code);
                let code = crate::ledger::cut(&code, 64).escape_debug().to_string();
                Err(AskError::Refused { status, code })
            }
            Told::Affected(_) | Told::Other { .. } => Err(AskError::Refused {
                status,
                code: "nothing that a bridge says".to_owned(),
            }),
        }
    }
}

impl Ask for Asker {
    async fn ask(&self, sql: &str) -> Result<Vec<String>, CatalogError> {
        Ok(self.rows(sql).await?)
    }
}

fn capabilities(version: String) -> Capabilities {
    Capabilities {
        adapter: BRIDGED_POSTGRES.name.to_owned(),
        version,
        transactions: false,
        joins: true,
        full_text_search: false,
        ttl: true,
        json_queries: false,
        aggregations: true,
        relations: true,
    }
}
