//! `clients/typescript` on another database than the one its own tests have.

use std::process::Command;

use dbal_servers::postgres::Postgres;
use dbal_tests::binaries::repository;
use dbal_tests::daemon::Daemon;
use serde_json::{Map, Value, json};

use crate::postgresql::by_tls;

#[test]
fn the_typescript_client_calls_every_method_on_postgresql() {
    let built = repository().join("clients/typescript/build/test/methods.test.js");
    assert!(
        built.exists(),
        "{} is missing: `cargo xtask test` builds it first",
        built.display()
    );
    let server = Postgres::shared();
    let daemon = Daemon::start_on(&by_tls(server, &server.database()));
    let users: Map<String, Value> = daemon
        .ready
        .users
        .iter()
        .map(|(name, user)| {
            (
                name.clone(),
                json!({"token": user.token, "user_id": user.user_id}),
            )
        })
        .collect();
    let ready = json!({"endpoint": daemon.ready.endpoint, "ca": daemon.ready.ca, "users": users});
    let output = Command::new("node")
        .arg("--test")
        .arg(built)
        .env("DBAL_TEST_READY", ready.to_string())
        .env("DBAL_TEST_ADAPTER", "postgresql")
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("# fail 0") && !said.contains("# pass 0"), "{said}");
}
