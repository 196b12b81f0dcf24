//! `kill -9` of the worker while 64 clients write: nothing that was acknowledged is lost, nobody is disconnected, and what has a
//! name is done once.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

const CLIENTS: usize = 64;
const WRITES_FOR: Duration = Duration::from_secs(4);
const KILLED_AFTER: Duration = Duration::from_millis(1_200);
/// Longer than a worker is away.
const PATIENCE: Duration = Duration::from_secs(20);
const WHOLE_WITHIN: Duration = Duration::from_secs(2);

/// What one client was told.
#[derive(Default)]
struct Told {
    acknowledged: Vec<(Instant, String)>,
    /// 503, and nothing was done.
    refused: Vec<String>,
    /// 503, and nobody knows.
    unknown: Vec<String>,
    /// Of those with a name: asked for, and asked for again.
    named: usize,
    again: usize,
}

/// One half writes without names, and does not ask again; the other half asks under the same name until it is acknowledged.
async fn writes(mut client: Client, number: usize, until: Instant) -> Told {
    let mut told = Told::default();
    let is_named = number % 2 == 1;
    let mut count = 0;
    while Instant::now() < until || told.named > told.acknowledged.len() {
        let title = format!("write {number}/{count}");
        let call = if is_named {
            told.named = count + 1;
            json!(["Note", {"title": title}, {"idempotencyKey": title}])
        } else {
            json!(["Note", {"title": title}])
        };
        count += 1;
        // A connection that ends panics in `call`: no client is disconnected.
        match client.call("create", call).await {
            Ok(row) => {
                assert_eq!(row["title"], json!(title));
                told.acknowledged.push((Instant::now(), title));
            }
            Err(refusal) => {
                assert_eq!(refusal.code, 503, "{refusal:?}");
                if is_named {
                    assert!(Instant::now() < until + PATIENCE, "{refusal:?}");
                    told.again += 1;
                    count -= 1;
                } else if refusal.details["outcome"] == "unknown" {
                    told.unknown.push(title);
                } else {
                    assert_eq!(refusal.details["retryable"], true, "{refusal:?}");
                    told.refused.push(title);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_of_the_worker_the_daemon_is_whole_in_two_seconds_and_no_acknowledged_write_is_lost() {
    let daemon = Daemon::start();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(&daemon, daemon.user("admin")).await);
    }
    let began = Instant::now();
    let tasks: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, client)| tokio::spawn(writes(client, number, began + WRITES_FOR)))
        .collect();
    tokio::time::sleep(KILLED_AFTER).await;
    let victim = daemon.worker();
    let killed = Instant::now();
    victim.kill();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("no client panics"));
    }

    assert!(!victim.is_alive());
    assert_ne!(daemon.worker().pid, victim.pid, "another worker serves");
    for told in &all {
        let first = told
            .acknowledged
            .iter()
            .map(|(at, _)| *at)
            .find(|at| *at > killed + Duration::from_millis(1));
        let wait = first.map(|at| at - killed);
        assert!(
            wait.is_some_and(|wait| wait < WHOLE_WITHIN),
            "a client waited {wait:?}"
        );
        assert!(
            told.acknowledged.iter().any(|(at, _)| *at < killed),
            "every client wrote before"
        );
    }
    let acknowledged = all
        .iter()
        .flat_map(|told| told.acknowledged.iter().map(|(_, title)| title.clone()));
    let (acknowledged, refused, unknown): (HashSet<_>, Vec<_>, Vec<_>) = (
        acknowledged.collect(),
        all.iter().flat_map(|told| told.refused.clone()).collect(),
        all.iter().flat_map(|told| told.unknown.clone()).collect(),
    );

    let database = daemon.database();
    let audit = daemon.audit();
    let (_, folder, _) = daemon.stop();
    let times = titles(&database);
    let written: HashSet<String> = times.keys().cloned().collect();
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "done twice: {twice:?}");
    let lost: Vec<_> = acknowledged.difference(&written).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let ghosts: Vec<_> = refused.iter().filter(|title| written.contains(*title)).collect();
    assert!(ghosts.is_empty(), "said not to be done, and done: {ghosts:?}");
    let sum = |of: fn(&Told) -> usize| all.iter().map(of).sum::<usize>();
    let (named, again) = (sum(|told| told.named), sum(|told| told.again));
    let acknowledged_named = acknowledged.iter().filter(|title| is_of_named(title)).count();
    println!(
        "{} acknowledged, {} refused, {} unknown; of those with a name {named} sent, {again} again, {acknowledged_named} acknowledged",
        acknowledged.len(),
        refused.len(),
        unknown.len()
    );
    let found = written.iter().filter(|title| is_of_named(title)).count();
    assert_eq!(
        (acknowledged_named, found),
        (named, named),
        "sent, acknowledged, found"
    );
    assert!(named > CLIENTS);
    crate::audit_trail::assert_verifies(&audit);
    drop(folder);
}

/// Whether it was written by one of the half whose writes have names.
fn is_of_named(title: &str) -> bool {
    let number = title
        .strip_prefix("write ")
        .and_then(|rest| rest.split('/').next());
    number.unwrap().parse::<usize>().unwrap() % 2 == 1
}

/// How often each title is there.
fn titles(database: &std::path::Path) -> HashMap<String, u32> {
    let database = rusqlite::Connection::open(database).unwrap();
    let mut statement = database
        .prepare("SELECT title, COUNT(*) FROM Note GROUP BY title")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn while_the_worker_hangs_callers_get_503_or_504_and_then_their_answers_again() {
    use nix::sys::signal::Signal;
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
    let worker = daemon.worker();
    worker.signal(Signal::SIGSTOP);
    let began = Instant::now();
    let refused = client
        .call_v2("count", json!({"entity": "Note", "_meta": {"timeoutMs": 700}}))
        .await;
    worker.signal(Signal::SIGCONT);
    let refused = refused.unwrap_err();
    assert!([503, 504].contains(&refused.code), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let until = Instant::now() + WHOLE_WITHIN;
    while client.call("count", json!(["Note"])).await.is_err() {
        assert!(Instant::now() < until, "the worker goes on and is not heard");
    }
}
