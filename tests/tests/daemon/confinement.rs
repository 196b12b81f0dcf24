//! The sandbox, from outside (what the kernel says of the running daemons) and from inside (an attacker in the same cage).

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dbal_tests::daemon::Daemon;
use dbal_tests::processes::Process;

const SIGSYS: i32 = 31;

/// How an attack must end.
#[derive(Clone, Copy, PartialEq)]
enum Free {
    /// Outside the cage it works (as root on a usual kernel), so the cage is what stops it.
    Works,
    /// It may fail outside, too (containers forbid some of it); inside it must.
    MayFail,
}

/// Name, what its argument is, and whether it works outside. The attacks themselves are in `src/bin/dbal-attacker.rs`.
const ATTACKS: [(&str, Argument, Free); 36] = [
    ("read-etc-passwd", Argument::None, Free::Works),
    ("read-outside", Argument::None, Free::Works),
    ("read-by-dotdot", Argument::None, Free::Works),
    ("read-by-symlink", Argument::None, Free::Works),
    ("list-root", Argument::None, Free::Works),
    ("write-read-only", Argument::None, Free::Works),
    ("write-outside", Argument::None, Free::Works),
    ("write-tmp", Argument::None, Free::Works),
    ("rename-outside", Argument::None, Free::Works),
    ("remove-outside", Argument::None, Free::Works),
    ("link-outside", Argument::None, Free::Works),
    ("chmod-outside", Argument::None, Free::Works),
    ("make-device", Argument::None, Free::MayFail),
    ("execute", Argument::None, Free::Works),
    ("execute-own", Argument::None, Free::Works),
    ("execute-memory", Argument::None, Free::Works),
    ("make-code", Argument::None, Free::Works),
    ("make-data-code", Argument::None, Free::Works),
    ("connect-tcp", Argument::Port, Free::Works),
    ("listen-tcp", Argument::None, Free::Works),
    ("send-udp", Argument::Port, Free::Works),
    ("connect-unix-outside", Argument::None, Free::Works),
    ("raw-socket", Argument::None, Free::MayFail),
    ("packet-socket", Argument::None, Free::MayFail),
    ("netlink-socket", Argument::None, Free::Works),
    ("trace", Argument::Sibling, Free::MayFail),
    ("read-its-memory", Argument::Sibling, Free::MayFail),
    ("read-its-environment", Argument::Sibling, Free::Works),
    ("signal", Argument::Sibling, Free::Works),
    ("take-its-descriptor", Argument::Sibling, Free::MayFail),
    ("new-namespace", Argument::None, Free::MayFail),
    ("become-somebody", Argument::None, Free::MayFail),
    ("change-root", Argument::None, Free::MayFail),
    ("io-uring", Argument::None, Free::MayFail),
    ("be-dumpable", Argument::None, Free::Works),
    ("own-memory-as-file", Argument::None, Free::Works),
];

#[derive(Clone, Copy)]
enum Argument {
    None,
    Port,
    Sibling,
}

/// Whom the caged daemon becomes when the tests run as root, so that file modes are never what stops it.
const ATTACKER: u32 = 54_321;

/// Something to attack. All of it belongs to the attacker: only the cage stands between them.
struct Ground {
    folder: tempfile::TempDir,
    listener: TcpListener,
    _socket: UnixListener,
    sibling: Child,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["read", "write", "outside"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("read/file"), "x").unwrap();
        std::fs::write(path("outside/file"), "x").unwrap();
        std::fs::copy("/bin/true", path("write/true")).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_dbal-attacker"), path("attacker")).unwrap();
        std::os::unix::fs::symlink("../outside/file", path("read/link")).unwrap();
        let socket = UnixListener::bind(path("outside/socket")).unwrap();
        let mut sibling = Command::new("sleep");
        sibling.arg("60").stdin(Stdio::null());
        if is_root() {
            for name in [
                "",
                "read",
                "write",
                "outside",
                "read/file",
                "outside/file",
                "write/true",
                "outside/socket",
            ] {
                std::os::unix::fs::chown(path(name), Some(ATTACKER), Some(ATTACKER)).unwrap();
            }
            sibling.uid(ATTACKER).gid(ATTACKER);
        }
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            _socket: socket,
            sibling: sibling.spawn().unwrap(),
            folder,
        }
    }

    fn attack(&self, cage: &str, attack: &str, argument: Argument) -> Outcome {
        let argument = match argument {
            Argument::None => String::new(),
            Argument::Port => self.listener.local_addr().unwrap().port().to_string(),
            Argument::Sibling => self.sibling.id().to_string(),
        };
        let folder = self.folder.path();
        let mut attacker = Command::new(folder.join("attacker"));
        attacker.args([cage, &folder.display().to_string(), attack, &argument]);
        if cage == "free" && is_root() {
            attacker.uid(ATTACKER).gid(ATTACKER);
        } else if is_root() {
            // The daemon starts as root and becomes somebody else while it locks itself in.
            attacker.env("DBAL_ATTACKER_BECOMES", format!("{ATTACKER}:{ATTACKER}"));
        }
        // A test beside this one may be between fork and exec, and hold the fresh copy open for writing (ETXTBSY).
        let output = loop {
            match attacker.output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                output => break output.unwrap(),
            }
        };
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => Outcome::Refused,
            (Some(7), _) => Outcome::Succeeded,
            (None, Some(SIGSYS)) => Outcome::Killed,
            other => panic!("{attack} in {cage}: {other:?} {said}"),
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = self.sibling.kill();
        let _ = self.sibling.wait();
        let _ = std::fs::remove_file("/tmp/dbal-attacker-was-here");
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    Killed,
    Succeeded,
}

/// Not stopped by the cage: no landlock ABI up to 7 speaks of connecting to a socket in the file system. What stands between
/// is the daemon's own user and, under systemd, a mount namespace without other sockets. docs/attacks.md tells.
const PENDING: [&str; 1] = ["connect-unix-outside"];

fn assert_caged(cage: &str) {
    // A ground for each: an attack that succeeds would spoil it for the next.
    let succeeds = |attack, argument| Ground::new().attack(cage, attack, argument) == Outcome::Succeeded;
    let escapes = ATTACKS
        .iter()
        .filter(|(attack, argument, _)| succeeds(attack, *argument));
    let escapes: Vec<&str> = escapes.map(|(attack, _, _)| *attack).collect();
    assert_eq!(escapes, PENDING, "out of the {cage}'s cage");
}

#[test]
fn outside_the_cage_the_attacks_work_so_that_their_failure_inside_means_something() {
    for (attack, argument, free) in ATTACKS {
        let outcome = Ground::new().attack("free", attack, argument);
        if free == Free::Works {
            assert_eq!(outcome, Outcome::Succeeded, "{attack}");
        }
    }
}

#[test]
fn inside_the_cage_what_a_daemon_needs_works() {
    let ground = Ground::new();
    assert_eq!(
        ground.attack("worker", "read-inside", Argument::None),
        Outcome::Succeeded
    );
    assert_eq!(
        ground.attack("worker", "write-inside", Argument::None),
        Outcome::Succeeded
    );
    assert_eq!(
        ground.attack("broker", "read-inside", Argument::None),
        Outcome::Succeeded
    );
}

#[test]
fn a_taken_broker_can_not_read_execute_connect_trace_or_write() {
    assert_caged("broker");
    assert_ne!(
        Ground::new().attack("broker", "write-inside", Argument::None),
        Outcome::Succeeded
    );
}

#[test]
fn a_taken_worker_can_not_leave_its_folder_execute_connect_or_trace() {
    assert_caged("worker");
}

#[test]
fn the_kernel_says_that_both_daemons_are_locked_in() {
    let daemon = Daemon::start();
    for process in [daemon.broker(), daemon.worker()] {
        assert_locked_in(&process);
    }
}

fn assert_locked_in(process: &Process) {
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
    for found in broker.descriptors().into_iter().chain(broker.mapped()) {
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
