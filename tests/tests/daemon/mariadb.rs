//! The whole daemon on a real MariaDB over TLS, locked in as strictly as ever.

use std::time::{Duration, Instant};

use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

use crate::confinement::assert_locked_in;
use crate::methods::every_method;
use crate::postgresql::{a_client_that_goes_away_takes_its_statement_along, use_it};

/// A new database of the server: its name, and how a worker's configuration says it.
pub(crate) fn reached(server: &MariaDb) -> (String, String) {
    let name = server.database();
    // Not only configured: the server takes nobody in who speaks in the clear.
    server.sql("", &format!("ALTER USER {name}@'%' REQUIRE SSL"));
    let configuration = format!(
        "{{mysql: {{host: localhost, port: {}, database: {name}, user: {name}, password: {PASSWORD}, \
         ssl_mode: verify_full, ca_file: {}, pool_size: 4, create_tables: true}}}}",
        server.port(),
        server.ca_file().display()
    );
    (name, configuration)
}

pub(crate) fn start(server: &MariaDb) -> Daemon {
    Daemon::start_on(&reached(server).1)
}

#[tokio::test]
async fn every_method_does_the_same_on_mariadb_over_tls_in_the_strict_sandbox() {
    let server = MariaDb::shared();
    let daemon = start(server);
    assert_locked_in(&daemon.worker());
    use_it(&daemon).await;
    every_method(&daemon).await;
    assert_locked_in(&daemon.worker());
    let (_, _, said) = daemon.stop();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_mariadb_that_dies_is_told_as_503_and_served_again_when_it_is_back() {
    let server = MariaDb::start();
    let daemon = start(&server);
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let note = client
        .call("create", json!(["Note", {"title": "before"}]))
        .await
        .unwrap();
    server.kill();
    let refusal = client
        .call("read", json!(["Note", note["id"]]))
        .await
        .unwrap_err();
    assert_eq!(refusal.code, 503, "{refusal:?}");
    server.launch();
    let back = Instant::now();
    let found = loop {
        match client.call("read", json!(["Note", note["id"]])).await {
            Ok(found) => break found,
            Err(refusal) => assert_eq!(refusal.code, 503, "{refusal:?}"),
        }
        assert!(back.elapsed() < Duration::from_secs(15), "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(found, note);
}

/// By an order that leaves the sandbox like any other statement.
#[tokio::test]
async fn a_client_that_goes_away_takes_its_statement_off_the_mariadb() {
    let server = MariaDb::shared();
    let (name, configuration) = reached(server);
    let daemon = Daemon::start_on(&configuration);
    // The worker's user runs it, or the server's list would name another.
    let slow =
        format!("CREATE DEFINER = {name}@'%' TRIGGER slow BEFORE INSERT ON Note FOR EACH ROW DO SLEEP(20)");
    server.sql(&name, &slow);
    a_client_that_goes_away_takes_its_statement_along(&daemon, || server.watch(&name)).await;
    assert_eq!(server.sql(&name, "SELECT COUNT(*) FROM Note").trim(), "0");
}
