//! Under load, with the worker killed again and again and files rotated by it where it is locked in: every operation that was
//! acknowledged is on record, in one chain that is signed.

use std::collections::HashMap;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::client::Client;
use dbal_tests::daemon::{Daemon, files_below, reconfigure_worker};
use dbal_tests::journal;
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const KILLS: usize = 4;
const BETWEEN_KILLS: Duration = Duration::from_millis(1_500);

/// How often each row was acknowledged to be made, read and removed.
type Acknowledged = HashMap<(&'static str, String), usize>;

async fn works(mut client: Client, until: Instant) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut note = |operation, id: &Value| {
        let id = id.as_str().expect("a key").to_owned();
        *acknowledged.entry((operation, id)).or_default() += 1;
    };
    while Instant::now() < until {
        let Ok(row) = client.call("create", json!(["Note", {"title": "counted"}])).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        note("create", &row["id"]);
        for _ in 0..3 {
            if client.call("read", json!(["Note", row["id"]])).await.is_ok() {
                note("read", &row["id"]);
            }
        }
        if client.call("delete", json!(["Note", row["id"]])).await.is_ok() {
            note("delete", &row["id"]);
        }
    }
    acknowledged
}

fn tool(arguments: &[&str], folder: Option<&Path>) -> Output {
    let mut command = binaries::command("dbal");
    command.args(arguments).args(folder);
    command.output().expect("dbal runs")
}

/// A secret key of checkpoints and its public half.
fn keys() -> (String, String) {
    let output = tool(&["keygen", "--checkpoints"], None);
    let text = String::from_utf8(output.stdout).expect("text");
    let (public, secret) = text
        .strip_prefix("# public: ")
        .and_then(|text| text.split_once('\n'))
        .expect("two lines");
    (secret.trim().to_owned(), public.to_owned())
}

fn with_audit(daemon: Daemon, settings: &str) -> Daemon {
    let (_, folder, _) = daemon.stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let (before, after) = shown.split_once("  rotate_mib: 64\n").expect("the default");
        format!("{before}{settings}{after}")
    });
    Daemon::start_in(folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_operation_is_on_record_whatever_is_killed_and_rotated() {
    let (secret, public) = keys();
    let settings = format!("  rotate_mib: 1\n  checkpoint_key: \"{secret}\"\n");
    let daemon = with_audit(Daemon::start(), &settings);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(&daemon, daemon.user("admin")).await);
    }
    let kills = u32::try_from(KILLS).expect("few");
    let until = Instant::now() + BETWEEN_KILLS * (kills + 1);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(works(client, until)))
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(BETWEEN_KILLS).await;
        daemon.worker().kill();
    }
    let mut acknowledged = Acknowledged::new();
    for task in tasks {
        acknowledged.extend(task.await.expect("no client panics"));
    }

    let audit = daemon.audit();
    let mut recorded: HashMap<(String, String), usize> = HashMap::new();
    let records = journal::records(&audit);
    for record in &records {
        if record["event"] == "call" && record["outcome"] == "allowed" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let place = (text(&record["operation"]), text(&record["keys"][0]));
            *recorded.entry(place).or_default() += 1;
        }
    }
    let mut total = 0;
    for ((operation, id), times) in &acknowledged {
        total += times;
        let found = recorded.get(&((*operation).to_owned(), id.clone()));
        assert!(
            found.is_some_and(|found| found >= times),
            "{times} times {operation} of {id} acknowledged, {found:?} on record"
        );
    }
    let files = files_below(&audit)
        .iter()
        .filter(|path| path.to_string_lossy().contains(".jsonl"))
        .count();
    println!("{total} acknowledged, {} records in {files} files", records.len());
    assert!(total > 1_000 && files > 2, "{total} acknowledged, {files} files");
    let starts = records
        .iter()
        .filter(|record| record["event"] == "worker-started");
    assert!(starts.count() > KILLS);

    let verified = tool(&["audit", "verify", "--key", &public], Some(&audit));
    assert!(verified.status.success(), "{verified:?}");

    // The worker removes from within its sandbox what is past its time.
    let daemon = with_audit_kept(daemon, &secret);
    journal::wait_for(&daemon.audit(), |record| record["event"] == "removed");
    let verified = tool(&["audit", "verify", "--key", &public], Some(&daemon.audit()));
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        verified.status.success() && told.contains("were removed, as a record says"),
        "{verified:?}"
    );
}

/// The same daemon that keeps one file beside the one it writes, and rotates at once.
fn with_audit_kept(daemon: Daemon, secret: &str) -> Daemon {
    let (_, folder, _) = daemon.stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let (before, after) = shown
            .split_once("  # checkpoint_key")
            .expect("it is told that there is one");
        let (_, after) = after.split_once('\n').expect("a line");
        format!("{before}  keep_files: 1\n  checkpoint_key: \"{secret}\"\n{after}")
    });
    Daemon::start_in(folder)
}
