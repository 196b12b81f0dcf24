//! API keys: made by `dbal key`, known to the worker as hashes, worth nothing once they are revoked or over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbal_identity::{ShownKey, read_records, write_records};
use dbal_tests::binaries;
use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::journal;
use dbal_tests::units::{Installed, Manager};
use dbal_tests::worker_alone::unix_seconds;
use nix::sys::signal::Signal;
use serde_json::json;

fn file(daemon: &Daemon) -> PathBuf {
    daemon.folder().join("keys/api-keys.yaml")
}

/// Runs `dbal key`; what it printed.
fn key(daemon: &Daemon, arguments: &[&str]) -> String {
    key_in(&file(daemon), arguments)
}

fn key_in(file: &Path, arguments: &[&str]) -> String {
    let mut command = binaries::command("dbal");
    command.arg("key").args(arguments).arg("--file").arg(file);
    let output = command.output().expect("dbal runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end()
        .to_owned()
}

/// A key that acts as alice.
fn alices(daemon: &Daemon, name: &str) -> String {
    let alice = &daemon.user("alice").user_id;
    key(
        daemon,
        &["new", "--name", name, "--subject", alice, "--role", "user"],
    )
}

/// A configuration without its rules for signed tokens.
fn without_tokens(config: &str) -> String {
    let mut is_inside = false;
    let kept = config.lines().filter(|line| {
        let is_deeper = line.starts_with("   ");
        is_inside = *line == "  tokens:" || (is_inside && is_deeper);
        !is_inside
    });
    kept.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn where_only_api_keys_are_taken_no_signed_token_is() {
    let installed = Installed::new();
    let alice = &installed.ready.users["alice"];
    let new = [
        "new",
        "--name",
        "n",
        "--subject",
        &alice.user_id,
        "--role",
        "user",
    ];
    let text = key_in(&installed.path("keys/api-keys.yaml"), &new);
    let broker = installed.path("broker.yaml");
    let config = without_tokens(&fs::read_to_string(&broker).unwrap());
    assert!(!config.contains("issuer"), "{config}");
    fs::write(&broker, config).unwrap();
    reconfigure_worker(&installed.path(""), |shown| {
        let config = without_tokens(shown);
        assert!(!config.contains("issuer"), "{config}");
        config
    });
    let (_folder, of_worker, of_broker) = Manager::of_both();
    let _worker = installed.worker(&of_worker, None);
    let _broker = installed.broker(&of_broker, None);
    of_broker.hears("READY=1");

    let (address, ca) = (installed.ready.address(), &installed.ready.ca);
    let connect = |token| Client::try_connect_at(&address, ca, Login::Header(token), None);
    let mut by_key = connect(&text).await.unwrap();
    assert_eq!(by_key.call("count", json!(["Note"])).await.unwrap(), 0);
    let mut by_token = connect(&alice.token).await.unwrap();
    let refused = by_token.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!(refused.code, 401);
    journal::wait_for(&installed.path("audit"), |record| {
        record["event"] == "authentication"
            && record["detail"]
                .to_string()
                .contains("signed tokens are not taken")
    });
}

async fn until_served(daemon: &Daemon, token: &str) -> Client {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let mut client = Client::try_connect(daemon, Login::Header(token)).await.unwrap();
        if client.call("count", json!(["Note"])).await.is_ok() {
            return client;
        }
        assert!(Instant::now() < until, "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn hang_up(daemon: &Daemon) {
    daemon.worker().signal(Signal::SIGHUP);
}

#[tokio::test]
async fn an_api_key_acts_as_its_subject_until_it_is_revoked_also_on_an_open_connection() {
    let daemon = Daemon::start();
    let text = alices(&daemon, "nightly");
    hang_up(&daemon);
    let mut client = until_served(&daemon, &text).await;
    let note = client
        .call("create", json!(["Note", {"title": "by a key"}]))
        .await
        .unwrap();
    assert_eq!(note["ownerId"], json!(daemon.user("alice").user_id));
    // Every way of showing a token is a way of showing a key.
    for login in [Login::Subprotocol(&text), Login::Query(&text)] {
        let mut client = Client::try_connect(&daemon, login).await.unwrap();
        assert_eq!(
            client.call("count", json!(["Note"])).await.unwrap(),
            1,
            "{login:?}"
        );
    }
    let mut nobody = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let auth = json!({"token": text});
    assert_eq!(nobody.call_as(auth, "count", json!(["Note"])).await.unwrap(), 1);
    // No role that it was not given.
    let refused = client
        .call(
            "create",
            json!(["User", {"username": "eve", "email": "e@example.com"}]),
        )
        .await;
    assert_eq!(refused.unwrap_err().code, 403);

    let prefix = ShownKey::parse(&text).unwrap().prefix().to_owned();
    let accepted = journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "authentication"
            && record["outcome"] == "allowed"
            && record["detail"].to_string().contains(&prefix)
    });
    assert_eq!(accepted["principal"], json!(daemon.user("alice").user_id));
    assert!(accepted["detail"].to_string().contains("nightly"), "{accepted}");

    let listed = key(&daemon, &["list"]);
    assert!(
        listed.contains(&prefix) && listed.contains("valid") && !listed.contains(&text[14..]),
        "{listed}"
    );
    assert!(key(&daemon, &["revoke", &prefix]).contains("nightly"));
    assert!(key(&daemon, &["list", "--json"]).contains("\"state\":\"revoked\""));
    hang_up(&daemon);
    let until = Instant::now() + Duration::from_secs(10);
    let code = loop {
        match client.call("count", json!(["Note"])).await {
            Ok(_) => assert!(Instant::now() < until, "{}", daemon.said()),
            Err(refused) => break refused.code,
        }
    };
    assert_eq!(code, 401);
    assert_eq!(client.closed_with().await, Some(4401));
    let refused = journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "authentication" && record["detail"].to_string().contains("revoked")
    });
    assert_eq!(refused["outcome"], "denied");
    assert!(refused["detail"].to_string().contains(&prefix), "{refused}");

    // Nothing that opens anything is kept anywhere.
    let said = daemon.said()
        + &fs::read_to_string(daemon.file(".jsonl")).unwrap()
        + &fs::read_to_string(file(&daemon)).unwrap();
    assert!(!said.contains(&text[14..]), "{said}");
}

#[tokio::test]
async fn a_key_that_ends_ends_its_connections() {
    let daemon = Daemon::start();
    let text = alices(&daemon, "short");
    let mut records = read_records(&file(&daemon)).unwrap();
    records[0].expires = Some(i64::try_from(unix_seconds() + 3).unwrap() * 1000);
    // In place, so that it still belongs to the worker.
    fs::write(file(&daemon), write_records(&records)).unwrap();
    hang_up(&daemon);
    let mut client = until_served(&daemon, &text).await;
    let began = Instant::now();
    assert_eq!(client.closed_with().await, Some(4401));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let mut late = Client::try_connect(&daemon, Login::Header(&text)).await.unwrap();
    assert_eq!(late.call("count", json!(["Note"])).await.unwrap_err().code, 401);
}

#[tokio::test]
async fn an_idle_connection_ends_when_its_key_is_revoked_though_it_asks_for_nothing() {
    let daemon = Daemon::start();
    let (text, kept) = (alices(&daemon, "idle"), alices(&daemon, "kept"));
    hang_up(&daemon);
    let mut client = until_served(&daemon, &text).await;
    let mut other = until_served(&daemon, &kept).await;
    let prefix = ShownKey::parse(&text).unwrap().prefix().to_owned();
    key(&daemon, &["revoke", &prefix]);
    // By itself: the file is watched.
    let began = Instant::now();
    assert_eq!(client.closed_with().await, Some(4401));
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // The other's session ended with the reload, too; its key holds, and so does its connection.
    tokio::time::sleep(Duration::from_secs(16)).await;
    other.call("count", json!(["Note"])).await.unwrap();
}

#[tokio::test]
async fn a_made_up_cut_or_changed_key_is_401_and_tells_nothing_of_the_others() {
    let daemon = Daemon::start();
    let text = alices(&daemon, "real");
    let other = alices(&daemon, "deleted");
    let mut records = read_records(&file(&daemon)).unwrap();
    let deleted = records.pop().unwrap();
    let mut stolen = deleted.clone();
    // Someone else's hash under a known prefix: what an attacker has who knows prefixes from a log.
    stolen.prefix = ShownKey::parse(&text).unwrap().prefix().to_owned();
    fs::write(file(&daemon), write_records(&[stolen])).unwrap();
    hang_up(&daemon);
    until_served(&daemon, &daemon.user("alice").token.clone()).await;
    let hash = deleted.hash.to_string();
    let mut told = Vec::new();
    for (what, token) in [
        ("a known prefix with another secret", text.clone()),
        ("no such key", other.clone()),
        ("cut off", text[..text.len() - 1].to_owned()),
        ("one letter more", format!("{text}0")),
        ("another checksum", format!("{}000000", &text[..text.len() - 6])),
        ("the mark alone", "dbal_".to_owned()),
        ("the hash", hash.clone()),
        ("the hash as a key", format!("dbal_{}_{hash}", &text[5..13])),
        ("dots as in a JWT", format!("{text}.x.y")),
    ] {
        let mut client = Client::try_connect(&daemon, Login::Header(&token)).await.unwrap();
        let refused = client.call("count", json!(["Note"])).await.unwrap_err();
        assert_eq!(refused.code, 401, "{what}: {refused:?}");
        told.push(refused);
    }
    assert_eq!(
        told[0], told[1],
        "a known prefix is told apart from an unknown one"
    );
    assert!(!daemon.said().contains(&text[14..]) && !daemon.said().contains(&hash));
}

#[tokio::test]
async fn a_broken_key_file_keeps_the_old_keys_and_only_the_worker_can_read_it() {
    let daemon = Daemon::start();
    let text = alices(&daemon, "kept");
    hang_up(&daemon);
    let mut client = until_served(&daemon, &text).await;
    let good = fs::read_to_string(file(&daemon)).unwrap();
    fs::write(file(&daemon), good.replace("roles:", "rolls:")).unwrap();
    hang_up(&daemon);
    let failed = journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "policy-reloaded" && record["outcome"] == "failed"
    });
    assert!(
        failed["detail"].to_string().contains("did you mean `roles`"),
        "{failed}"
    );
    client.call("count", json!(["Note"])).await.unwrap();

    use std::os::unix::fs::MetadataExt;
    let about = fs::metadata(file(&daemon)).unwrap();
    assert_eq!(about.mode() & 0o777, 0o600);
    if nix::unistd::geteuid().is_root() {
        let (broker, worker) = (daemon.broker(), daemon.worker());
        let effective = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("Uid:"))
                .unwrap()
                .to_owned();
            line.split_whitespace().nth(2).unwrap().parse::<u32>().unwrap()
        };
        assert_eq!(about.uid(), effective(worker.pid));
        assert_ne!(about.uid(), effective(broker.pid));
    }
}
