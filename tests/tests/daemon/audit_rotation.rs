//! Under load, with worker and broker killed again and again and files rotated and compressed where the worker is locked in: every operation that was
//! acknowledged is on record, in one chain that is signed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::counted::{self, Work};
use dbal_tests::daemon::{Daemon, files_below, reconfigure_worker};
use dbal_tests::journal;

const CLIENTS: usize = 16;
/// Whom to kill, one after the other.
const KILLED: [&str; 5] = [
    "dbal-worker",
    "dbal-broker",
    "dbal-worker",
    "dbal-worker",
    "dbal-broker",
];
const BETWEEN_KILLS: Duration = Duration::from_millis(1_500);
/// So many operations are acknowledged before it ends: enough for several files.
const ENOUGH: usize = 4_000;
const ENOUGH_WITHIN: Duration = Duration::from_secs(90);

fn tool(arguments: &[&str], folder: Option<&Path>) -> Output {
    let mut command = binaries::command("dbal");
    command.args(arguments).args(folder);
    command.output().expect("dbal runs")
}

/// A secret key of checkpoints and its public half.
fn keys() -> (String, String) {
    let output = tool(&["keygen", "--checkpoints"], None);
    let text = String::from_utf8(output.stdout).expect("text");
    let (public, secret) = text
        .strip_prefix("# public: ")
        .and_then(|text| text.split_once('\n'))
        .expect("two lines");
    (secret.trim().to_owned(), public.to_owned())
}

fn with_audit(daemon: Daemon, settings: &str) -> Daemon {
    let (_, folder, _) = daemon.stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let (before, after) = shown.split_once("  rotate_mib: 64\n").expect("the default");
        format!("{before}{settings}{after}")
    });
    Daemon::start_in(folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_operation_is_on_record_whatever_is_killed_and_rotated() {
    let (secret, public) = keys();
    let settings = format!("  rotate_mib: 1\n  checkpoint_key: \"{secret}\"\n");
    let daemon = with_audit(Daemon::start(), &settings);
    let work = Work::begin(daemon, CLIENTS);
    for name in KILLED {
        tokio::time::sleep(BETWEEN_KILLS).await;
        match name {
            "dbal-worker" => work.daemon().worker().kill(),
            _ => work.daemon().broker().kill(),
        }
    }
    tokio::time::sleep(BETWEEN_KILLS).await;
    work.until("enough acknowledged", ENOUGH_WITHIN, |work| {
        work.acknowledged() >= ENOUGH
    })
    .await;
    let (calls, daemon) = work.end().await;

    let audit = daemon.audit();
    let records = journal::records(&audit);
    let recorded = counted::done(&records);
    counted::assert_on_record(&calls, &recorded);
    // Both sides counted: nothing is on record that nobody sent, and what was done without an answer is.
    let (sent, changes, told) = (calls.sent, calls.changes, calls.acknowledged());
    let done: usize = recorded.values().sum();
    let files = files_below(&audit)
        .iter()
        .filter(|path| path.to_string_lossy().contains(".jsonl"))
        .count();
    let changed: usize = recorded
        .iter()
        .filter(|((operation, _), _)| operation != "read")
        .map(|(_, times)| times)
        .sum();
    println!(
        "{sent} sent, {told} acknowledged, {done} on record as done, {} of them not acknowledged; changes: {changes} sent, {changed} on record; {} records in {files} files; killed: {KILLED:?}",
        done - told,
        records.len()
    );
    assert!(changed <= changes, "{changed} changes on record, {changes} sent");
    assert!(files > 2, "{files} files");
    let starts = records
        .iter()
        .filter(|record| record["event"] == "worker-started");
    let workers = KILLED.iter().filter(|name| **name == "dbal-worker").count();
    assert!(starts.count() > workers);

    let verified = tool(&["audit", "verify", "--key", &public], Some(&audit));
    assert!(verified.status.success(), "{verified:?}");

    // Also the first one, which root has made, where the tests are run by root.
    let oldest = || {
        let mut files = files_below(&audit);
        files.retain(|path| path.to_string_lossy().contains("audit-0"));
        files.sort();
        files.swap_remove(0)
    };
    let began = Instant::now();
    while oldest().extension().is_none_or(|ending| ending != "gz") {
        assert!(
            began.elapsed() < ENOUGH_WITHIN,
            "{} stays as it is",
            oldest().display()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let owner = std::fs::metadata(&audit).expect("the folder").uid();
    for path in files_below(&audit) {
        let about = std::fs::metadata(&path).expect("a file");
        assert_eq!(about.uid(), owner, "{}", path.display());
    }

    // The worker removes from within its sandbox what is past its time.
    let daemon = with_audit_kept(daemon, &secret);
    journal::wait_for(&daemon.audit(), |record| record["event"] == "removed");
    let verified = tool(&["audit", "verify", "--key", &public], Some(&daemon.audit()));
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        verified.status.success() && told.contains("were removed, as a record says"),
        "{verified:?}"
    );
}

/// The same daemon that keeps one file beside the one it writes, and rotates at once.
fn with_audit_kept(daemon: Daemon, secret: &str) -> Daemon {
    let (_, folder, _) = daemon.stop();
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let (before, after) = shown
            .split_once("  # checkpoint_key")
            .expect("it is told that there is one");
        let (_, after) = after.split_once('\n').expect("a line");
        format!("{before}  keep_files: 1\n  checkpoint_key: \"{secret}\"\n{after}")
    });
    Daemon::start_in(folder)
}
