//! Reaches the server, makes missing tables, looks whether all fit. All of it happens before the process locks itself in; the
//! connections that serve are made afterwards, as all later ones have to be.

use std::time::Duration;

use dbal_config::Mysql;
use dbal_schema::Schema;
use dbal_shared::message::Capabilities;
use dbal_sql::{Answers, Dialect, MARIADB, MYSQL, SqlError};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::server::{Address, AddressError, Kind, Server};
use super::tables::{self, Keys, TableError};
use super::trouble::described;

/// How long the server may take to be reached and to tell what it has.
const PATIENCE: Duration = Duration::from_secs(20);
/// ER_DUP_KEYNAME: the index is there.
const INDEX_EXISTS: u16 = 1061;

/// A server that was reached and fits.
pub struct Connections {
    pub(super) server: Server,
    pub(super) pool_size: u32,
    pub(super) capabilities: Capabilities,
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no way to it.
    #[error("the database server: {0}")]
    Address(#[from] AddressError),
    /// It can't be reached, or refuses.
    #[error("the database server `{place}` can't be used: {why}")]
    Server {
        /// Host or socket.
        place: String,
        /// Why.
        why: String,
    },
    /// The schema can't be put into `CREATE TABLE`.
    #[error("the tables can't be made")]
    Tables(#[from] SqlError),
    /// A table does not fit.
    #[error("the database server `{place}`: {source}")]
    Table {
        /// Host or socket.
        place: String,
        /// What.
        source: Box<TableError>,
    },
    /// There is no runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Reaches the server once. Starts no thread.
pub fn open(config: &Mysql, schema: &Schema) -> Result<Connections, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(OpenError::Runtime)?;
    let address = Address::of(config)?;
    let place = match (&config.host, &config.socket) {
        (Some(host), _) => format!("{host}:{}", config.port),
        (None, Some(socket)) => socket.display().to_string(),
        (None, None) => String::new(),
    };
    let looked = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, look(config, schema, address, &place)).await });
    looked.unwrap_or_else(|_| {
        Err(OpenError::Server {
            place: place.clone(),
            why: format!("it does not answer within {} s", PATIENCE.as_secs()),
        })
    })
}

async fn look(
    config: &Mysql,
    schema: &Schema,
    address: Address,
    place: &str,
) -> Result<Connections, OpenError> {
    let failed = |error: Error| OpenError::Server {
        place: place.to_owned(),
        why: described(&error),
    };
    let (mut connection, kind, version) = address.first().await.map_err(failed)?;
    if config.create_tables {
        let dialect = match kind {
            Kind::MariaDb => &MARIADB,
            Kind::MySql => &MYSQL,
        };
        create(&mut connection, schema, dialect, &failed).await?;
    }
    let dialect = tables::check(&mut connection, schema, kind)
        .await
        .map_err(failed)?;
    let dialect = dialect.map_err(|source| OpenError::Table {
        place: place.to_owned(),
        source: Box::new(source),
    })?;
    for entity in schema.entities() {
        // Finds what information_schema does not tell: that we may not read a column.
        let statement = dbal_sql::ddl::select_nothing(entity, dialect)?;
        connection.prep(statement.sql()).await.map_err(failed)?;
    }
    let keys = Keys::read(&mut connection).await.map_err(failed)?;
    // Said politely, since a server counts connections that break off; that it fails is no matter.
    let _ = connection.disconnect().await;
    Ok(Connections {
        server: Server {
            address,
            dialect,
            kind,
            keys,
        },
        pool_size: config.pool_size,
        capabilities: capabilities(dialect, version),
    })
}

async fn create(
    connection: &mut Conn,
    schema: &Schema,
    dialect: &'static Dialect,
    failed: &impl Fn(Error) -> OpenError,
) -> Result<(), OpenError> {
    // A table may refer to one that is made after it.
    connection
        .query_drop("SET SESSION foreign_key_checks = 0")
        .await
        .map_err(failed)?;
    let own = Answers::table()?.create(dialect)?;
    for statement in dbal_sql::ddl::create_tables(schema, dialect)?.iter().chain(&own) {
        match connection.query_drop(statement.sql()).await {
            Ok(()) => {}
            Err(Error::Server(error)) if error.code == INDEX_EXISTS => {}
            Err(error) => return Err(failed(error)),
        }
    }
    connection
        .query_drop("SET SESSION foreign_key_checks = 1")
        .await
        .map_err(failed)
}

fn capabilities(dialect: &Dialect, version: String) -> Capabilities {
    Capabilities {
        adapter: dialect.name.to_owned(),
        version,
        transactions: false,
        joins: true,
        full_text_search: false,
        ttl: false,
        json_queries: false,
        aggregations: true,
        relations: true,
    }
}
