//! Looks at the database before the process locks itself in: lets itself be let in, makes missing tables, checks the others.
//! The connections that serve are made afterwards, from within the sandbox.

use std::sync::Arc;

use dbal_config::{Postgresql, Target};
use dbal_schema::Schema;
use dbal_shared::message::Capabilities;
use dbal_sql::POSTGRES;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_postgres::Client;

use super::catalog::{CatalogError, catalog};
use super::repair::{self, RepairError};
use super::servers::{ConnectError, Connected, Servers, ServersError};
use super::tables::Tables;
use crate::cache::Effects;
use crate::database::catalog::Catalog;
use crate::database::compare::Finding;
use crate::database::inspection::{Access, fitting, listed};

/// Everything needed to serve.
pub struct Connections {
    pub(super) servers: Servers,
    pub(super) tables: Tables,
    pub(in crate::database) pool_size: u32,
    pub(in crate::database) capabilities: Capabilities,
    pub(in crate::database) effects: Arc<Effects>,
    /// Whether all connections lead to a server that takes writes: only that one passes on what was written.
    pub(super) is_primary: bool,
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Names or certificates.
    #[error("{0}")]
    Servers(#[from] ServersError),
    /// No server lets us in.
    #[error(
        "no connection to the database; the worker starts when `database.postgresql` leads to a server that lets `user` in"
    )]
    Connect(#[from] ConnectError),
    /// The first questions went wrong.
    #[error("the database can't be used")]
    Database(#[from] tokio_postgres::Error),
    /// The catalogue.
    #[error("the database can't be looked at")]
    Catalog(#[from] CatalogError),
    /// What is missing could not be made.
    #[error("the database")]
    Repair(#[from] RepairError),
    /// Its tables are not what the entities say.
    #[error("the database does not fit the entities (`dbal schema check` tells all that differs):{}", listed(.0))]
    Unfit(Vec<Finding>),
    /// Built without ICU.
    #[error("the server has no ICU collations, which texts need whose case does not count")]
    NoIcu,
    /// The runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Connects, makes what is missing if it shall, checks all. Starts no thread.
pub fn open(config: &Postgresql, schema: &Schema) -> Result<Connections, OpenError> {
    let inspection = Inspection::open(config)?;
    inspection.check_collations()?;
    let access = if config.create_tables && !inspection.is_read_only {
        Access::Make
    } else {
        Access::Read
    };
    let look = || inspection.catalog();
    let catalog = fitting(schema, access, look, |_| inspection.make(schema))?.map_err(OpenError::Unfit)?;
    let Inspection {
        servers,
        schema: _,
        client,
        driver,
        runtime,
        version,
        is_read_only: _,
    } = inspection;
    // Its end ends the driver, which takes leave of the server.
    drop(client);
    runtime.block_on(driver);
    Ok(Connections {
        servers,
        tables: Tables::of(schema, &catalog),
        pool_size: config.pool_size,
        capabilities: capabilities(version),
        effects: Arc::new(Effects::of(schema, &catalog)),
        is_primary: config.target == Target::ReadWrite,
    })
}

/// One connection, and what drives it while something is asked of it.
pub struct Inspection {
    servers: Servers,
    schema: String,
    client: Client,
    driver: LocalSet,
    runtime: Runtime,
    version: String,
    is_read_only: bool,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The servers hold a password.
        out.debug_struct("Inspection")
            .field("schema", &self.schema)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Inspection {
    /// Connects.
    pub fn open(config: &Postgresql) -> Result<Self, OpenError> {
        let servers = Servers::resolve(config)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::Runtime)?;
        let (connected, connection) = runtime.block_on(servers.connect(0))?;
        let Connected {
            client,
            version,
            is_read_only,
            is_superuser,
            cancel: _,
            endpoint: _,
        } = connected;
        if is_superuser {
            tracing::warn!(
                "`database.postgresql.user` is a superuser; it should own nothing and may do no more than the entities need"
            );
        }
        let driver = LocalSet::new();
        // Its end is told to the client, whose next question fails.
        driver.spawn_local(async {
            let _ = connection.await;
        });
        Ok(Self {
            servers,
            schema: config.schema.clone(),
            client,
            driver,
            runtime,
            version,
            is_read_only,
        })
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        let asked = catalog(&self.client, &self.schema);
        Ok(self.driver.block_on(&self.runtime, asked)?)
    }

    /// Makes what is missing.
    pub fn make(&self, schema: &Schema) -> Result<Vec<String>, OpenError> {
        let made = repair::make(&self.client, schema, &self.schema);
        Ok(self.driver.block_on(&self.runtime, made)?)
    }

    fn check_collations(&self) -> Result<(), OpenError> {
        let icu = "SELECT 1 FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu'";
        let asked = self.client.query_typed(icu, &[]);
        if self.driver.block_on(&self.runtime, asked)?.is_empty() {
            return Err(OpenError::NoIcu);
        }
        Ok(())
    }
}

fn capabilities(version: String) -> Capabilities {
    Capabilities {
        adapter: POSTGRES.name.to_owned(),
        version,
        transactions: true,
        joins: true,
        full_text_search: false,
        ttl: true,
        json_queries: false,
        aggregations: true,
        relations: true,
    }
}
