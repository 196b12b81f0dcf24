//! Little asked, much to do: calls that once cost the daemon many times what they cost their sender.

use std::fs;
use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use serde_json::{Value, json};

#[tokio::test]
async fn calls_without_a_token_do_not_fill_the_disk_with_records() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    alice.call("count", json!(["Note"])).await.unwrap();
    let mut stranger = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let mut refused_at_once = 0;
    for _ in 0..1_000 {
        let refused = stranger.call("count", json!(["Note"])).await.unwrap_err();
        assert!([401, 429].contains(&refused.code), "{refused:?}");
        refused_at_once += u32::from(refused.code == 429);
    }
    assert!(refused_at_once > 0, "nobody is slowed down");
    // What comes behind them on the channel: once it is recorded, so is all that will ever be. Her session goes on.
    alice.call("list", json!(["Note"])).await.unwrap();
    journal::wait_for(&daemon.audit(), |record| record["method"] == "list");
    let refused = |record: &&Value| record["code"] == 401;
    let recorded = journal::records(&daemon.audit()).iter().filter(refused).count();
    assert!((1..200).contains(&recorded), "{recorded} records");
}

#[tokio::test]
async fn a_message_of_nothing_but_mistakes_swells_neither_its_answer_nor_the_broker() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let unknown: Vec<String> = (0..90_000).map(|nth| format!("\"{nth:x}\":1")).collect();
    let unknown = format!("{{{}}}", unknown.join(","));
    let filter = (0..26).fold(unknown, |inner, _| format!("{{\"AND\":{inner}}}"));
    let message = format!(r#"{{"id":"1","method":"list","params":["Note",{{"filter":{filter}}}]}}"#);
    let broker = daemon.broker();
    let before = broker.resident_kib();
    for _ in 0..30 {
        let answer = alice.round_trip(&message).await;
        assert!(answer.len() < 64 * 1024, "{} bytes", answer.len());
    }
    let grown = broker.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 200, "the broker grew by {grown} MiB");
}

#[tokio::test]
async fn a_search_that_is_made_to_be_slow_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (entities, policy) = (folder.path().join("entities"), folder.path().join("acl.yaml"));
    fs::create_dir(&entities).unwrap();
    let entity =
        "entity: Page\nfields:\n  id: {type: uuid, primary: true, generated: true}\n  text: {type: text}\n";
    fs::write(entities.join("page.yaml"), entity).unwrap();
    let rules =
        "version: 1\nrules:\n  - {id: all, entity: Page, roles: [user], operations: [create, read]}\n";
    fs::write(&policy, rules).unwrap();
    let daemon = Daemon::start_with(&entities, &policy);
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    for _ in 0..4 {
        let page = json!(["Page", {"text": "a".repeat(900_000)}]);
        alice.call("create", page).await.unwrap();
    }
    let began = Instant::now();
    let part = format!("{}b", "a".repeat(450_000));
    let filter = json!({"text": {"contains": part}});
    let found = alice.call("count", json!(["Page", {"filter": filter}])).await;
    assert_eq!(found.unwrap(), 0);
    // SQLite's `instr` needs some five seconds for each row, and can't be interrupted.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
