//! Clients that others wrote, with certificate checking on: Node's `ws`, Python's `websockets`, websocat.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dbal_tests::binaries::repository;
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

/// Where `cargo xtask test` has put them.
pub fn clients() -> PathBuf {
    let folder =
        std::env::var_os("DBAL_CLIENTS").map_or_else(|| repository().join("target/clients"), PathBuf::from);
    assert!(
        folder.exists(),
        "{} is missing: `cargo xtask test` fetches the clients",
        folder.display()
    );
    folder
}

fn run(mut command: Command, daemon: &Daemon) {
    let alice = daemon.user("alice");
    command
        .env("DBAL_ENDPOINT", &daemon.ready.endpoint)
        .env("DBAL_ADDRESS", daemon.address())
        .env("DBAL_CA", &daemon.ready.ca)
        .env("DBAL_TOKEN", &alice.token)
        .env("DBAL_USER", &alice.user_id)
        .env("DBAL_CLIENTS", clients());
    let output = command.output().expect("the client starts");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    assert!(
        said.contains("create read list update delete: ok"),
        "{said}\n{complained}"
    );
    assert!(
        said.contains("untrusted certificate refused: ok"),
        "{said}\n{complained}"
    );
}

#[test]
fn nodes_ws_creates_reads_lists_updates_and_deletes() {
    let daemon = Daemon::start();
    let mut node = Command::new("node");
    node.arg(repository().join("tests/clients/crud.mjs"));
    run(node, &daemon);
}

#[test]
fn the_client_of_the_protocols_page_calls_fails_as_it_should_and_connects_anew() {
    let page = std::fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("```js\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [client, use_of_it] = blocks[..] else {
        panic!("a client and what is done with it: {blocks:?}");
    };
    let daemon = Daemon::start();
    let use_of_it = use_of_it.replace("127.0.0.1:50051", &daemon.address()).replace(
        "await db.close();",
        "const cut = await db.call('create', 'Note', { title: 'x', body: 'x'.repeat(2 << 20) }).catch(({ code }) => code);
         console.log('cut', cut, 'again', await db.call('count', 'Note', { filter: { id: note.id } }));
         await db.close();",
    );
    let script = format!(
        "const WebSocket = require('ws'), crypto = require('crypto');
         const ca = require('fs').readFileSync(process.env.DBAL_CA), token = process.env.DBAL_TOKEN;
         {client} (async () => {{ {use_of_it} }})();"
    );
    let output = Command::new("node")
        .args(["-e", &script])
        .env("NODE_PATH", clients().join("node_modules"))
        .env("DBAL_CA", &daemon.ready.ca)
        .env("DBAL_TOKEN", &daemon.user("alice").token)
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("422 [ { field: 'title', error: 'must not be empty' } ]"),
        "{said}"
    );
    assert!(said.contains("cut 1009 again 1"), "{said}");
}

#[test]
fn pythons_websockets_creates_reads_lists_updates_and_deletes() {
    let daemon = Daemon::start();
    let mut python = Command::new("python3");
    python
        .arg(repository().join("tests/clients/crud.py"))
        .env("PYTHONPATH", clients().join("python"));
    run(python, &daemon);
}

#[test]
fn websocat_creates_reads_lists_updates_and_deletes() {
    let daemon = Daemon::start();
    let created = websocat(&daemon, "create", json!(["Note", {"title": "by websocat"}]));
    let id = created["result"]["id"].clone();
    assert!(id.is_string(), "{created}");
    let read = websocat(&daemon, "read", json!(["Note", id]));
    assert_eq!(read["result"], created["result"]);
    let list = websocat(
        &daemon,
        "list",
        json!(["Note", {"filter": {"title": "by websocat"}}]),
    );
    assert_eq!(list["result"]["total"], 1, "{list}");
    let updated = websocat(&daemon, "update", json!(["Note", id, {"body": "b"}]));
    assert_eq!(updated["result"]["body"], "b", "{updated}");
    assert_eq!(websocat(&daemon, "delete", json!(["Note", id]))["result"], true);
    assert_eq!(
        websocat(&daemon, "read", json!(["Note", id]))["error"]["code"],
        404
    );
}

/// One call by one run of websocat; OpenSSL trusts the CA that `SSL_CERT_FILE` names and no other.
fn websocat(daemon: &Daemon, method: &str, params: Value) -> Value {
    let mut child = Command::new(clients().join("websocat/bin/websocat"))
        .args(["--one-message", "--no-close", "--max-messages-rev=1"])
        .arg(format!(
            "--header=Authorization: Bearer {}",
            daemon.user("alice").token
        ))
        .arg(format!("wss://{}/", daemon.address()))
        .env("SSL_CERT_FILE", &daemon.ready.ca)
        .env("SSL_CERT_DIR", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("websocat starts");
    let call = json!({"id": "w", "method": method, "params": params});
    writeln!(child.stdin.take().unwrap(), "{call}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{method}: {error}: {said} {complained}"))
}
