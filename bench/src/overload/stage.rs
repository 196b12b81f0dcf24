//! A daemon with some rows, the honest clients' thread and the attackers' thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dbal_servers::postgres::Postgres;
use dbal_tests::client::{Client, http_get};
use dbal_tests::crowd::Crowd;
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::usage::Part;
use crate::world::family;

/// Rows of each caller: few enough to be made at once.
pub const ROWS: usize = 1_000;

/// Where everything takes place.
pub struct Stage {
    /// For the honest.
    pub honest: Runtime,
    /// For the others.
    pub attackers: Runtime,
    /// To connect.
    pub crowd: Crowd,
    /// Keys of alice's rows.
    pub ids: Arc<Vec<String>>,
    /// The daemon. Behind those, so that it ends when nobody is connected any more.
    pub daemon: Daemon,
    /// Its database server, if it has one, which outlives it.
    server: Option<Postgres>,
}

impl Stage {
    /// Starts a daemon on SQLite with these limits of the broker, and makes rows of so many bytes.
    pub fn new(limits: &str, body_bytes: usize) -> Self {
        Self::on(None, limits, body_bytes)
    }

    /// The same on a server's database, as `database` of worker.yaml names it.
    pub fn on(server: Option<(Postgres, String)>, limits: &str, body_bytes: usize) -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let daemon = Daemon::start_with(&here.join("entities"), &here.join("overload-acl.yaml"));
        let (daemon, server) = match server {
            None => (daemon, None),
            Some((server, database)) => (daemon.moved_to(&database, &[]), Some(server)),
        };
        let daemon = daemon.with_limits(limits);
        let (honest, attackers) = (thread("honest"), thread("attackers"));
        let ids = honest.block_on(fill(&daemon, body_bytes));
        Self {
            honest,
            attackers,
            crowd: Crowd::of(&daemon),
            ids: Arc::new(ids),
            daemon,
            server,
        }
    }

    /// Numbers of a part's processes.
    pub fn processes(&self, part: Part) -> Vec<u32> {
        match part {
            Part::Clients => vec![std::process::id()],
            Part::Broker => vec![self.daemon.broker().pid],
            Part::Worker => vec![self.daemon.worker().pid],
            Part::Database => self
                .server
                .as_ref()
                .map_or_else(Vec::new, |server| family(server.pid())),
        }
    }

    /// A token for somebody in this role.
    pub fn token(&self, subject: &str, role: &str) -> String {
        let mut claims = self.daemon.claims_of(self.daemon.user("alice"));
        claims["sub"] = json!(subject);
        claims["roles"] = json!([role]);
        self.daemon.sign(&claims)
    }

    /// What the broker counted, by metric and labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (_, page) = self.honest.block_on(http_get(&self.daemon.ready.metrics));
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| {
                let (name, number) = line.rsplit_once(' ')?;
                Some((name.to_owned(), number.parse().ok()?))
            })
            .collect()
    }
}

/// One thread each: the machine has other things to do as well.
fn thread(name: &str) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn fill(daemon: &Daemon, body_bytes: usize) -> Vec<String> {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
    let body = "x".repeat(body_bytes);
    for chunk in 0..ROWS / 250 {
        let rows: Vec<Value> = (0..250)
            .map(|number| json!({"title": format!("Item {number}"), "body": body, "rank": chunk}))
            .collect();
        let made = client.call("createMany", json!(["Item", rows])).await;
        made.expect("rows");
    }
    let options = json!({"limit": ROWS, "select": ["id"], "total": false});
    let list = client
        .call("list", json!(["Item", options]))
        .await
        .expect("a list");
    client.close().await;
    let rows = list["data"].as_array().expect("rows");
    rows.iter()
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect()
}
