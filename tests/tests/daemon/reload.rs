//! SIGHUP: new rights, keys and certificates without a restart; a bad file changes nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dbal_identity::Signer;
use dbal_tests::binaries;
use dbal_tests::client::{Client, Login, http_get, https_get, secure};
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::journal;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const OWN: &str = "    operations: [create, read, update, delete]
    rows: \"ownerId = $user.id\"
    fields: {read: [\"*\", \"-internalRemark\"],";
/// No delete, but the remark.
const OTHER: &str = "    operations: [create, read, update]
    rows: \"ownerId = $user.id\"
    fields: {read: [\"*\"],";

/// Rewrites a file of the daemon's folder in place: it lies beside the configuration, where nothing may be replaced.
pub(crate) fn rewrite(daemon: &Daemon, name: &str, change: impl Fn(&str) -> String) -> String {
    let path = daemon.folder().join(name);
    let before = fs::read_to_string(&path).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "the change changes nothing");
    fs::write(&path, after).unwrap();
    before
}

pub(crate) fn hang_up(daemon: &Daemon) {
    daemon.worker().signal(Signal::SIGHUP);
    daemon.broker().signal(Signal::SIGHUP);
}

pub(crate) async fn health(daemon: &Daemon) -> Value {
    let (_, body) = http_get(&daemon.ready.metrics.replace("/metrics", "/health")).await;
    serde_json::from_str(&body).unwrap()
}

pub(crate) async fn wait_until(daemon: &Daemon, is_it: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let health = health(daemon).await;
        if is_it(&health) {
            return health;
        }
        assert!(Instant::now() < until, "{health:#}\n{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Both have reloaded so often, and go by the same policy, another one than `before`.
async fn reloaded(daemon: &Daemon, times: u64, before: &Value) -> Value {
    wait_until(daemon, |health| {
        health["reloads"]["succeeded"] == times
            && health["policies_agree"] == true
            && health["policy"] != *before
    })
    .await
}

fn incidents(audit: &Path) -> Vec<Value> {
    let mut records = journal::records(audit);
    records.retain(|record| record["event"] == "incident");
    records
}

#[tokio::test]
async fn an_open_connection_gains_and_loses_rights_without_a_reconnect() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let note = client
        .call("create", json!(["Note", {"title": "kept"}]))
        .await
        .unwrap();
    let read = client.call("read", json!(["Note", note["id"]])).await.unwrap();
    assert!(read.get("internalRemark").is_none(), "{read}");
    let before = health(&daemon).await["policy"].clone();

    rewrite(&daemon, "acl.yaml", |text| text.replace(OWN, OTHER));
    hang_up(&daemon);
    let after = reloaded(&daemon, 1, &before).await;
    let read = client.call("read", json!(["Note", note["id"]])).await.unwrap();
    assert!(read.get("internalRemark").is_some(), "{read}");
    let refused = client
        .call("delete", json!(["Note", note["id"]]))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 403, "{refused:?}");

    let hash = after["policy"].as_str().unwrap().to_owned();
    for process in ["worker", "broker"] {
        let record = journal::wait_for(&daemon.audit(), |record| {
            record["event"] == "policy-reloaded" && record["detail"] == format!("{process}: {hash}")
        });
        assert_eq!(record["outcome"], "allowed", "{record}");
    }
    let (_, metrics) = http_get(&daemon.ready.metrics).await;
    for process in ["worker", "broker"] {
        let line = format!("dbal_policy_info{{process=\"{process}\",hash=\"{hash}\"}} 1");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    assert!(
        !metrics.contains(before.as_str().unwrap()),
        "the old hash is gone"
    );
    assert!(incidents(&daemon.audit()).is_empty());
}

#[tokio::test]
async fn a_bad_file_keeps_all_that_was_in_force_and_says_where_it_is_bad() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let before = health(&daemon).await["policy"].clone();
    let good = rewrite(&daemon, "acl.yaml", |text| {
        text.replacen("entity: Note", "entity: Nope", 1)
    });
    hang_up(&daemon);
    let health = wait_until(&daemon, |health| {
        health["reloads"]["failed"] == 1 && health["worker"]["failed_reloads"] == 1
    })
    .await;
    assert_eq!(health["policy"], before);
    let line = 1 + fs::read_to_string(daemon.folder().join("acl.yaml"))
        .unwrap()
        .lines()
        .position(|line| line.contains("Nope"))
        .unwrap();
    let place = format!("acl.yaml:{line}:");
    let error = health["reloads"]["error"].as_str().unwrap();
    assert!(error.contains(&place), "{error}");
    assert_eq!(
        daemon.said().matches(&place).count(),
        2,
        "each says it in its log:\n{}",
        daemon.said()
    );
    client
        .call("create", json!(["Note", {"title": "kept"}]))
        .await
        .unwrap();
    let (_, metrics) = http_get(&daemon.ready.metrics).await;
    for process in ["worker", "broker"] {
        let line = format!("dbal_reload_failures_total{{process=\"{process}\"}} 1");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    let record = journal::wait_for(&daemon.audit(), |record| record["event"] == "policy-reloaded");
    assert_eq!(record["outcome"], "failed", "{record}");

    // A change that needs a restart is refused as a whole, with the policy that came along.
    fs::write(daemon.folder().join("acl.yaml"), good.replace(OWN, OTHER)).unwrap();
    let entities = rewrite(&daemon, "entities/note.yaml", |text| {
        text.replacen("max_length: ", "max_length: 1", 1)
    });
    hang_up(&daemon);
    let health = wait_until(&daemon, |health| {
        health["reloads"]["failed"] == 2 && health["worker"]["failed_reloads"] == 2
    })
    .await;
    assert!(
        health["reloads"]["error"].as_str().unwrap().contains("restart"),
        "{health}"
    );
    assert_eq!(health["policy"], before);

    // Mended, everything is taken up, and the error is forgotten.
    fs::write(daemon.folder().join("entities/note.yaml"), entities).unwrap();
    hang_up(&daemon);
    let health = reloaded(&daemon, 1, &before).await;
    assert_eq!(health["reloads"]["error"], Value::Null);
    client.call("count", json!(["Note"])).await.unwrap();
}

const INVARIANTS: &str = "version: 1
invariants:
  - id: no-email
    never: {unless_roles: [admin], read: User.email, rows: \"id <> $user.id\"}
";

/// Has both daemons hold the policy to invariants from their start.
fn held_to(invariants: &str) -> Daemon {
    let (_, folder, _) = Daemon::start().stop();
    let dev = folder.path().join("dev");
    fs::write(dev.join("invariants.yaml"), invariants).unwrap();
    let path = dev.join("invariants.yaml");
    let broker = fs::read_to_string(dev.join("broker.yaml")).unwrap();
    fs::write(
        dev.join("broker.yaml"),
        format!("{broker}invariants: invariants.yaml\n"),
    )
    .unwrap();
    reconfigure_worker(&dev, |shown| format!("{shown}invariants: {}\n", path.display()));
    Daemon::start_in(folder)
}

#[tokio::test]
async fn a_policy_that_breaks_an_invariant_is_not_taken_up_and_the_old_one_stays() {
    let daemon = held_to(INVARIANTS);
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let before = health(&daemon).await["policy"].clone();
    rewrite(&daemon, "acl.yaml", |text| {
        text.replace(
            "fields: {read: [id, username, displayName]}",
            "fields: {read: [id, email]}",
        )
    });
    hang_up(&daemon);
    let health = wait_until(&daemon, |health| {
        health["reloads"]["failed"] == 1 && health["worker"]["failed_reloads"] == 1
    })
    .await;
    assert_eq!(health["policy"], before);
    assert_eq!(health["policies_agree"], true);
    let error = health["reloads"]["error"].as_str().unwrap();
    let acl = fs::read_to_string(daemon.folder().join("acl.yaml")).unwrap();
    let line = 1 + acl
        .lines()
        .position(|line| line.contains("id: users-profile"))
        .unwrap();
    for part in [
        "invariant `no-email`",
        "invariants.yaml:3:5",
        "rule `users-profile` lets `user` read User.email",
        &format!("acl.yaml:{line}:5"),
    ] {
        assert!(error.contains(part), "{part}: {error}");
        assert!(
            daemon.said().matches(part).count() >= 2,
            "{part}: {}",
            daemon.said()
        );
    }
    let (_, metrics) = http_get(&daemon.ready.metrics).await;
    for process in ["worker", "broker"] {
        let line = format!("dbal_reload_failures_total{{process=\"{process}\"}} 1");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    let record = journal::wait_for(&daemon.audit(), |record| record["event"] == "policy-reloaded");
    assert_eq!(record["outcome"], "failed", "{record}");
    // The old rules go on: others' addresses stay hidden.
    let others = client
        .call(
            "list",
            json!(["User", {"select": ["email"], "where": {"username": "bob"}}]),
        )
        .await;
    assert!(!format!("{others:?}").contains("bob@"), "{others:?}");

    // What may be given up is given up in the invariants, not in the rules; both daemons take it up.
    rewrite(&daemon, "invariants.yaml", |text| {
        text.replace("[admin]", "[admin, user]")
    });
    hang_up(&daemon);
    reloaded(&daemon, 1, &before).await;
}

const TESTS: &str = "version: 1
rows: {Note: [{id: 00000000-0000-7000-8000-000000000001, ownerId: 00000000-0000-7000-8000-00000000000a, title: t, state: draft}]}
cases:
  - name: an owner deletes
    as: {id: 00000000-0000-7000-8000-00000000000a, roles: [user]}
    do: {method: delete, entity: Note, id: 00000000-0000-7000-8000-000000000001}
    expect: allowed
";

#[tokio::test]
async fn the_tool_has_a_policy_taken_up_that_passes_its_tests_and_no_other() {
    let (_, folder, _) = Daemon::start().stop();
    let config = folder.path().join("dev/broker.yaml");
    fs::write(folder.path().join("dev/tests.yaml"), TESTS).unwrap();
    let broker = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{broker}policy_tests: tests.yaml\n")).unwrap();
    let daemon = Daemon::start_in(folder);
    let before = health(&daemon).await["policy"].clone();
    let reload = || {
        let pids = [daemon.worker().pid, daemon.broker().pid].map(|pid| pid.to_string());
        let output = binaries::command("dbal")
            .args([
                "policy", "reload", "--pid", &pids[0], "--pid", &pids[1], "--config",
            ])
            .arg(daemon.folder().join("broker.yaml"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr]
            .map(|text| String::from_utf8(text).unwrap())
            .concat();
        (output.status.code(), said)
    };

    let good = rewrite(&daemon, "acl.yaml", |text| format!("{text}# a comment\n"));
    let (code, said) = reload();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("1 cases, 0 failed\nbroker and worker go by policy "),
        "{said}"
    );
    let after = reloaded(&daemon, 1, &before).await["policy"].clone();
    assert!(said.contains(after.as_str().unwrap()), "{said}");

    // Loads, but does not mean what its tests say: no daemon hears of it.
    rewrite(&daemon, "acl.yaml", |text| text.replace(OWN, OTHER));
    let (code, said) = reload();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("FAIL  an owner deletes") && said.contains("got      error 403"),
        "{said}"
    );
    // Does not load at all.
    fs::write(
        daemon.folder().join("acl.yaml"),
        good.replacen("entity: Note", "entity: Nope", 1),
    )
    .unwrap();
    let (code, said) = reload();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("unknown entity `Nope`"), "{said}");
    let health = health(&daemon).await;
    assert_eq!(
        (&health["policy"], &health["reloads"]["failed"]),
        (&after, &json!(0))
    );

    // Fine here, refused by the daemons: entities are taken up by a restart only.
    fs::write(daemon.folder().join("acl.yaml"), good).unwrap();
    rewrite(&daemon, "entities/note.yaml", |text| {
        text.replacen("max_length: ", "max_length: 1", 1)
    });
    let (code, said) = reload();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("keeps the old policy"), "{said}");
}

#[tokio::test]
async fn daemons_do_not_start_with_a_policy_that_breaks_an_invariant() {
    let (_, folder, _) = held_to(INVARIANTS).stop();
    let invariants = folder.path().join("dev/invariants.yaml");
    fs::write(
        &invariants,
        "version: 1\ninvariants: [{id: none, never: {delete: Note}}]\n",
    )
    .unwrap();
    for daemon in ["broker", "worker"] {
        let dev = folder.path().join("dev");
        let mut command = binaries::command(&format!("dbal-{daemon}"));
        match daemon {
            "worker" => command
                .arg("--config")
                .arg(dev.join("worker.yaml.age"))
                .arg("--identity")
                .arg(dev.join("identity")),
            _ => command.arg("--config").arg(dev.join("broker.yaml")),
        };
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains("invariant `none`") && said.contains("rule `notes-own`"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_file_may_be_replaced_in_a_folder_of_its_own_and_beside_the_configuration_only_be_rewritten() {
    let (_, folder, _) = Daemon::start().stop();
    let (named, rules) = (folder.path().join("dev/acl.yaml"), folder.path().join("rules"));
    fs::create_dir(&rules).unwrap();
    fs::rename(&named, rules.join("acl.yaml")).unwrap();
    std::os::unix::fs::symlink("../rules/acl.yaml", &named).unwrap();
    let daemon = Daemon::start_in(folder);
    let before = health(&daemon).await["policy"].clone();
    let text = fs::read_to_string(&named).unwrap();
    fs::write(rules.join("new"), format!("{text}# another\n")).unwrap();
    fs::rename(rules.join("new"), rules.join("acl.yaml")).unwrap();
    hang_up(&daemon);
    let after = reloaded(&daemon, 1, &before).await["policy"].clone();

    let key = daemon.folder().join("token.pub");
    fs::copy(&key, daemon.folder().join("new")).unwrap();
    fs::rename(daemon.folder().join("new"), &key).unwrap();
    fs::write(rules.join("acl.yaml"), format!("{text}# a third\n")).unwrap();
    hang_up(&daemon);
    let health = wait_until(&daemon, |health| {
        health["reloads"]["failed"] == 1 && health["worker"]["failed_reloads"] == 1
    })
    .await;
    let error = health["reloads"]["error"].as_str().unwrap();
    assert!(
        error.contains("token.pub") && error.contains("can be rewritten, not replaced"),
        "{error}"
    );
    assert_eq!(
        (&health["policy"], &health["worker"]["policy"]),
        (&after, &after),
        "all or nothing"
    );
}

#[tokio::test]
async fn while_only_one_has_reloaded_calls_may_be_tried_again_and_health_says_so() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let before = health(&daemon).await["policy"].clone();
    rewrite(&daemon, "acl.yaml", |text| format!("{text}# another\n"));
    daemon.worker().signal(Signal::SIGHUP);
    let health = wait_until(&daemon, |health| health["policies_agree"] == false).await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["database"]["connected"], true, "{health}");
    assert_eq!(https_get(&daemon, "/readyz").await.0, 503);
    let refused = client.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!((refused.code, &refused.details["retryable"]), (503, &json!(true)));
    daemon.broker().signal(Signal::SIGHUP);
    reloaded(&daemon, 1, &before).await;
    client.call("count", json!(["Note"])).await.unwrap();
    assert!(incidents(&daemon.audit()).is_empty());
}

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections_and_old_ones_go_on() {
    let daemon = Daemon::start();
    let (_, other, _) = Daemon::start().stop();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    for name in ["server.crt", "server.key"] {
        let new = fs::read_to_string(other.path().join("dev").join(name)).unwrap();
        rewrite(&daemon, name, |_| new.clone());
    }
    assert!(
        secure(&daemon.address(), &other.path().join("dev/ca.crt"))
            .await
            .is_err()
    );
    hang_up(&daemon);
    wait_until(&daemon, |health| health["reloads"]["succeeded"] == 1).await;
    secure(&daemon.address(), &other.path().join("dev/ca.crt"))
        .await
        .unwrap();
    assert!(secure(&daemon.address(), &daemon.ready.ca).await.is_err());
    client.call("count", json!(["Note"])).await.unwrap();

    // Half a pair is no certificate: the other half stays.
    rewrite(&daemon, "server.key", |_| {
        Signer::generate().unwrap().private_pem().to_string()
    });
    hang_up(&daemon);
    wait_until(&daemon, |health| health["reloads"]["failed"] == 1).await;
    secure(&daemon.address(), &other.path().join("dev/ca.crt"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_brokers_log_level_changes_while_it_serves() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
    assert!(!daemon.said().contains("DEBUG"));
    rewrite(&daemon, "broker.yaml", |text| {
        text.replace("  format: text", "  format: text\n  level: debug")
    });
    hang_up(&daemon);
    wait_until(&daemon, |health| health["reloads"]["succeeded"] == 1).await;
    client.call("count", json!(["Note"])).await.unwrap();
    assert!(daemon.said().contains("DEBUG"), "{}", daemon.said());
}

#[tokio::test]
async fn sessions_end_with_the_key_that_opened_them() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
    let good = rewrite(&daemon, "token.pub", |_| Signer::generate().unwrap().public_pem());
    // The worker alone: the broker still takes the token for good, and its word does not count.
    daemon.worker().signal(Signal::SIGHUP);
    journal::wait_for(&daemon.audit(), |record| record["event"] == "policy-reloaded");
    let refused = client.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!(refused.code, 401, "{refused:?}");
    assert!(client.closed_with().await.is_some());
    fs::write(daemon.folder().join("token.pub"), good).unwrap();
    hang_up(&daemon);
    wait_until(&daemon, |health| health["reloads"]["succeeded"] == 1).await;
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let login = Login::Header(&daemon.user("alice").token);
        let mut client = Client::try_connect(&daemon, login).await.unwrap();
        if client.call("count", json!(["Note"])).await.is_ok() {
            break;
        }
        assert!(Instant::now() < until, "{}", daemon.said());
    }
    assert!(incidents(&daemon.audit()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_under_traffic_cost_retries_at_most() {
    let daemon = Arc::new(Daemon::start());
    let is_over = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for name in ["alice", "bob", "carol", "admin"] {
        let (daemon, is_over) = (Arc::clone(&daemon), Arc::clone(&is_over));
        callers.push(tokio::spawn(async move {
            let mut client = Client::connect(&daemon, daemon.user(name)).await;
            let (mut served, mut retried) = (0_u32, 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                match client.call("count", json!(["Note"])).await {
                    Ok(_) => served += 1,
                    Err(refused) => {
                        assert_eq!(
                            (refused.code, &refused.details["retryable"]),
                            (503, &json!(true)),
                            "{refused:?}"
                        );
                        retried += 1;
                    }
                }
            }
            (served, retried)
        }));
    }
    let mut before = health(&daemon).await["policy"].clone();
    for time in 1..=20 {
        rewrite(&daemon, "acl.yaml", |text| format!("{text}# {time}\n"));
        hang_up(&daemon);
        before = reloaded(&daemon, time, &before).await["policy"].clone();
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        let (served, retried) = caller.await.unwrap();
        println!("served {served}, retried {retried}");
        assert!(served > 20, "served {served}, retried {retried}");
    }
    assert!(incidents(&daemon.audit()).is_empty());
}
