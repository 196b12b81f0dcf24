//! Two whole daemons that keep answers of one PostgreSQL: each answer on record, nobody's rows in another's answer, nothing old.

use std::fs;
use std::time::{Duration, Instant};

use dbal_servers::postgres::Postgres;
use dbal_tests::client::{Client, http_get};
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::example;
use dbal_tests::journal;
use serde_json::{Value, json};

use crate::postgresql::by_tls;

/// Longer than any of it takes.
const SOON: Duration = Duration::from_secs(20);

/// The example world, of which notes and comments may be kept.
fn world() -> tempfile::TempDir {
    let world = tempfile::tempdir().unwrap();
    example::entities(world.path(), |mut text| {
        if text.contains("entity: Note\n") || text.contains("entity: Comment\n") {
            text.push_str("\ncache: {ttl: 5m}\n");
        }
        text
    });
    fs::copy(example::folder().join("acl.yaml"), world.path().join("acl.yaml")).unwrap();
    world
}

async fn metric(daemon: &Daemon, name: &str) -> u64 {
    let (_, page) = http_get(&daemon.ready.metrics).await;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .parse()
        .unwrap()
}

/// Waits until a metric has got so far.
pub async fn until(daemon: &Daemon, name: &str, least: u64) {
    let began = Instant::now();
    while metric(daemon, name).await < least {
        assert!(
            began.elapsed() < SOON,
            "{name} stays below {least}\n{}",
            daemon.said()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Records of calls that were answered without the database.
fn kept(daemon: &Daemon) -> Vec<Value> {
    let mut records = journal::records(&daemon.audit());
    records.retain(|record| record["detail"] == "answered from the cache");
    records
}

#[tokio::test]
async fn two_daemons_that_keep_answers_give_each_caller_his_own_and_none_that_is_old() {
    let (server, world) = (Postgres::shared(), world());
    let database = by_tls(server, &server.database());
    let (entities, policy) = (world.path().join("entities"), world.path().join("acl.yaml"));
    let daemons = [(); 2].map(|()| Daemon::start_with_on(&entities, &policy, &database));
    let [one, other] = &daemons;
    for daemon in &daemons {
        until(daemon, "dbal_cache_on", 1).await;
    }
    let mut alice = Client::connect(one, one.user("alice")).await;
    let mut elsewhere = Client::connect(other, other.user("alice")).await;
    let mut bob = Client::connect(other, other.user("bob")).await;
    let note = alice
        .call("create", json!(["Note", {"title": "a"}]))
        .await
        .unwrap();
    let id = note["id"].clone();
    let read = json!(["Note", id]);
    let list = json!(["Note", {"select": ["title"], "include": {"comments": {"select": ["text"]}}}]);

    // Of a draft its owner alone sees anything, however often it is kept for him.
    for _ in 0..20 {
        assert_eq!(elsewhere.call("read", read.clone()).await.unwrap()["title"], "a");
        assert_eq!(elsewhere.call("list", list.clone()).await.unwrap()["total"], 1);
        assert_eq!(bob.call("read", read.clone()).await.unwrap_err().code, 404);
        assert_eq!(bob.call("list", list.clone()).await.unwrap()["total"], 0);
    }
    let records = kept(other);
    let hits = u64::try_from(records.len()).unwrap();
    assert!(hits > 30, "{hits} of 60");
    // The worker tells of itself once a second.
    until(other, "dbal_cache_hits_total", hits).await;
    assert_eq!(metric(other, "dbal_cache_hits_total").await, hits);
    for record in &records {
        assert_eq!(
            (&record["outcome"], &record["entity"]),
            (&json!("allowed"), &json!("Note"))
        );
        assert!(
            record["principal"].is_string() && record["rule"].is_string(),
            "{record}"
        );
    }

    // One's own writes at once; others' soon, and then for good.
    for nth in 0..10 {
        let title = format!("t{nth}");
        let change = json!(["Note", id, {"title": title, "state": "published"}]);
        assert_eq!(alice.call("update", change).await.unwrap()["title"], title);
        assert_eq!(alice.call("read", read.clone()).await.unwrap()["title"], title);
        // Each by himself: who finds nothing kept reads what is there, though the other's kept answer may be older for a moment.
        let began = Instant::now();
        for reader in [&mut bob, &mut elsewhere] {
            let title = Ok(json!(title));
            while (reader.call("read", read.clone()).await).map(|note| note["title"].clone()) != title {
                assert!(began.elapsed() < SOON, "{title:?}");
            }
        }
        for reader in [&mut bob, &mut elsewhere] {
            assert_eq!(reader.call("read", read.clone()).await.unwrap()["title"], title);
        }
    }
    let remark = json!(["Comment", {"noteId": id, "authorId": other.user("bob").user_id, "text": "x"}]);
    bob.call("create", remark).await.unwrap();
    let seen = bob.call("list", list.clone()).await.unwrap();
    assert_eq!(seen["data"][0]["comments"], json!([{"text": "x"}]));
    // It goes with its note, by the database's own hand.
    assert_eq!(alice.call("delete", read.clone()).await.unwrap(), true);
    assert_eq!(alice.call("count", json!(["Comment"])).await.unwrap(), 0);
    let began = Instant::now();
    while bob.call("count", json!(["Comment"])).await != Ok(json!(0)) {
        assert!(began.elapsed() < SOON);
    }
    until(other, "dbal_cache_invalidations_total", 12).await;
}

#[tokio::test]
async fn where_nobody_tells_what_others_write_nothing_is_kept_until_somebody_says_that_this_will_do() {
    let world = world();
    let daemon = Daemon::start_with(&world.path().join("entities"), &world.path().join("acl.yaml"));
    let ask = async |daemon: &Daemon| {
        let mut alice = Client::connect(daemon, daemon.user("alice")).await;
        for _ in 0..5 {
            alice.call("count", json!(["Note"])).await.unwrap();
        }
    };
    ask(&daemon).await;
    assert!(
        daemon.said().contains("other_daemons: within_ttl"),
        "{}",
        daemon.said()
    );
    assert!(kept(&daemon).is_empty());
    let (_, folder, _) = daemon.stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        shown.replace("\ncache:\n", "\ncache:\n  other_daemons: within_ttl\n")
    });
    let daemon = Daemon::start_in(folder);
    ask(&daemon).await;
    assert_eq!(kept(&daemon).len(), 4, "{}", daemon.said());
}
