//! Opaque session tokens: looked up in the database, again while they are open, and never taken for wrong when it is away.

use std::fs;
use std::time::{Duration, Instant};

use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;
use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_tests::binaries;
use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::Daemon;
use dbal_tests::example;
use dbal_tests::journal;
use dbal_tests::worker_alone::unix_seconds;
use serde_json::{Value, json};

use crate::mariadb;

const SESSION: &str = "\
entity: Session
fields:
  id:        {type: uuid, primary: true, generated: true}
  tokenHash: {type: string, required: true, unique: true, max_length: 64, never_expose: true}
  userId:    {type: uuid, required: true, foreign_key: {entity: User, field: id, on_delete: cascade}}
  expiresAt: {type: datetime, required: true}
  revokedAt: {type: datetime, nullable: true}
";
const RULE: &str = "rules:
  - id: sessions-admin
    entity: Session
    roles: [admin]
    operations: [\"*\"]
    fields: {read: [\"*\"], write: [tokenHash, userId, expiresAt, revokedAt]}
";
const AUTH: &str = "  sessions: {entity: Session, token: tokenHash, user: userId, expires: expiresAt, revoked: revokedAt, \
    roles: {entity: User, field: role}, recheck_seconds: 1}";

/// The example world with sessions in it, on this database (SQLite, if there is none).
fn start(database: Option<&str>) -> Daemon {
    let world = tempfile::tempdir().unwrap();
    let entities = example::entities(world.path(), |text| text);
    fs::write(entities.join("session.yaml"), SESSION).unwrap();
    let policy = world.path().join("acl.yaml");
    let text = fs::read_to_string(example::folder().join("acl.yaml")).unwrap();
    fs::write(&policy, text.replacen("rules:\n", RULE, 1)).unwrap();
    let first = match database {
        Some(database) => Daemon::start_with_on(&entities, &policy, database),
        None => Daemon::start_with(&entities, &policy),
    };
    let (_, folder, _) = first.stop();
    let dev = folder.path().join("dev");
    let script = dev.join("add-sessions.sed");
    fs::write(&script, format!("/^auth:$/a\\\n{AUTH}\n")).unwrap();
    let edited = binaries::command("dbal")
        .args(["config", "edit", "--identity"])
        .args([dev.join("identity"), dev.join("worker.yaml.age")])
        .env("VISUAL", format!("sed -i -f {}", script.display()))
        .output()
        .unwrap();
    assert!(edited.status.success(), "{edited:?}");
    Daemon::start_in(folder)
}

/// SHA-256 in hexadecimal digits, by another program.
fn sha256(text: &str) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// Makes a session for somebody as an application's log-in would; its id.
async fn log_in(admin: &mut Client, token: &str, user: &str, seconds: i64) -> Value {
    let ends = (i64::try_from(unix_seconds()).unwrap() + seconds) * 1_000;
    let ends = as_text(ends);
    let data = json!({"tokenHash": sha256(token), "userId": user, "expiresAt": ends});
    admin.call("create", json!(["Session", data])).await.unwrap()["id"].clone()
}

fn as_text(ms: i64) -> String {
    let mut text = String::new();
    dbal_schema::time::push_datetime(ms, &mut text);
    text
}

async fn code(daemon: &Daemon, token: &str) -> i64 {
    let mut client = Client::try_connect(daemon, Login::Header(token)).await.unwrap();
    client
        .call("count", json!(["Note"]))
        .await
        .map_or_else(|refused| refused.code, |_| 0)
}

/// Calls until one is refused; the code, and after how long.
async fn until_refused(client: &mut Client) -> (i64, Duration) {
    let began = Instant::now();
    loop {
        match client.call("count", json!(["Note"])).await {
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(20), "still served"),
            Err(refused) => return (refused.code, began.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Log-ins, their ends, and what must not pass.
async fn play(daemon: &Daemon) {
    let alice = daemon.user("alice").user_id.clone();
    let mut admin = Client::connect(daemon, daemon.user("admin")).await;
    let session = log_in(&mut admin, "alice-token-1", &alice, 600).await;
    let mut client = Client::try_connect(daemon, Login::Header("alice-token-1"))
        .await
        .unwrap();
    let note = client
        .call("create", json!(["Note", {"title": "by a session"}]))
        .await
        .unwrap();
    assert_eq!(note["ownerId"], json!(alice));
    let auth = json!({"token": "alice-token-1", "user_id": alice});
    let mut nobody = Client::try_connect(daemon, Login::Nobody).await.unwrap();
    assert_eq!(nobody.call_as(auth, "count", json!(["Note"])).await.unwrap(), 1);

    // Nothing but the token itself: not its hash, its row's id, another spelling, SQL.
    log_in(&mut admin, "ended", &alice, -5).await;
    for other in [
        sha256("alice-token-1").as_str(),
        session.as_str().unwrap(),
        "ALICE-TOKEN-1",
        "alice-token-1%20",
        "x'OR'1'='1",
        "%25",
        "unknown",
        "ended",
    ] {
        assert_eq!(code(daemon, other).await, 401, "{other}");
    }

    // Revoked in the database: seen within twice the second that is configured, on the open connection, too.
    let mut other = Client::try_connect(daemon, Login::Header("alice-token-1"))
        .await
        .unwrap();
    other.call("count", json!(["Note"])).await.unwrap();
    let revoked = json!(["Session", session, {"revokedAt": "2026-01-01T00:00:00.000Z"}]);
    admin.call("update", revoked).await.unwrap();
    let (refused, after) = until_refused(&mut client).await;
    assert_eq!(refused, 401);
    assert!(after < Duration::from_secs(10), "{after:?}");
    assert_eq!(client.closed_with().await, Some(4401));
    assert_eq!(code(daemon, "alice-token-1").await, 401);

    // Deleted, and ended by itself.
    let session = log_in(&mut admin, "alice-token-2", &alice, 600).await;
    let mut client = Client::try_connect(daemon, Login::Header("alice-token-2"))
        .await
        .unwrap();
    client.call("count", json!(["Note"])).await.unwrap();
    assert_eq!(
        admin.call("delete", json!(["Session", session])).await.unwrap(),
        true
    );
    assert_eq!(until_refused(&mut client).await.0, 401);
    log_in(&mut admin, "short", &alice, 3).await;
    let mut client = Client::try_connect(daemon, Login::Header("short")).await.unwrap();
    client.call("count", json!(["Note"])).await.unwrap();
    assert_eq!(client.closed_with().await, Some(4401));

    // The user's role is the row's: who is made an admin is one without logging in again, and the other way round.
    log_in(&mut admin, "alice-token-3", &alice, 600).await;
    let mut client = Client::try_connect(daemon, Login::Header("alice-token-3"))
        .await
        .unwrap();
    assert_eq!(
        client.call("count", json!(["Session"])).await.unwrap_err().code,
        404
    );
    for (role, is_admin) in [("admin", true), ("user", false)] {
        admin
            .call("update", json!(["User", alice, {"role": role}]))
            .await
            .unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while client.call("count", json!(["Session"])).await.is_ok() != is_admin {
            assert!(Instant::now() < until, "{role}: {}", daemon.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    let accepted = journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "authentication" && record["detail"] == "session of Session"
    });
    assert_eq!(accepted["principal"], json!(alice));
    let written = fs::read_to_string(daemon.file(".jsonl")).unwrap() + &daemon.said();
    for token in ["alice-token-1", "alice-token-2"] {
        assert!(!written.contains(token) && !written.contains(&sha256(token)));
    }
}

#[tokio::test]
async fn a_session_of_the_database_holds_until_its_row_says_otherwise() {
    play(&start(None)).await;
}

#[tokio::test]
async fn the_same_on_mariadb_and_on_mysql() {
    for server in [MariaDb::shared(), MySql::shared()] {
        let daemon = start(Some(&mariadb::reached(server).1));
        play(&daemon).await;
    }
}

#[tokio::test]
async fn the_same_on_postgresql_and_a_database_that_is_away_is_503_and_never_401() {
    let server = Postgres::start();
    let name = server.database();
    let daemon = start(Some(&format!(
        "{{postgresql: {{host: localhost, port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
         ca_file: \"{}\", create_tables: true}}}}",
        server.port(),
        server.ca_file().display()
    )));
    play(&daemon).await;

    let alice = daemon.user("alice").user_id.clone();
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    log_in(&mut admin, "kept", &alice, 600).await;
    let mut open = Client::try_connect(&daemon, Login::Header("kept")).await.unwrap();
    open.call("count", json!(["Note"])).await.unwrap();
    server.kill();
    // Longer than an open session is believed.
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        assert_eq!(code(&daemon, "kept").await, 503);
        assert_eq!(code(&daemon, "unknown").await, 503);
        assert_eq!(open.call("count", json!(["Note"])).await.unwrap_err().code, 503);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    server.launch();
    let until = Instant::now() + Duration::from_secs(30);
    while open.call("count", json!(["Note"])).await.is_err() {
        assert!(Instant::now() < until, "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(code(&daemon, "kept").await, 0);
    assert_eq!(code(&daemon, "unknown").await, 401);
}
