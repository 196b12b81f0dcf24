//! Looks at the database before the process locks itself in: lets itself be let in, makes missing tables, checks the others.
//! The connections that serve are made afterwards, from within the sandbox.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use dbal_config::Mysql;
use dbal_schema::Schema;
use dbal_shared::message::Capabilities;
use dbal_sql::Dialect;
use mysql_async::Conn;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::catalog::catalog;
use super::order;
use super::repair::{self, RepairError};
use super::server::{Address, AddressError, ConnectError, Kind, Reached, Server};
use super::trouble::told;
use crate::cache::Effects;
use crate::database::catalog::Catalog;
use crate::database::compare::Finding;
use crate::database::inspection::{Access, fitting, listed};
use crate::database::unique::Unique;

/// How long the server may take to tell what it has.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that was reached and fits.
pub struct Connections {
    pub(super) server: Server,
    pub(in crate::database) pool_size: u32,
    pub(in crate::database) capabilities: Capabilities,
    pub(in crate::database) effects: Arc<Effects>,
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no way to it.
    #[error("the database server: {0}")]
    Address(#[from] AddressError),
    /// No server lets us in.
    #[error(
        "no connection to the database; the worker starts when `database.mysql` leads to a server that lets `user` in"
    )]
    Connect(#[from] ConnectError),
    /// What was asked of it failed.
    #[error("the database server `{place}` can't be used: {why}")]
    Server {
        /// Host or socket.
        place: String,
        /// Why.
        why: String,
    },
    /// What is missing could not be made.
    #[error("the database")]
    Repair(#[from] RepairError),
    /// Its tables are not what the entities say.
    #[error("the database does not fit the entities (`dbal schema check` tells all that differs):{}", listed(.0))]
    Unfit(Vec<Finding>),
    /// There is no runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Connects, makes what is missing if it shall, checks all. Starts no thread.
pub fn open(config: &Mysql, schema: &Schema) -> Result<Connections, OpenError> {
    let inspection = Inspection::open(config)?;
    let access = if config.create_tables && !inspection.is_read_only {
        Access::Make
    } else {
        Access::Read
    };
    let look = || inspection.catalog();
    let catalog = fitting(schema, access, look, |_| inspection.make(schema))?.map_err(OpenError::Unfit)?;
    let Inspection {
        address,
        place: _,
        kind,
        version,
        is_read_only: _,
        connection,
        runtime,
    } = inspection;
    // Said politely, since a server counts connections that break off; that it fails is no matter.
    let leave = connection.into_inner().disconnect();
    let _ = runtime.block_on(async { timeout(PATIENCE, leave).await });
    let dialect = order::dialect(kind, schema, &catalog);
    let new_rows = order::new_rows(kind, schema, &catalog, dialect);
    Ok(Connections {
        server: Server {
            address,
            dialect,
            new_rows,
            kind,
            unique: Unique::of(schema, &catalog),
        },
        pool_size: config.pool_size,
        effects: Arc::new(Effects::of(schema, &catalog)),
        capabilities: capabilities(dialect, version),
    })
}

/// One connection, and what drives it while something is asked of it.
pub struct Inspection {
    address: Address,
    place: String,
    kind: Kind,
    version: String,
    is_read_only: bool,
    connection: RefCell<Conn>,
    runtime: Runtime,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address holds a password.
        out.debug_struct("Inspection")
            .field("place", &self.place)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Inspection {
    /// Connects.
    pub fn open(config: &Mysql) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::Runtime)?;
        let address = Address::of(config)?;
        let Reached {
            connection,
            endpoint: _,
            identity: _,
            kind,
            version,
            answers_new_rows: _,
            is_read_only,
            packet: _,
        } = runtime.block_on(address.connect(0, None))?;
        Ok(Self {
            place: address.place(),
            address,
            kind,
            version,
            is_read_only,
            connection: RefCell::new(connection),
            runtime,
        })
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        let mut connection = self.connection.borrow_mut();
        in_time(&self.runtime, &self.place, catalog(&mut connection, self.kind))
    }

    /// Makes what is missing.
    pub fn make(&self, schema: &Schema) -> Result<Vec<String>, OpenError> {
        let mut connection = self.connection.borrow_mut();
        let made = repair::make(&mut connection, schema, self.kind);
        Ok(self.runtime.block_on(made)?)
    }
}

fn in_time<T>(
    runtime: &Runtime,
    place: &str,
    asked: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T, OpenError> {
    let failed = |why| OpenError::Server {
        place: place.to_owned(),
        why,
    };
    match runtime.block_on(async { timeout(PATIENCE, asked).await }) {
        Ok(outcome) => outcome.map_err(|error| failed(told(&error))),
        Err(_) => Err(failed(format!(
            "it does not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

fn capabilities(dialect: &Dialect, version: String) -> Capabilities {
    Capabilities {
        adapter: dialect.name.to_owned(),
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
