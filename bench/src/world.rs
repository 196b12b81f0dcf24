//! A daemon with some rows, and a copy of its database for the direct side.

use std::path::{Path, PathBuf};

use dbal_servers::mariadb::MariaDb;
use dbal_servers::{
    mariadb,
    postgres::{PASSWORD, Postgres},
};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use dbal_tests::processes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::usage::Part;

/// Rows before anything is measured: enough that the index has depth, few enough for the page cache.
const ROWS: usize = 20_000;
/// Rows with the same rank, so that a `list` by rank finds about this many.
pub const ROWS_PER_RANK: usize = 100;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A private server, reached over its Unix socket.
    Postgresql,
    /// The same.
    Mariadb,
}

impl Kind {
    /// As `--database` and the table name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgresql => "postgresql",
            Kind::Mariadb => "mariadb",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Kind::Sqlite, Kind::Postgresql, Kind::Mariadb]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Whether the worker keeps answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Each read asks the database.
    Nothing,
    /// Reads of what was read before don't, until something was written.
    Answers,
}

/// Whether calls are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// As shipped.
    Off,
    /// Each call begins a trace; nobody who asks says a word of it.
    EveryCall,
}

/// A private server, a database in it, and the worker's configuration for it.
pub fn postgresql(pool_size: u32) -> (Postgres, String, String) {
    let server = Postgres::start();
    // The tests' server does without: here a commit costs what it costs.
    server.set("fsync = on\nfull_page_writes = on\nautovacuum = on\n");
    let database = server.database();
    let config = format!(
        "{{postgresql: {{host: \"{}\", port: {}, database: {database}, user: {database}, \
         password: \"{PASSWORD}\", pool_size: {pool_size}, create_tables: true}}}}",
        server.folder().display(),
        server.port(),
    );
    (server, database, config)
}

/// The entities, which say so.
fn entities(from: &Path, keeping: Keeping) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(from).expect("the entities") {
        let entry = entry.expect("an entity");
        let mut text = std::fs::read_to_string(entry.path()).expect("an entity");
        if keeping == Keeping::Answers {
            text.push_str("\ncache: {ttl: 5m}\n");
        }
        std::fs::write(folder.path().join(entry.file_name()), text).expect("an entity");
    }
    folder
}

/// What both sides work on.
pub struct World {
    /// The daemon.
    pub daemon: Daemon,
    /// The direct side's rows.
    pub beside: Beside,
    /// Keys of the rows that are read and updated; the same on both sides.
    pub ids: Vec<String>,
    /// Who owns them.
    pub owner: String,
    /// Read again by whoever starts the daemon again.
    _entities: TempDir,
}

/// Where the direct side has its copy of the rows.
pub enum Beside {
    /// In another file.
    Sqlite {
        /// The file.
        copy: PathBuf,
    },
    /// In another table, `direct`.
    Postgresql {
        /// The server.
        server: Postgres,
        /// The database, and the user that owns it.
        database: String,
    },
    /// The same in MariaDB.
    Mariadb {
        /// The server.
        server: MariaDb,
        /// The database, and the user that owns it.
        database: String,
    },
}

impl World {
    /// Starts the daemon and fills its database.
    pub fn new(kind: Kind, pool_size: u32, keeping: Keeping, tracing: Tracing) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let entities = entities(&here.join("entities"), keeping);
        let daemon = Daemon::start_with(entities.path(), &here.join("acl.yaml"));
        let (daemon, beside) = match kind {
            Kind::Sqlite => {
                let copy = daemon.database().with_file_name("direct-copy.sqlite");
                (daemon, Beside::Sqlite { copy })
            }
            Kind::Postgresql => {
                let (server, database, config) = postgresql(pool_size);
                (
                    daemon.moved_to(&config, &[]),
                    Beside::Postgresql { server, database },
                )
            }
            Kind::Mariadb => {
                let server = MariaDb::start();
                // As above.
                server.sql("", "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
                let database = server.database();
                let password = mariadb::PASSWORD;
                let config = format!(
                    "{{mysql: {{socket: \"{}\", database: {database}, user: {database}, password: \"{password}\", \
                     pool_size: {pool_size}, create_tables: true}}}}",
                    server.socket().display(),
                );
                (
                    daemon.moved_to(&config, &[]),
                    Beside::Mariadb { server, database },
                )
            }
        };
        let daemon = match tracing {
            Tracing::Off => daemon,
            Tracing::EveryCall => daemon.with_traces(
                ", sample: 1, calls_per_second: 1000000",
                ", calls_per_second: 1000000",
            ),
        };
        let owner = daemon.user("alice").user_id.clone();
        let ids = runtime.block_on(fill(&daemon));
        match &beside {
            Beside::Sqlite { copy } => {
                let source = rusqlite::Connection::open(daemon.database()).expect("the database");
                source
                    .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
                    .expect("a copy");
            }
            Beside::Postgresql { server, database } => {
                let copy = format!(
                    "CREATE TABLE direct (LIKE \"Item\" INCLUDING ALL); \
                     INSERT INTO direct SELECT * FROM \"Item\"; ALTER TABLE direct OWNER TO {database}"
                );
                server.sql(database, &copy);
                server.sql(database, "VACUUM ANALYZE");
            }
            Beside::Mariadb { server, database } => {
                let copy = "CREATE TABLE direct LIKE Item; INSERT INTO direct SELECT * FROM Item; ANALYZE TABLE Item, direct";
                server.sql(database, copy);
            }
        }
        Self {
            daemon,
            beside,
            ids,
            owner,
            _entities: entities,
        }
    }
}

impl World {
    /// Numbers of a part's processes.
    pub fn processes(&self, part: Part) -> Vec<u32> {
        match (part, &self.beside) {
            (Part::Clients, _) => vec![std::process::id()],
            (Part::Broker, _) => vec![self.daemon.broker().pid],
            (Part::Worker, _) => vec![self.daemon.worker().pid],
            (Part::Database, Beside::Sqlite { copy: _ }) => Vec::new(),
            (Part::Database, Beside::Postgresql { server, .. }) => family(server.pid()),
            (Part::Database, Beside::Mariadb { server, .. }) => family(server.pid()),
        }
    }
}

/// A server's first process and all below it.
pub fn family(first: Option<String>) -> Vec<u32> {
    let first = first.and_then(|pid| pid.parse().ok()).expect("a running server");
    let others = processes::below(first).into_iter().map(|process| process.pid);
    others.chain([first]).collect()
}

async fn fill(daemon: &Daemon) -> Vec<String> {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
    for chunk in 0..ROWS / 1_000 {
        let rows: Vec<Value> = (0..1_000).map(|n| row(chunk * 1_000 + n)).collect();
        client
            .call("createMany", json!(["Item", rows]))
            .await
            .expect("rows");
    }
    let mut ids = Vec::new();
    for page in 1..=4 {
        let options =
            json!({"limit": 1_000, "page": page, "sort": {"id": "asc"}, "select": ["id"], "total": false});
        let list = client
            .call("list", json!(["Item", options]))
            .await
            .expect("a list");
        let rows = list["data"].as_array().expect("rows");
        ids.extend(
            rows.iter()
                .filter_map(|row| row["id"].as_str().map(str::to_owned)),
        );
    }
    ids
}

/// A row as a client sends it.
pub fn row(number: usize) -> Value {
    json!({"title": format!("Item number {number}"), "body": "Some forty bytes of text, as notes have.", "rank": number % (ROWS / ROWS_PER_RANK)})
}

/// How many ranks there are.
pub fn ranks() -> usize {
    ROWS / ROWS_PER_RANK
}
