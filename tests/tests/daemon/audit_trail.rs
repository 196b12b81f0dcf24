//! Who did what is written down, can't be changed unseen, and says nothing that it should not.

use std::path::Path;
use std::process::Output;

use dbal_tests::binaries;
use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::{Daemon, files_below};
use dbal_tests::journal;
use serde_json::{Value, json};

fn verify(folder: &Path) -> Output {
    binaries::command("dbal")
        .args(["audit", "verify"])
        .arg(folder)
        .output()
        .expect("dbal runs")
}

/// The whole chain holds.
pub fn assert_verifies(folder: &Path) {
    let output = verify(folder);
    assert!(output.status.success(), "{output:?}");
}

async fn some_history(daemon: &Daemon) -> Value {
    let mut alice = Client::connect(daemon, daemon.user("alice")).await;
    let note = alice
        .call(
            "create",
            json!(["Note", {"title": "on record", "body": "not-on-record"}]),
        )
        .await
        .unwrap();
    alice.call("read", json!(["Note", note["id"]])).await.unwrap();
    alice
        .call(
            "create",
            json!(["User", {"username": "mallory", "email": "m@example.org"}]),
        )
        .await
        .unwrap_err();
    let mut bob = Client::connect(daemon, daemon.user("bob")).await;
    bob.call("read", json!(["Note", note["id"]])).await.unwrap_err();
    if let Ok(mut nobody) = Client::try_connect(daemon, Login::Header("not.a.token")).await {
        let _ = nobody.call("list", json!(["Note", {}])).await;
    }
    alice.call("delete", json!(["Note", note["id"]])).await.unwrap();
    note["id"].clone()
}

#[tokio::test]
async fn every_operation_allowed_or_denied_is_on_record_with_who_what_and_why() {
    let daemon = Daemon::start();
    let id = some_history(&daemon).await;
    let alice = daemon.user("alice").user_id.clone();
    let audit = daemon.audit();
    let by_alice = |record: &Value| record["principal"].to_string().contains(&alice);
    let names = |record: &Value, word: &str| record.to_string().contains(word);
    // An answer leaves after its record: these are there already, or never.
    let records = journal::records(&audit);
    let created = records
        .iter()
        .find(|record| by_alice(record) && names(record, "\"create\"") && names(record, "Note"));
    let created = created.expect("the creation");
    assert!(
        created.to_string().contains(id.as_str().unwrap()),
        "which row: {created}"
    );
    assert!(
        created["rule"].is_string() || created["rules"].is_array(),
        "by which rule: {created}"
    );
    let deleted = records
        .iter()
        .find(|record| by_alice(record) && names(record, "\"delete\""));
    assert!(deleted.is_some(), "the removal");
    // What the broker refused reaches the worker a moment later.
    journal::wait_for(&audit, |record| {
        by_alice(record) && names(record, "403") && names(record, "User")
    });
    journal::wait_for(&audit, |record| names(record, "401"));
    journal::wait_for(&audit, |record| {
        names(record, &daemon.user("bob").user_id) && names(record, "404")
    });
    for (index, record) in journal::records(&audit).iter().enumerate() {
        assert!(
            record["seq"].is_u64() && record["hash"].is_string(),
            "record {index}: {record}"
        );
    }
    assert_verifies(&audit);
}

#[tokio::test]
async fn no_token_and_no_row_value_is_written_to_any_log() {
    let daemon = Daemon::start();
    some_history(&daemon).await;
    // One who knows only the endpoint, and says so in the URL.
    let token = daemon.user("carol").token.clone();
    let mut carol = Client::try_connect(&daemon, Login::Query(&token)).await.unwrap();
    carol.call("list", json!(["Note", {}])).await.unwrap();
    let tokens: Vec<String> = daemon
        .ready
        .users
        .values()
        .map(|user| user.token.clone())
        .collect();
    let audit = daemon.audit();
    let (_, folder, said) = daemon.stop();
    let mut logs: Vec<(String, String)> = vec![("stderr".to_owned(), said)];
    for file in files_below(&audit) {
        logs.push((
            file.display().to_string(),
            std::fs::read_to_string(&file).unwrap(),
        ));
    }
    for (name, text) in logs {
        for token in &tokens {
            let signature = token.rsplit('.').next().unwrap();
            assert!(!text.contains(signature), "a token is in {name}");
        }
        assert!(!text.contains("not-on-record"), "a row's value is in {name}");
        assert!(!text.contains("not.a.token"), "a refused token is in {name}");
    }
    drop(folder);
}

#[tokio::test]
async fn a_record_that_is_changed_removed_or_moved_is_found_and_named() {
    let daemon = Daemon::start();
    some_history(&daemon).await;
    let audit = daemon.audit();
    let (_, folder, _) = daemon.stop();
    assert_verifies(&audit);
    let files = files_below(&audit);
    let file = files
        .iter()
        .find(|file| file.extension().is_some_and(|ending| ending == "jsonl"))
        .unwrap();
    let genuine = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = genuine.lines().collect();
    assert!(lines.len() >= 6, "{genuine}");
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    let cases: [(&str, String); 4] = [
        (
            "changed",
            changed(&|lines| lines[3] = lines[3].replacen("\"seq\":", "\"sEq\":", 1)),
        ),
        ("removed", changed(&|lines| drop(lines.remove(3)))),
        ("moved", changed(&|lines| lines.swap(3, 4))),
        ("inserted", changed(&|lines| lines.insert(3, lines[2].clone()))),
    ];
    for (what, text) in cases {
        std::fs::write(file, text).unwrap();
        let output = verify(&audit);
        assert!(!output.status.success(), "a record was {what} and nobody noticed");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains('4') || said.contains('5'), "{what}: which? {said}");
    }
    std::fs::write(file, &genuine).unwrap();
    assert_verifies(&audit);
    drop(folder);
}
