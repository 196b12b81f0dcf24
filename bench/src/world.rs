//! A daemon with some rows, and a copy of its database for the direct side.

use std::path::PathBuf;

use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

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
}

impl Kind {
    /// As `--database` and the table name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgresql => "postgresql",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Kind::Sqlite, Kind::Postgresql]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// What both sides work on.
pub struct World {
    /// For our clients.
    pub runtime: Runtime,
    /// The daemon.
    pub daemon: Daemon,
    /// The direct side's rows.
    pub beside: Beside,
    /// Keys of the rows that are read and updated; the same on both sides.
    pub ids: Vec<String>,
    /// Who owns them.
    pub owner: String,
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
}

impl World {
    /// Starts the daemon and fills its database.
    pub fn new(kind: Kind) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let daemon = Daemon::start_with(&here.join("entities"), &here.join("acl.yaml"));
        let (daemon, beside) = match kind {
            Kind::Sqlite => {
                let copy = daemon.database().with_file_name("direct-copy.sqlite");
                (daemon, Beside::Sqlite { copy })
            }
            Kind::Postgresql => {
                let server = Postgres::start();
                // The tests' server does without: here a commit costs what it costs.
                server.set("fsync = on\nfull_page_writes = on\nautovacuum = on\n");
                let database = server.database();
                let config = format!(
                    "{{postgresql: {{host: \"{}\", port: {}, database: {database}, user: {database}, \
                     password: \"{PASSWORD}\", create_tables: true}}}}",
                    server.folder().display(),
                    server.port(),
                );
                (
                    daemon.moved_to(&config, &[]),
                    Beside::Postgresql { server, database },
                )
            }
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
        }
        Self {
            runtime,
            daemon,
            beside,
            ids,
            owner,
        }
    }
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
