//! The sandbox of the running daemons as the kernel tells of it. What it stops from inside is played in `sandbox/attacks`.

use std::path::Path;

use dbal_tests::daemon::Daemon;
use dbal_tests::processes::Process;

#[test]
fn the_kernel_says_that_both_daemons_are_locked_in() {
    let daemon = Daemon::start();
    for process in [daemon.broker(), daemon.worker()] {
        assert_locked_in(&process);
    }
}

pub(crate) fn assert_locked_in(process: &Process) {
    for (field, expected) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
        // Of every thread: filters are per thread, and one that was made too early would keep none.
        let all = process.statuses(field);
        assert!(
            all.iter().all(|value| value == expected),
            "{field} of {}: {all:?}",
            process.name
        );
    }
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let all = process.statuses(field);
        assert!(
            all.iter().all(|value| value == "0000000000000000"),
            "{field} of {}: {all:?}",
            process.name
        );
    }
    assert_eq!(
        process.limit("Max core file size"),
        ("0".to_owned(), "0".to_owned()),
        "{}",
        process.name
    );
}

#[test]
fn nothing_in_the_exposed_process_leads_to_the_database_the_configuration_or_a_driver() {
    let daemon = Daemon::start();
    let broker = daemon.broker();
    let secrets = [".sqlite", ".db", "worker.yaml", ".age", "identity", ".jsonl"];
    // What a checkout's own folder is called says nothing.
    let checkout = dbal_tests::binaries::repository()
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    for found in broker.descriptors().into_iter().chain(broker.mapped()) {
        let found = found.replace(&checkout, "");
        assert!(
            !secrets.iter().any(|secret| found.contains(secret)),
            "the broker holds {found}"
        );
    }
    let database = daemon.database();
    let worker = daemon.worker();
    let held = worker.descriptors();
    assert!(
        held.iter().any(|path| Path::new(path) == database),
        "the worker, which must hold it, holds {held:?}"
    );
    assert!(
        !held
            .iter()
            .any(|path| path.ends_with(".age") || path.contains("identity")),
        "{held:?}"
    );
    for (telltale, binary, is_there) in [
        ("SQLite format 3", "dbal-broker", false),
        ("age-encryption.org/v1", "dbal-broker", false),
        ("SQLite format 3", "dbal-worker", true),
        ("age-encryption.org/v1", "dbal-worker", true),
    ] {
        let bytes = std::fs::read(dbal_tests::binaries::path(binary)).unwrap();
        let found = bytes
            .windows(telltale.len())
            .any(|window| window == telltale.as_bytes());
        assert_eq!(found, is_there, "{telltale} in {binary}");
    }
}

#[test]
fn the_exposed_process_listens_where_it_should_and_the_other_nowhere_by_tcp() {
    let daemon = Daemon::start();
    let listening = |process: &Process| process.listening_tcp_ports();
    let port: u16 = daemon.address().rsplit(':').next().unwrap().parse().unwrap();
    let broker = listening(&daemon.broker());
    assert!(broker.contains(&port), "{broker:?}");
    assert!(
        broker.len() <= 2,
        "the clients' port and the administrator's: {broker:?}"
    );
    assert_eq!(listening(&daemon.worker()), Vec::<u16>::new());
}
