//! Under load, with worker and broker killed again and again and files rotated and compressed where the worker is locked in: every operation that was
//! acknowledged is on record, in one chain that is signed.

use std::collections::HashMap;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::{Daemon, files_below, reconfigure_worker};
use dbal_tests::journal;
use serde_json::{Value, json};

const CLIENTS: usize = 16;
/// Whom to kill, one after the other.
const KILLED: [&str; 5] = [
    "dbal-worker",
    "dbal-broker",
    "dbal-worker",
    "dbal-worker",
    "dbal-broker",
];
const BETWEEN_KILLS: Duration = Duration::from_millis(1_500);
/// So many operations are acknowledged before it ends: enough for several files.
const ENOUGH: usize = 4_000;
const ENOUGH_WITHIN: Duration = Duration::from_secs(90);

/// What became of the calls of one client, on rows that are its own.
#[derive(Default)]
struct Calls {
    sent: usize,
    /// Those that change a row: a read may be asked of the next worker again, a change never.
    changes: usize,
    /// How often each row was acknowledged to be made, read and removed.
    acknowledged: HashMap<(&'static str, String), usize>,
}

/// How many have been acknowledged so far, and whether it is time to end.
struct Work {
    daemon: Daemon,
    acknowledged: AtomicUsize,
    is_over: AtomicBool,
}

impl Work {
    fn is_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// A connection, as soon as there is a broker.
    async fn connected(&self) -> Option<Client> {
        while self.is_on() {
            let token = &self.daemon.user("admin").token;
            if let Ok(client) = Client::try_connect(&self.daemon, Login::Header(token)).await {
                return Some(client);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

async fn works(work: Arc<Work>) -> Calls {
    let mut calls = Calls::default();
    'connections: while let Some(mut client) = work.connected().await {
        while work.is_on() {
            let mut id = Value::Null;
            for method in ["create", "read", "read", "read", "delete"] {
                let params = if method == "create" {
                    json!(["Note", {"title": "counted"}])
                } else {
                    json!(["Note", id])
                };
                calls.sent += 1;
                calls.changes += usize::from(method != "read");
                match client.call_or_broken(method, params).await {
                    None => continue 'connections,
                    Some(Err(_refused)) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        if id.is_null() {
                            break;
                        }
                    }
                    Some(Ok(answer)) => {
                        if method == "create" {
                            id = answer["id"].clone();
                        }
                        let key = id.as_str().expect("a key").to_owned();
                        *calls.acknowledged.entry((method, key)).or_default() += 1;
                        work.acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        break;
    }
    calls
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
    let work = Arc::new(Work {
        daemon,
        acknowledged: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(works(Arc::clone(&work))))
        .collect();
    let began = Instant::now();
    for name in KILLED {
        tokio::time::sleep(BETWEEN_KILLS).await;
        match name {
            "dbal-worker" => work.daemon.worker().kill(),
            _ => work.daemon.broker().kill(),
        }
    }
    tokio::time::sleep(BETWEEN_KILLS).await;
    while work.acknowledged.load(Ordering::Relaxed) < ENOUGH {
        assert!(began.elapsed() < ENOUGH_WITHIN, "the machine is too busy to tell");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    work.is_over.store(true, Ordering::Relaxed);
    let (mut sent, mut changes, mut acknowledged) = (0, 0, HashMap::new());
    for task in tasks {
        let calls = task.await.expect("no client panics");
        sent += calls.sent;
        changes += calls.changes;
        acknowledged.extend(calls.acknowledged);
    }
    let daemon = Arc::into_inner(work).expect("all tasks have ended").daemon;

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
    for ((operation, id), times) in &acknowledged {
        let found = recorded.get(&((*operation).to_owned(), id.clone()));
        assert!(
            found.is_some_and(|found| found >= times),
            "{times} times {operation} of {id} acknowledged, {found:?} on record"
        );
    }
    // Both sides counted: nothing is on record that nobody sent, and what was done without an answer is.
    let told: usize = acknowledged.values().sum();
    let done: usize = recorded.values().sum();
    let files = files_below(&audit)
        .iter()
        .filter(|path| path.to_string_lossy().contains(".jsonl"))
        .count();
    let changed: usize = recorded
        .iter()
        .filter(|((operation, _), _)| operation != "read")
        .map(|(_, times)| times)
        .sum();
    println!(
        "{sent} sent, {told} acknowledged, {done} on record as done, {} of them not acknowledged; changes: {changes} sent, {changed} on record; {} records in {files} files; killed: {KILLED:?}",
        done - told,
        records.len()
    );
    assert!(changed <= changes, "{changed} changes on record, {changes} sent");
    assert!(files > 2, "{files} files");
    let starts = records
        .iter()
        .filter(|record| record["event"] == "worker-started");
    let workers = KILLED.iter().filter(|name| **name == "dbal-worker").count();
    assert!(starts.count() > workers);

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
