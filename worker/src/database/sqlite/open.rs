//! Opens the file, hardens the connections, makes missing tables. All of it happens before the process locks itself in.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dbal_config::{Sqlite, Synchronous};
use dbal_schema::Schema;
use dbal_shared::message::Capabilities;
use dbal_sql::{Dialect, SQLITE};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::repair::RepairError;
use super::{catalog, functions, order, repair};
use crate::cache::Effects;
use crate::database::catalog::Catalog;
use crate::database::compare::Finding;
use crate::database::inspection::{Access, fitting, listed};

/// Prepared statements that each connection keeps. A shape of a plan needs one or two.
const STATEMENTS: usize = 256;
/// How long a lock of another process is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(2);
/// Page cache of each connection, in KiB (negative: SQLite counts KiB, not pages).
const CACHE_KIB: i64 = -8_192;
/// The write-ahead log is cut back to this after a checkpoint, in bytes.
const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Open connections.
pub struct Connections {
    /// The one that writes.
    pub writer: Connection,
    /// Those that only read.
    pub readers: Vec<Connection>,
    /// The one that is asked whether the database answers.
    pub observer: Connection,
    /// For the tables as they are.
    pub dialect: &'static Dialect,
    /// What the adapter can do.
    pub capabilities: Capabilities,
    /// What writes may change.
    pub effects: Arc<Effects>,
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be made or opened.
    #[error("the database file {} can't be opened; it and its folder have to be this user's to write", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("the database {} can't be used", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// What is missing could not be made.
    #[error("the database {}", path.display())]
    Repair {
        /// The file.
        path: PathBuf,
        /// What, and why.
        #[source]
        source: RepairError,
    },
    /// Its tables are not what the entities say.
    #[error(
        "the database {} does not fit the entities (`dbal schema check` tells all that differs):{}",
        path.display(),
        listed(findings)
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What can't work.
        findings: Vec<Finding>,
    },
}

/// Opens all connections, and makes the file if it is not there. To be called with the rights of whom it belongs to, not with root's.
pub fn open(config: &Sqlite, schema: &Schema) -> Result<Connections, OpenError> {
    let Sqlite {
        path,
        readers,
        synchronous,
        create_tables,
    } = config;
    make_file(path).map_err(|source| OpenError::File {
        path: path.clone(),
        source,
    })?;
    let failed = |source| OpenError::Sqlite {
        path: path.clone(),
        source,
    };
    let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, *synchronous).map_err(failed)?;
    let inspection = Inspection {
        path: path.clone(),
        connection: writer,
    };
    let access = if *create_tables {
        Access::Make
    } else {
        Access::Read
    };
    let catalog = check_tables(&inspection, schema, access)?;
    let effects = Arc::new(Effects::of(schema, &catalog));
    let Inspection {
        path: _,
        connection: writer,
    } = inspection;
    // After the tables are made, nothing may change them any more, and no schema object may be written to.
    writer
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
        .map_err(failed)?;
    warm_up(&writer).map_err(failed)?;

    let reader = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, *synchronous)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.pragma_update(None, "query_only", true)?;
        // Reads the schema and opens the log.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    let mut connections = Vec::new();
    for _ in 0..*readers {
        connections.push(reader().map_err(failed)?);
    }
    Ok(Connections {
        writer,
        readers: connections,
        observer: reader().map_err(failed)?,
        dialect: order::dialect(schema, &catalog),
        capabilities: capabilities(),
        effects,
    })
}

/// SQLite would make the file for everyone to read. Its log and index files get the mode of this one. A link is refused: SQLite itself
/// would follow it, out of the folder that the worker is kept to. So is a file that has another name.
fn make_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    match made {
        Err(error) if error.raw_os_error().map(Errno::from_raw) == Some(Errno::ELOOP) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link, and is not followed; name the file itself in `database.sqlite.path`",
        )),
        // SQLite's log and index lie beside one name, and whoever opens the other one knows nothing of them
        // (sqlite.org/howtocorrupt.html §2.5); and it may be somebody else's file.
        Ok(file) if file.metadata()?.nlink() > 1 => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has another name as well (a hard link); put a copy of it in its place",
        )),
        made => made.map(drop),
    }
}

fn connect(path: &Path, mode: OpenFlags, synchronous: Synchronous) -> rusqlite::Result<Connection> {
    // NO_MUTEX: each connection belongs to one thread. No URI: a path is a path.
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    if mode == OpenFlags::SQLITE_OPEN_READ_WRITE {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        connection.pragma_update(
            None,
            "synchronous",
            match synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
        )?;
    }
    Ok(connection)
}

/// What holds for every connection, wherever it leads.
pub(super) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    functions::register(connection)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Nothing of ours attaches a file; nothing else shall.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// A table that doesn't fit is found now and not by a client. What is there.
fn check_tables(inspection: &Inspection, schema: &Schema, access: Access) -> Result<Catalog, OpenError> {
    let catalog = || inspection.catalog();
    let make = |findings: &[Finding]| inspection.make(schema, findings);
    let fitting = fitting(schema, access, catalog, make)?;
    fitting.map_err(|findings| OpenError::Unfit {
        path: inspection.path.clone(),
        findings,
    })
}

/// One connection and where it leads.
#[derive(Debug)]
pub struct Inspection {
    path: PathBuf,
    connection: Connection,
}

impl Inspection {
    /// Opens the file; makes it only if tables may be made.
    pub fn open(config: &Sqlite, access: Access) -> Result<Self, OpenError> {
        let Sqlite {
            path,
            readers: _,
            synchronous,
            create_tables: _,
        } = config;
        let failed = |source| OpenError::Sqlite {
            path: path.clone(),
            source,
        };
        let mode = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Make => {
                make_file(path).map_err(|source| OpenError::File {
                    path: path.clone(),
                    source,
                })?;
                OpenFlags::SQLITE_OPEN_READ_WRITE
            }
        };
        let connection = connect(path, mode, *synchronous).map_err(failed)?;
        warm_up(&connection).map_err(failed)?;
        Ok(Self {
            path: path.clone(),
            connection,
        })
    }

    /// What is there.
    pub fn catalog(&self) -> Result<Catalog, OpenError> {
        catalog::catalog(&self.connection).map_err(|source| OpenError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }

    /// Makes what is missing.
    pub fn make(&self, schema: &Schema, findings: &[Finding]) -> Result<Vec<String>, OpenError> {
        repair::make(&self.connection, schema, findings).map_err(|source| OpenError::Repair {
            path: self.path.clone(),
            source,
        })
    }
}

/// SQLite seeds its random numbers from /dev/urandom when it first needs one, and opens its log when it first reads; the
/// sandbox forbids the first afterwards.
fn warm_up(connection: &Connection) -> rusqlite::Result<()> {
    let _: i64 = connection.query_row("SELECT random()", [], |row| row.get(0))?;
    connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn capabilities() -> Capabilities {
    Capabilities {
        adapter: SQLITE.name.to_owned(),
        version: rusqlite::version().to_owned(),
        transactions: true,
        joins: true,
        full_text_search: false,
        ttl: true,
        json_queries: false,
        aggregations: true,
        relations: true,
    }
}
