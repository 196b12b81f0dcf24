//! The broker countersigns what it is shown of the audit trail; whoever cuts or changes the trail afterwards is found by it.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::client::{Client, http_get};
use dbal_tests::daemon::{Daemon, files_below};
use dbal_tests::journal;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn verify(arguments: &[&str], audit: &Path) -> Output {
    let mut command = binaries::command("dbal");
    command.args(["audit", "verify"]).args(arguments).arg(audit);
    command.output().expect("dbal runs")
}

fn told(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The public half of the key that `dbal dev` made for the broker.
fn broker_key(daemon: &Daemon) -> String {
    let text = std::fs::read_to_string(daemon.folder().join("countersign.key")).expect("the broker's key");
    let public = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# public: "));
    public.expect("its public half").to_owned()
}

async fn get(daemon: &Daemon, path: &str) -> String {
    let base = daemon.ready.metrics.strip_suffix("/metrics").expect("a page");
    http_get(&format!("{base}{path}")).await.1
}

/// Waits until the broker has countersigned a record beyond this one, and returns what it tells.
async fn head_beyond(daemon: &Daemon, record: u64) -> Value {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let text = get(daemon, "/audit/head").await;
        assert!(
            text.ends_with("}\n") || text == "null\n",
            "a line, to be collected in a file: {text}"
        );
        let head: Value = serde_json::from_str(&text).expect("JSON");
        if head["seq"].as_u64().is_some_and(|seq| seq > record) {
            return head;
        }
        assert!(Instant::now() < until, "{head}\n{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_that_is_cut_is_sound_by_itself_and_missed_by_the_head_that_the_broker_countersigned() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    for title in ["one", "two", "three"] {
        client
            .call("create", json!(["Note", {"title": title}]))
            .await
            .expect("made");
    }
    let audit = daemon.audit();
    let head = head_beyond(&daemon, 4).await;
    let key = broker_key(&daemon);
    assert_eq!(head["key"], json!(key));
    journal::wait_for(&audit, |record| record["countersigned"]["seq"] == head["seq"]);
    let sound = verify(&["--broker-key", &key], &audit);
    assert!(sound.status.success(), "{sound:?}");
    assert!(told(&sound).contains("countersigned up to record"), "{sound:?}");
    let stranger = verify(&["--broker-key", &"ab".repeat(32)], &audit);
    assert!(
        told(&stranger).contains("this broker did not make"),
        "{stranger:?}"
    );

    let metrics = get(&daemon, "/metrics").await;
    let number = format!("dbal_audit_countersigned_record {}", head["seq"]);
    assert!(
        metrics.contains(&number) && metrics.contains("dbal_audit_heads_refused_total 0"),
        "{metrics}"
    );
    let health: Value = serde_json::from_str(&get(&daemon, "/health").await).expect("JSON");
    assert_eq!(health["audit"]["countersigned"], head["seq"], "{health}");

    // Somebody keeps what the broker tells, and somebody else cuts the trail.
    let heads = daemon.folder().join("heads.jsonl");
    std::fs::write(&heads, format!("null\n{head}\n")).expect("a file");
    let heads = heads.to_string_lossy().into_owned();
    let (_, folder, said) = daemon.stop();
    assert!(
        said.contains("the head of the audit trail") && said.contains("signature"),
        "the log tells it, too: {said}"
    );
    let audit = folder.path().join("dev/audit");
    let with_heads = ["--broker-key", key.as_str(), "--head", heads.as_str()];
    let whole = verify(&with_heads, &audit);
    assert!(
        told(&whole).contains("1 heads were asked for and are there"),
        "{whole:?}"
    );
    let file = files_below(&audit)
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    let file = file.expect("a file of the trail");
    let text = std::fs::read_to_string(&file).expect("the trail");
    let cut: String = text.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&file, cut).expect("the trail is cut");
    assert!(verify(&[], &audit).status.success(), "sound by itself");
    let missed = verify(&with_heads, &audit);
    assert_eq!(missed.status.code(), Some(1));
    assert!(
        told(&missed).contains(&format!("records 4 to {} were cut off the end", head["seq"])),
        "{missed:?}"
    );
}

/// The worker dies, somebody cuts its trail, and it goes on: the broker remembers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_back_with_a_shorter_trail_is_an_incident_and_gets_no_countersignature() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    for _ in 0..30 {
        client.call("list", json!(["Note"])).await.expect("a list");
    }
    let head = head_beyond(&daemon, 30).await;
    let audit = daemon.audit();
    let file = files_below(&audit)
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    let file = file.expect("a file of the trail");
    // Whoever does this is as quick as the supervisor: the file is replaced, and then the worker killed.
    let text = std::fs::read_to_string(&file).expect("the trail");
    let cut: String = text.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let before = daemon.worker();
    before.signal(Signal::SIGSTOP);
    std::fs::write(&file, cut).expect("the trail is cut");
    before.kill();
    let until = Instant::now() + Duration::from_secs(30);
    while !daemon.said().contains("incident: the audit trail went back") {
        assert!(Instant::now() < until, "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health: Value = serde_json::from_str(&get(&daemon, "/health").await).expect("JSON");
    assert_eq!(health["audit"]["countersigned"], head["seq"], "{health}");
    assert!(health["audit"]["refused"].as_u64() > Some(0), "{health}");
    client.call("list", json!(["Note"])).await.expect("calls go on");
}
