//! The disk of the audit trail is full while clients write, and has room again: nothing that was acknowledged is missing, whatever the
//! configuration says of such times.

use std::path::Path;
use std::time::Duration;

use dbal_tests::client::Client;
use dbal_tests::counted::{self, Calls, Work};
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::{binaries, journal};
use serde_json::{Value, json};

const CLIENTS: usize = 8;
/// Of the disk, in MiB.
const ROOM: u32 = 2;
/// What lies there beside the trail until somebody makes room, in bytes: all but some hundreds of records.
const BALLAST: usize = 2 * 1024 * 1024 - 256 * 1024;
/// How long the disk is left full.
const FULL: Duration = Duration::from_millis(500);
/// Calls that are acknowledged after there is room again.
const AFTERWARDS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon whose trail has little room, and the trail's folder as we see it.
fn with_little_room(on_failure: &str) -> (Daemon, std::path::PathBuf) {
    let (_, folder, _) = Daemon::start().stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let (before, after) = shown.split_once("  on_failure: refuse\n").expect("the default");
        format!("{before}  on_failure: {on_failure}\n{after}")
    });
    let daemon = Daemon::start_on_small_disk(folder, ROOM);
    let audit = daemon.seen_by_itself("audit");
    std::fs::write(audit.join("ballast"), vec![1; BALLAST]).expect("there is room for it");
    (daemon, audit)
}

fn make_room(audit: &Path) {
    std::fs::remove_file(audit.join("ballast")).expect("the ballast goes");
}

/// Both sides, once the clients have ended: all that was acknowledged is there, in one sound chain, and nothing was lost.
fn compare(mode: &str, calls: &Calls, audit: &Path) -> Vec<Value> {
    let verified = binaries::command("dbal")
        .args(["audit", "verify"])
        .arg(audit)
        .output()
        .expect("dbal runs");
    assert!(verified.status.success(), "{verified:?}");
    let records = journal::records(audit);
    let done = counted::done(&records);
    counted::assert_on_record(calls, &done);
    assert!(records.iter().all(|record| record["event"] != "lost"));
    println!(
        "{mode}: {} sent, {} acknowledged, {} refused, {} of unknown outcome, {} unanswered; {} on record as done, {} records",
        calls.sent,
        calls.acknowledged(),
        calls.refused,
        calls.unknown,
        calls.unanswered,
        done.values().sum::<usize>(),
        records.len()
    );
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_disk_calls_are_refused_and_taken_again_when_there_is_room() {
    let (daemon, audit) = with_little_room("refuse");
    let work = Work::begin(daemon, CLIENTS);
    work.until("full", PATIENCE, |work| work.refused() > 0).await;
    // Between the first that is refused and the last that was written.
    tokio::time::sleep(FULL).await;
    let before = work.acknowledged();
    tokio::time::sleep(FULL).await;
    assert_eq!(work.acknowledged(), before, "nothing is acknowledged meanwhile");
    // A worker that is killed now has acknowledged nothing that it had not written.
    work.daemon().worker().kill();
    tokio::time::sleep(FULL).await;
    make_room(&audit);
    work.until("served again", PATIENCE, |work| {
        work.acknowledged() >= before + AFTERWARDS
    })
    .await;
    let (calls, daemon) = work.end().await;
    assert!(calls.refused > 0, "{calls:?}");
    compare("refuse", &calls, &audit);

    // What was refused was not done: each row that is there was acknowledged, or its caller knows that it may be.
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    let rows = client.call("count", json!(["Note"])).await.expect("a number");
    let rows = usize::try_from(rows.as_u64().expect("a number")).expect("small");
    let of = |operation| {
        calls
            .acknowledged
            .keys()
            .filter(|(done, _)| *done == operation)
            .count()
    };
    let left = of("create") - of("delete");
    let may_be = calls.unknown + calls.unanswered;
    assert!(
        (left.saturating_sub(may_be)..=left + may_be).contains(&rows),
        "{rows} rows, {left} acknowledged and not removed, {may_be} unknown"
    );
    let said = daemon.said();
    assert!(said.contains("calls are refused until it can"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_disk_calls_go_on_where_that_is_configured_and_are_on_record_when_there_is_room() {
    let (daemon, audit) = with_little_room("continue");
    let work = Work::begin(daemon, CLIENTS);
    work.until("full", PATIENCE, |work| {
        work.daemon().said().contains("calls go on, as configured")
    })
    .await;
    let before = work.acknowledged();
    work.until("going on", PATIENCE, |work| {
        work.acknowledged() >= before + AFTERWARDS
    })
    .await;
    make_room(&audit);
    work.until("writing again", PATIENCE, |work| {
        work.daemon()
            .said()
            .contains("the audit trail can be written again")
    })
    .await;
    let before = work.acknowledged();
    work.until("served on", PATIENCE, |work| {
        work.acknowledged() >= before + AFTERWARDS
    })
    .await;
    let (calls, daemon) = work.end().await;
    assert_eq!(
        (calls.refused, calls.unknown, calls.unanswered),
        (0, 0, 0),
        "{calls:?}"
    );
    compare("continue", &calls, &audit);
    let times = daemon.said().matches("calls go on, as configured").count();
    assert_eq!(times, 1, "said once, not for each call");
}
