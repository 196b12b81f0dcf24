//! `explain`, the names of refusals, and what the audit trail makes of them.

use dbal_tests::binaries;
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use serde_json::{Value, json};

#[tokio::test]
async fn a_call_is_explained_as_it_would_be_answered_and_nothing_is_done() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let create = json!(["create", ["Note", {"title": "only explained"}]]);
    let told = alice.call("explain", create).await.unwrap();
    assert_eq!(told["allowed"], true, "{told}");
    assert_eq!(told["filledIn"], json!(["ownerId"]), "{told}");
    assert_eq!(told["complexity"]["parts"], json!({"plan": 1}), "{told}");
    assert_eq!(
        alice
            .call("count", json!(["Note", {"filter": {"title": "only explained"}}]))
            .await
            .unwrap(),
        0
    );
    let list = json!({"method": "list", "params": ["Note", {"limit": 3, "include": ["owner"]}]});
    let told = alice.call_v2("explain", list).await.unwrap();
    assert_eq!(told["page"]["limit"], 3, "{told}");
    assert_eq!(told["include"][0]["relation"], "owner", "{told}");
    assert!(!told["fields"].to_string().contains("internalRemark"), "{told}");
    assert!(
        told["rows"].as_str().unwrap().contains("state is 'published'"),
        "{told}"
    );
    let said = told.to_string();
    for secret in ["notes-own", "users-", "SELECT", "passwordHash"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    // Each call of a batch may be an explanation.
    let calls = json!([[{"method": "explain", "params": ["delete", ["Note", daemon.user("bob").user_id]]}]]);
    let told = alice.call("batch", calls).await.unwrap();
    assert_eq!(told[0]["result"]["allowed"], true, "{told}");
}

#[tokio::test]
async fn an_operator_finds_out_why_by_the_name_that_the_caller_was_told() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let denied = [
        (
            "create",
            json!(["User", {"username": "x", "email": "x@example.org"}]),
            403,
            "needs the role admin",
        ),
        (
            "list",
            json!(["Note", {"filter": {"internalRemark": "x"}}]),
            422,
            "does not show internalRemark",
        ),
        (
            "update",
            json!(["Note", daemon.user("bob").user_id, {"internalRemark": "x"}]),
            422,
            "does not let internalRemark be written",
        ),
        (
            "read",
            json!(["Note", daemon.user("bob").user_id]),
            404,
            "notes-own",
        ),
    ];
    for (method, params, code, why) in denied {
        let refused = alice.call(method, params.clone()).await.unwrap_err();
        assert_eq!(refused.code, code, "{refused:?}");
        let name = refused.decision.expect("a name");
        let record = journal::wait_for(&daemon.audit(), |record| record["request"] == name.as_str());
        assert_eq!(record["policy"].as_str().map(str::len), Some(64), "{record}");
        let told = why_of(&daemon, &name);
        for part in [
            why,
            "alice".replace("alice", &daemon.user("alice").user_id).as_str(),
            method,
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(told.contains("acl.yaml:"), "file and line: {told}");
        assert!(told.contains("still in force"), "{told}");
    }
    let told = why_of(&daemon, "00000000-0");
    assert!(told.contains("no record"), "{told}");
}

fn why_of(daemon: &Daemon, name: &str) -> String {
    let folder = daemon.audit();
    let home = folder.parent().expect("a folder");
    let output = binaries::command("dbal")
        .args(["policy", "why", name, "--audit"])
        .arg(&folder)
        .arg("--entities")
        .arg(home.join("entities"))
        .arg("--policy")
        .arg(home.join("acl.yaml"))
        .output()
        .expect("dbal runs");
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

/// A caller hears nothing of rules, and the audit nothing of the values of rows.
#[tokio::test]
async fn explanations_stand_in_the_trail_without_the_values_of_the_call() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let value = "a-value-that-nobody-else-has";
    alice
        .call("explain", json!(["list", ["Note", {"filter": {"title": value}}]]))
        .await
        .unwrap();
    let record = journal::wait_for(&daemon.audit(), |record| record["method"] == "explain");
    assert_eq!(record["outcome"], "allowed", "{record}");
    let all: Vec<Value> = journal::records(&daemon.audit());
    assert!(!format!("{all:?}").contains(value));
}
