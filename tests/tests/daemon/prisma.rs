//! The whole daemon, locked in, on a real PostgreSQL behind a real Prisma client.

use std::time::{Duration, Instant};

use dbal_servers::bridge::{Bridge, TOKEN};
use dbal_servers::postgres::Postgres;
use dbal_tests::binaries::{command, repository};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

use crate::confinement::assert_locked_in;

/// A new database with the tables of the entities that daemons of tests have.
fn database(server: &Postgres) -> String {
    let name = server.database();
    let mut tool = command("dbal");
    tool.args(["schema", "ddl", "--database", "postgresql", "--entities"])
        .arg(repository().join("policy/examples/entities"));
    let printed = tool.output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let statements = String::from_utf8(printed.stdout).unwrap();
    server.sql(&name, &format!("SET ROLE {name}; {statements}"));
    name
}

#[tokio::test]
async fn every_method_but_those_of_several_statements_works_through_a_bridge_in_the_strict_sandbox() {
    let server = Postgres::shared();
    let name = database(server);
    let bridge = Bridge::tls(server, &name);
    let daemon = Daemon::start_on(&format!(
        "{{prisma: {{url: \"https://localhost:{}\", token: {TOKEN}, dialect: postgresql, ca_file: \"{}\", pool_size: 4}}}}",
        bridge.port(),
        bridge.ca_file().display()
    ));
    assert_locked_in(&daemon.worker());
    use_it(&daemon).await;
    several_statements_are_refused(&daemon).await;

    // Dead, it is told as such; back again, it is used, by connections that are made within the sandbox.
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    bridge.kill();
    let refused = client.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!((refused.code, &refused.details["retryable"]), (503, &json!(true)));
    bridge.launch();
    let began = Instant::now();
    while client.call("count", json!(["Note"])).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    use_it(&daemon).await;
    assert_locked_in(&daemon.worker());
    let (_, _, said) = daemon.stop();
    assert!(!said.contains("panicked") && !said.contains(TOKEN), "{said}");
    // Neither a statement nor a value is in the bridge's log.
    assert!(!bridge.said().contains("INSERT"), "{}", bridge.said());
}

#[tokio::test]
async fn by_a_bridges_unix_socket_the_worker_needs_no_network_at_all() {
    let server = Postgres::shared();
    let name = database(server);
    let bridge = Bridge::on_a_socket(server, &name);
    let daemon = Daemon::start_on(&format!(
        "{{prisma: {{url: \"unix:{}\", token: {TOKEN}, dialect: postgresql}}}}",
        bridge.socket().display()
    ));
    assert_locked_in(&daemon.worker());
    use_it(&daemon).await;
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    match std::fs::read_link(format!("/proc/{}/ns/net", daemon.worker().pid)) {
        Ok(network) => assert_ne!(network, own, "it has left the network"),
        // Not to be looked at: then its own report has to do.
        Err(_) => assert!(daemon.said().contains("network_left"), "{}", daemon.said()),
    }
}

/// A round through all methods that a bridge has.
async fn use_it(daemon: &Daemon) {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
    let me = daemon.user("alice").user_id.clone();
    let mut ids = Vec::new();
    for title in ["b", "a", "Ä"] {
        let note = client
            .call("create", json!(["Note", {"title": title}]))
            .await
            .unwrap();
        assert_eq!(note["state"], "draft");
        ids.push(note["id"].clone());
    }
    let read = client.call("read", json!(["Note", ids[0]])).await.unwrap();
    assert_eq!(read["title"], "b");
    let page = json!(["Note", {"sort": {"title": "asc"}, "select": ["title"], "limit": 2}]);
    let list = client.call("list", page.clone()).await.unwrap();
    assert_eq!(list["data"], json!([{"title": "a"}, {"title": "b"}]));
    assert_eq!((&list["total"], &list["hasMore"]), (&json!(3), &json!(true)));
    let mut rest = page;
    rest[1]["cursor"] = list["nextCursor"].clone();
    let rest = client.call("list", rest).await.unwrap();
    assert_eq!(rest["data"], json!([{"title": "Ä"}]));
    let changed = client
        .call("update", json!(["Note", ids[1], {"state": "published"}]))
        .await
        .unwrap();
    assert_eq!(changed["state"], "published");
    let refused = client
        .call("update", json!(["Note", me, {"state": "published"}]))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 404);
    let comment = json!({"noteId": ids[0], "authorId": me, "text": "x"});
    client.call("create", json!(["Comment", comment])).await.unwrap();
    let linked = json!(["Note", {"filter": {"comments": {"some": {"text": "x"}}},
        "include": {"comments": {"select": ["text"]}}, "select": ["title"]}]);
    let linked = client.call("list", linked).await.unwrap();
    assert_eq!(
        linked["data"],
        json!([{"title": "b", "comments": [{"text": "x"}]}])
    );
    let numbers = json!(["Comment", {"groupBy": ["text"], "count": true}]);
    let numbers = client.call("aggregate", numbers).await.unwrap();
    assert_eq!(numbers["data"][0]["count"], 1);
    let rows = json!(["Note", [{"title": "m1"}, {"title": "m2"}]]);
    assert_eq!(client.call("createMany", rows).await.unwrap(), 2);
    let many = json!(["Note", {"title": {"in": ["m1", "m2"]}}, {"state": "published"}]);
    assert_eq!(client.call("updateMany", many).await.unwrap(), 2);
    // No such note is no note of one's own.
    let stranger = json!({"noteId": me, "authorId": me, "text": "y"});
    let refused = client
        .call("create", json!(["Comment", stranger]))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 403);
    let all = json!(["Note", {"title": {"in": ["m1", "m2", "a", "b", "Ä"]}}]);
    let removed = client.call("deleteMany", all).await.unwrap();
    assert_eq!(removed, 5);
    assert_eq!(client.call("count", json!(["Note"])).await.unwrap(), 0);
}

async fn several_statements_are_refused(daemon: &Daemon) {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
    let told = client.call("getCapabilities", json!([])).await.unwrap();
    assert_eq!(
        (&told["adapter"], &told["transactions"]),
        (&json!("prisma"), &json!(false))
    );
    for flag in ["joins", "relations", "aggregations"] {
        assert_eq!(told[flag], true, "{flag}");
    }
    let create = json!({"method": "create", "params": ["Note", {"title": "whole"}]});
    let refused = client.call("transaction", json!([[create]])).await.unwrap_err();
    assert_eq!(refused.code, 501, "{refused:?}");
    let message = json!({"jsonrpc": "2.0", "id": "once", "method": "create",
        "params": {"entity": "Note", "data": {"title": "once"}, "_meta": {"idempotencyKey": "k"}}});
    client.send(&message.to_string()).await;
    let answer = client.answer().await;
    assert_eq!(answer["error"]["code"], 501, "{answer}");
    assert_eq!(client.call("count", json!(["Note"])).await.unwrap(), 0);
}
