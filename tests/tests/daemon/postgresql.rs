//! The whole daemon, locked in, on a real PostgreSQL.

use std::time::{Duration, Instant, SystemTime};

use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_servers::watch::{Watch, assert_soon};
use dbal_tests::client::Client;
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use serde_json::json;

/// A new note takes longer than any call may.
const SLOW_CREATE: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN new; END $$; \
     CREATE TRIGGER slow BEFORE INSERT ON \"Note\" FOR EACH ROW EXECUTE FUNCTION slow()";

pub(crate) fn by_socket(server: &Postgres, name: &str, pool_size: u32) -> String {
    format!(
        "{{postgresql: {{host: \"{}\", port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
         pool_size: {pool_size}, create_tables: true}}}}",
        server.folder().display(),
        server.port(),
    )
}

pub(crate) fn by_tls(server: &Postgres, name: &str) -> String {
    format!(
        "{{postgresql: {{host: localhost, port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
         ca_file: \"{}\", create_tables: true}}}}",
        server.port(),
        server.ca_file().display()
    )
}

/// A round through the kinds of statements.
pub(crate) async fn use_it(daemon: &Daemon) {
    let mut client = Client::connect(daemon, daemon.user("alice")).await;
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
    let list = client
        .call(
            "list",
            json!(["Note", {"sort": {"title": "asc"}, "select": ["title"]}]),
        )
        .await
        .unwrap();
    assert_eq!(
        list,
        json!({"data": [{"title": "a"}, {"title": "b"}, {"title": "Ä"}], "total": 3, "page": 1, "limit": 20,
            "hasMore": false})
    );
    let changed = client
        .call("update", json!(["Note", ids[1], {"state": "published"}]))
        .await
        .unwrap();
    assert_eq!(changed["state"], "published");
    for id in &ids {
        assert_eq!(client.call("delete", json!(["Note", id])).await.unwrap(), true);
    }
    assert_eq!(client.call("count", json!(["Note"])).await.unwrap(), 0);

    linked(&mut client, &daemon.user("alice").user_id).await;

    // Several calls, all or none, and a named write once.
    let capabilities = client.call("getCapabilities", json!([])).await.unwrap();
    assert_eq!(capabilities["transactions"], true);
    let me = &daemon.user("alice").user_id;
    let note = json!({"method": "create", "params": ["Note", {"title": "whole"}]});
    let comment = |author: &str| {
        let data = json!({"noteId": {"$ref": "0.id"}, "authorId": author, "text": "t"});
        json!({"method": "create", "params": ["Comment", data]})
    };
    let named = json!({"idempotencyKey": format!("k{}", ids[0])});
    let calls = json!([note, comment(me)]);
    let first = client.call("transaction", json!([calls, named])).await.unwrap();
    assert_eq!(first[1]["noteId"], first[0]["id"]);
    let again = client.call("transaction", json!([calls, named])).await.unwrap();
    assert_eq!(again, first, "done once");
    assert_eq!(
        client
            .call("delete", json!(["Note", first[0]["id"]]))
            .await
            .unwrap(),
        true
    );
    let stranger = first[0]["id"].as_str().unwrap();
    let refused = client
        .call("transaction", json!([[note, comment(stranger)]]))
        .await
        .unwrap_err();
    assert_eq!(refused.details["call"], 1, "{refused:?}");
    assert_eq!(client.call("count", json!(["Note"])).await.unwrap(), 0);
}

/// Linked rows, numbers and cursors.
async fn linked(client: &mut Client, me: &str) {
    for (title, words) in [("a", &["x", "y"][..]), ("b", &[]), ("c", &["x"])] {
        let note = client
            .call("create", json!(["Note", {"title": title}]))
            .await
            .unwrap();
        for text in words {
            let comment = json!({"noteId": note["id"], "authorId": me, "text": text});
            client.call("create", json!(["Comment", comment])).await.unwrap();
        }
    }
    let page = json!(["Note", {
        "filter": {"comments": {"some": {"text": "x"}}},
        "include": {"comments": {"sort": {"text": "desc"}, "select": ["text"]}},
        "sort": {"title": "asc"}, "select": ["title"], "limit": 1,
    }]);
    let first = client.call("list", page.clone()).await.unwrap();
    assert_eq!(
        first["data"],
        json!([{"title": "a", "comments": [{"text": "y"}, {"text": "x"}]}])
    );
    let mut rest = page;
    rest[1]["cursor"] = first["nextCursor"].clone();
    let second = client.call("list", rest).await.unwrap();
    assert_eq!(
        second["data"],
        json!([{"title": "c", "comments": [{"text": "x"}]}])
    );
    assert_eq!(second["hasMore"], false);
    let numbers = json!(["Comment", {"groupBy": ["text"], "count": true, "max": ["createdAt"]}]);
    let numbers = client.call("aggregate", numbers).await.unwrap();
    assert_eq!(
        (&numbers["data"][0]["group"]["text"], &numbers["data"][0]["count"]),
        (&json!("x"), &json!(2))
    );
    let all = json!(["Note", {"title": {"in": ["a", "b", "c"]}}]);
    assert_eq!(client.call("deleteMany", all).await.unwrap(), 3);
    let told = client.call("getCapabilities", json!([])).await.unwrap();
    for flag in ["joins", "relations", "aggregations"] {
        assert_eq!(told[flag], true, "{flag}");
    }
}

fn assert_locked_in(daemon: &Daemon) {
    let worker = daemon.worker();
    for (field, expected) in [
        ("Seccomp", "2"),
        ("NoNewPrivs", "1"),
        ("CapEff", "0000000000000000"),
    ] {
        let all = worker.statuses(field);
        assert!(all.iter().all(|value| value == expected), "{field}: {all:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_locked_in_serves_a_database_over_tls_and_survives_its_restart() {
    let server = Postgres::start();
    let name = server.database();
    let daemon = Daemon::start_on(&by_tls(&server, &name));
    use_it(&daemon).await;
    assert_locked_in(&daemon);
    let connections = server.sql(
        "postgres",
        &format!(
            "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{name}'"
        ),
    );
    assert_eq!(
        connections, "9|t",
        "eight for calls and one that asks whether it answers"
    );

    // Dead, it is told as such; back again, it is used, through connections that are made within the sandbox.
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    server.kill();
    let refused = client.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!((refused.code, &refused.details["retryable"]), (503, &json!(true)));
    server.launch();
    let began = Instant::now();
    while client.call("count", json!(["Note"])).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    use_it(&daemon).await;

    // A statement that takes too long ends in the database, by a cancel request that leaves the sandbox like any other.
    server.sql(&name, SLOW_CREATE);
    a_client_that_goes_away_takes_its_statement_along(&daemon, || server.watch(&name)).await;
}

/// With a database in which a new note takes longer than any call may.
pub(crate) async fn a_client_that_goes_away_takes_its_statement_along(
    daemon: &Daemon,
    look: impl Fn() -> Watch,
) {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut watch = look();
        let mut client = Client::connect(daemon, daemon.user("alice")).await;
        client
            .send(&json!({"id": "slow", "method": "create", "params": ["Note", {"title": "x"}]}).to_string())
            .await;
        watch.begun();
        let left = SystemTime::now();
        drop(client);
        times.push(watch.gone_after(left));
    }
    assert_soon("gone after the client went away", times);
}

#[tokio::test]
async fn a_worker_whose_database_is_away_ends_and_the_next_one_resolves_its_name_anew() {
    let server = Postgres::start();
    let name = server.database();
    let (_, folder, _) = Daemon::start().stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        assert!(shown.contains("resolve_again_s: 60"), "{shown}");
        shown.replace("resolve_again_s: 60", "resolve_again_s: 1")
    });
    let daemon = Daemon::start_in(folder).moved_to(&by_tls(&server, &name), &[]);
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
    let (broker, worker) = (daemon.broker().pid, daemon.worker().pid);

    server.kill();
    let began = Instant::now();
    while !daemon.said().contains("dbal-worker ended (exit status: 75)") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", daemon.said());
        let refused = client.call("count", json!(["Note"])).await.unwrap_err();
        assert_eq!((refused.code, &refused.details["retryable"]), (503, &json!(true)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = daemon.said();
    assert!(
        said.contains("the database at `localhost` has not answered for 1 s"),
        "{said}"
    );
    server.launch();
    // The connection of before, through the broker of before.
    let began = Instant::now();
    while client.call("count", json!(["Note"])).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(daemon.broker().pid, broker);
    assert_ne!(daemon.worker().pid, worker);
}

#[tokio::test]
async fn by_a_unix_socket_the_worker_needs_no_network_at_all() {
    let server = Postgres::shared();
    let name = server.database();
    let daemon = Daemon::start_on(&by_socket(server, &name, 8));
    use_it(&daemon).await;
    assert_locked_in(&daemon);
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net"));
    match of(daemon.worker().pid) {
        Ok(network) => assert_ne!(network, own, "it has left the network"),
        // Not to be looked at: then its own report has to do.
        Err(_) => assert!(daemon.said().contains("network_left"), "{}", daemon.said()),
    }
}

#[tokio::test]
async fn a_change_that_waits_behind_others_until_its_time_is_over_is_known_not_to_have_begun() {
    let server = Postgres::shared();
    let name = server.database();
    let daemon = Daemon::start_on(&by_socket(server, &name, 2));
    server.sql(&name, SLOW_CREATE);
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::connect(&daemon, daemon.user("alice")).await);
    }
    // One of them holds the only connection for changes and one waits for it, both for much longer than the others have.
    let calls = clients.iter_mut().enumerate().map(|(nth, client)| {
        let (delay_ms, ms) = match nth {
            0 => (0, 4_000),
            1 => (150, 3_500),
            _ => (300, 900),
        };
        let note = json!({"entity": "Note", "data": {"title": "t"}, "_meta": {"timeoutMs": ms}});
        async move {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            client.call_v2("create", note).await
        }
    });
    for refused in futures_util::future::join_all(calls).await {
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.code, refused.details.get("outcome")),
            (504, None),
            "{refused:?}"
        );
    }
    assert_eq!(server.sql(&name, "SELECT count(*) FROM \"Note\""), "0");
}
