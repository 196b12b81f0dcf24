//! The whole daemon on a real MariaDB over TLS, locked in as strictly as ever.

use std::time::{Duration, Instant};

use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

use crate::confinement::assert_locked_in;
use crate::methods::every_method;
use crate::postgresql::use_it;

/// A new database of the server, as a worker's configuration names it.
pub(crate) fn reached(server: &MariaDb) -> String {
    let name = server.database();
    // Not only configured: the server takes nobody in who speaks in the clear.
    server.sql("", &format!("ALTER USER {name}@'%' REQUIRE SSL"));
    format!(
        "{{mysql: {{host: localhost, port: {}, database: {name}, user: {name}, password: {PASSWORD}, \
         ssl_mode: verify_full, ca_file: {}, pool_size: 4, create_tables: true}}}}",
        server.port(),
        server.ca_file().display()
    )
}

pub(crate) fn start(server: &MariaDb) -> Daemon {
    Daemon::start_on(&reached(server))
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
