//! Rows whose time is over, by whole daemons on SQLite: they go, the audit and the metrics say so, and what refers to one keeps it.

use std::fs;
use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::example;
use dbal_tests::journal;
use serde_json::{Value, json};

use crate::cache::until;

/// Longer than any of it takes.
const SOON: Duration = Duration::from_secs(20);

const ENTITIES: &str = "
entity: Invite
fields:
  id:        {type: uuid, generated: true}
  code:      {type: string, required: true, max_length: 20}
  expiresAt: {type: datetime}
ttl: {field: expiresAt, auto_delete: true}
acl: {create: {user: true}, read: {user: true}}
---
entity: Guest
fields:
  id:       {type: uuid, generated: true}
  inviteId: {type: uuid, required: true, foreign_key: {entity: Invite, on_delete: restrict}}
acl: {create: {user: true}, read: {user: true}}
";

/// The example world, and invitations that expire; looked at each second.
fn world() -> (Daemon, tempfile::TempDir) {
    let world = tempfile::tempdir().unwrap();
    let entities = example::entities(world.path(), |text| text);
    fs::write(entities.join("invite.yaml"), ENTITIES).unwrap();
    let (_, folder, _) = Daemon::start_with(&entities, &example::folder().join("acl.yaml")).stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        assert!(shown.contains("interval_s: 60"), "{shown}");
        shown.replace("interval_s: 60", "interval_s: 1")
    });
    (Daemon::start_in(folder), world)
}

async fn invite(client: &mut Client, expires: Value) -> Value {
    let row = json!(["Invite", {"code": "c", "expiresAt": expires}]);
    client.call("create", row).await.unwrap()["id"].clone()
}

#[tokio::test]
async fn a_row_is_gone_when_its_time_is_over_and_audit_and_metrics_say_so() {
    let (daemon, _world) = world();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let capabilities = alice.call("getCapabilities", json!([])).await.unwrap();
    assert_eq!(capabilities["ttl"], true, "{capabilities}");
    let later = invite(&mut alice, json!("2999-01-01T00:00:00Z")).await;
    let never = invite(&mut alice, Value::Null).await;
    // In one transaction with what keeps it, so that it is kept from the beginning.
    let used = json!([
        {"method": "create", "params": ["Invite", {"code": "used", "expiresAt": "2001-01-01T00:00:00Z"}]},
        {"method": "create", "params": ["Guest", {"inviteId": {"$ref": "0.id"}}]},
    ]);
    let used = alice.call("transaction", json!([used])).await.unwrap()[0]["id"].clone();
    let over = invite(&mut alice, json!("2001-01-01T00:00:00Z")).await;

    let began = Instant::now();
    let gone = loop {
        match alice.call("read", json!(["Invite", over])).await {
            Ok(_) => assert!(began.elapsed() < SOON, "it stays\n{}", daemon.said()),
            Err(refusal) => break refusal,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(gone.code, 404);
    for stays in [&later, &never, &used] {
        assert!(alice.call("read", json!(["Invite", stays])).await.is_ok());
    }
    let record = |outcome: &str| {
        journal::wait_for(&daemon.audit(), |record| {
            record["event"] == "expired" && record["outcome"] == outcome
        })
    };
    let (removed, held) = (record("allowed"), record("failed"));
    assert_eq!((&removed["rows"], &held["code"]), (&json!(1), &json!(422)));
    for record in [removed, held] {
        for (field, value) in [
            ("principal", "dbal-worker"),
            ("operation", "delete"),
            ("entity", "Invite"),
        ] {
            assert_eq!(record[field], value, "{record}");
        }
    }
    until(&daemon, "dbal_expired_rows_total", 1).await;
    until(&daemon, "dbal_expired_rows_held", 1).await;
    let said = daemon.said();
    assert_eq!(said.matches("can't be removed").count(), 1, "{said}");
}
