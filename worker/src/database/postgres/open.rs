//! Looks at the database before the process locks itself in: lets itself be let in, makes missing tables, checks the others.
//! The connections that serve are made afterwards, from within the sandbox.

use dbal_config::Postgresql;
use dbal_schema::{Entity, Schema};
use dbal_shared::message::Capabilities;
use dbal_sql::ddl::{Table, tables_in_order};
use dbal_sql::{Answers, POSTGRES, SqlError};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::catalog::{Catalog, Misfit};
use super::servers::{ConnectError, Connected, Servers, ServersError};

/// Everything needed to serve.
pub struct Connections {
    pub(super) servers: Servers,
    pub(super) catalog: Catalog,
    pub(super) pool_size: u32,
    pub(super) capabilities: Capabilities,
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
    /// The schema can't be put into `CREATE TABLE`.
    #[error("the tables can't be made: {0}")]
    Tables(#[from] SqlError),
    /// A table can't be made.
    #[error("the table of the entity `{entity}` can't be made")]
    Table {
        /// The entity.
        entity: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A table does not fit.
    #[error("{0}")]
    Misfit(#[source] Box<Misfit>),
    /// Built without ICU.
    #[error("the server has no ICU collations, which texts need whose case does not count")]
    NoIcu,
    /// The runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Connects, makes missing tables if it shall, checks all. Starts no thread.
pub fn open(config: &Postgresql, schema: &Schema) -> Result<Connections, OpenError> {
    let servers = Servers::resolve(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(OpenError::Runtime)?;
    let (catalog, version) = runtime.block_on(async {
        let (connected, driver) = servers.connect(0).await?;
        let Connected {
            client,
            version,
            is_read_only,
            cancel: _,
            endpoint: _,
        } = connected;
        let look = async {
            if config.create_tables && !is_read_only {
                make_tables(&client, schema).await?;
            }
            let icu = "SELECT 1 FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu'";
            if client.query_typed(icu, &[]).await?.is_empty() {
                return Err(OpenError::NoIcu);
            }
            let catalog = Catalog::read(&client, schema)
                .await
                .map_err(|misfit| OpenError::Misfit(Box::new(misfit)))?;
            // Its end ends the driver.
            drop(client);
            Ok((catalog, version))
        };
        let (looked, _) = futures_util::future::join(look, driver).await;
        looked
    })?;
    Ok(Connections {
        servers,
        catalog,
        pool_size: config.pool_size,
        capabilities: capabilities(version),
    })
}

/// Several workers may start at once; one makes the tables, the others then find them. The number is `dbal` in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1684169068)";

async fn make_tables(client: &Client, schema: &Schema) -> Result<(), OpenError> {
    let all = tables_in_order(schema, &POSTGRES)?;
    client.batch_execute("BEGIN").await?;
    client.query_typed(LOCK, &[]).await?;
    let mut new = Vec::new();
    for table in &all {
        let entity = schema.entity(table.entity).ok_or(SqlError::NotInSchema)?;
        if !is_there(client, entity).await? {
            new.push((entity, table));
        }
    }
    let failed = |entity: &Entity| {
        let entity = entity.name.clone();
        move |source| OpenError::Table { entity, source }
    };
    for (entity, table) in &new {
        let Table { create, .. } = table;
        client.batch_execute(create.sql()).await.map_err(failed(entity))?;
    }
    for (entity, table) in &new {
        let Table {
            entity: _,
            create: _,
            references,
            indexes,
        } = table;
        for statement in references.iter().chain(indexes) {
            client
                .batch_execute(statement.sql())
                .await
                .map_err(failed(entity))?;
        }
    }
    for statement in Answers::table()?.create(&POSTGRES)? {
        client.batch_execute(statement.sql()).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(())
}

async fn is_there(client: &Client, entity: &Entity) -> Result<bool, OpenError> {
    let table = entity.table.as_str();
    let row = client
        .query_typed_one(
            "SELECT to_regclass(quote_ident($1)) IS NOT NULL",
            &[(&table, Type::TEXT)],
        )
        .await?;
    Ok(row.try_get(0)?)
}

fn capabilities(version: String) -> Capabilities {
    Capabilities {
        adapter: POSTGRES.name.to_owned(),
        version,
        transactions: true,
        joins: false,
        full_text_search: false,
        ttl: false,
        json_queries: false,
        aggregations: false,
        relations: false,
    }
}
