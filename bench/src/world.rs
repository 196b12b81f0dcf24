//! A daemon with some rows, and a copy of its database for the direct side.

use std::path::PathBuf;

use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Rows before anything is measured: enough that the index has depth, few enough for the page cache.
const ROWS: usize = 20_000;
/// Rows with the same rank, so that a `list` by rank finds about this many.
pub const ROWS_PER_RANK: usize = 100;

/// What both sides work on.
pub struct World {
    /// For our clients.
    pub runtime: Runtime,
    /// The daemon.
    pub daemon: Daemon,
    /// The copy.
    pub copy: PathBuf,
    /// Keys of the rows that are read and updated; the same on both sides.
    pub ids: Vec<String>,
    /// Who owns them.
    pub owner: String,
}

impl World {
    /// Starts the daemon and fills its database.
    pub fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let daemon = Daemon::start_with(&here.join("entities"), &here.join("acl.yaml"));
        let owner = daemon.user("alice").user_id.clone();
        let ids = runtime.block_on(fill(&daemon));
        let database = daemon.database();
        let copy = database.with_file_name("direct-copy.sqlite");
        let source = rusqlite::Connection::open(&database).expect("the database");
        source
            .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
            .expect("a copy");
        Self {
            runtime,
            daemon,
            copy,
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
