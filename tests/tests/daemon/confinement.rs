//! The sandbox of the running daemons as the kernel tells of it. What it stops from inside is played in `sandbox/attacks`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::daemon::Daemon;
use dbal_tests::processes::{self, Process};

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

/// A pipe with a name, into which nobody writes, in the configuration's place: opening it keeps a daemon for ever where it has read nothing.
#[test]
fn a_daemon_is_hidden_and_holds_nothing_of_others_before_it_reads_its_configuration() {
    const WITHIN: Duration = Duration::from_secs(20);
    for name in ["dbal-broker", "dbal-worker"] {
        let folder = tempfile::tempdir().unwrap();
        let (config, secret) = (folder.path().join("config.yaml"), folder.path().join("secret"));
        std::fs::write(&secret, "of somebody else").unwrap();
        assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" --config \"$1\" 9<\"$2\""])
            .args([&binaries::path(name), &config, &secret])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let is_hidden = |process: &Process| {
            let secret = secret.display().to_string();
            process.status("Seccomp") == "2" && !process.descriptors().contains(&secret)
        };
        let began = Instant::now();
        let process = loop {
            let ours = processes::below(std::process::id());
            let found = ours
                .into_iter()
                .find(|process| process.pid == child.id() && process.name == name);
            if let Some(process) = found.clone().filter(is_hidden) {
                break process;
            }
            if began.elapsed() > WITHIN {
                child.kill().unwrap();
                let seen = found.map(|process| (process.status("Seccomp"), process.descriptors()));
                panic!("{name} is not hidden: {seen:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(process.status("NoNewPrivs"), "1", "{name}");
        let none = ("0".to_owned(), "0".to_owned());
        assert_eq!(process.limit("Max core file size"), none, "{name}");
        assert_eq!(process.limit("Max locked memory"), none, "{name}");
        assert!(matches!(child.try_wait(), Ok(None)), "{name} does not wait");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_supervisor_tells_its_daemons_nothing_of_its_environment_that_they_do_not_read() {
    // `GLIBC_TUNABLES` is the supervisor's own word, not its environment's.
    const READ: [&str; 6] = [
        "CREDENTIALS_DIRECTORY",
        "GLIBC_TUNABLES",
        "JOURNAL_STREAM",
        "RUST_BACKTRACE",
        "RUST_LIB_BACKTRACE",
        "TZ",
    ];
    let daemon = Daemon::start();
    let others = |names: Vec<String>| -> Vec<String> {
        let others = names.into_iter().filter(|name| !READ.contains(&name.as_str()));
        others.collect()
    };
    let supervisor = processes::below(std::process::id());
    let supervisor = supervisor
        .into_iter()
        .find(|process| process.pid == daemon.pid())
        .unwrap();
    assert!(
        !others(supervisor.environment()).is_empty(),
        "there is nothing to keep back"
    );
    for process in [daemon.broker(), daemon.worker()] {
        let told = others(process.environment());
        assert!(told.is_empty(), "{}: {told:?}", process.name);
        let tunables = process.variable("GLIBC_TUNABLES");
        assert_eq!(
            tunables.as_deref(),
            Some("glibc.malloc.tcache_count=127"),
            "{}",
            process.name
        );
    }
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
