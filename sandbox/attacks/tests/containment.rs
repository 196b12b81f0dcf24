//! Real processes that lock themselves in like the daemons, attacked from inside and looked at from outside.
#![expect(
    clippy::unwrap_used,
    reason = "the scene is part of the test: what fails there fails the test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use dbal_attacks::own_rules::{BROKER, Probe, WORKER};
use dbal_attacks::{Attack, Outcome};
use dbal_sandbox::{State, read_back};

/// Somebody who owns nothing on this machine.
const OTHER: u32 = 54_321;

/// How a process comes to be an ordinary user.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    /// It starts as root and becomes another.
    AsRoot,
    /// It is started as an ordinary user.
    AsUser,
}

impl Start {
    /// Those that this machine allows: only root can do both.
    fn possible() -> &'static [Start] {
        if is_root() {
            &[Start::AsRoot, Start::AsUser]
        } else {
            &[Start::AsUser]
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Folders, a victim and services for attacks, gone with it.
struct Scene {
    folder: tempfile::TempDir,
    program: PathBuf,
    victim: Child,
    _port: TcpListener,
    _abstract: (UnixListener, UnixDatagram),
}

impl Scene {
    fn new(start: Start) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dbal-confined-")
            .tempdir()
            .unwrap();
        let at = folder.path();
        for (name, file) in [
            ("read", "certificate"),
            ("write", "present"),
            ("outside", "secret"),
        ] {
            fs::create_dir(at.join(name)).unwrap();
            fs::write(at.join(name).join(file), "secret").unwrap();
        }
        let mut victim = Command::new("/bin/sleep");
        victim.arg("1000");
        if is_root() {
            // As the confined user, so that nothing but the sandbox protects it.
            victim.uid(OTHER).gid(OTHER);
        }
        let victim = victim.spawn().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let name = format!("dbal-attack-{}-{}", std::process::id(), victim.id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixListener::bind_addr(&address).unwrap();
        let address = SocketAddr::from_abstract_name(format!("{name}-datagram")).unwrap();
        let datagrams = UnixDatagram::bind_addr(&address).unwrap();
        let number = port.local_addr().unwrap().port();
        fs::write(at.join("target"), format!("{} {number} {name}", victim.id())).unwrap();
        // The build folder may be out of an ordinary user's reach. By cp, since a test that forks meanwhile would inherit
        // our descriptor, and a program that is open for writing can't be executed.
        let program = at.join("confined");
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_confined"))
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        if is_root() {
            for path in walk(at) {
                chown(&path, Some(OTHER), Some(OTHER)).unwrap();
            }
        }
        fs::set_permissions(at, Permissions::from_mode(0o755)).unwrap();
        assert!(start == Start::AsUser || is_root());
        Self {
            folder,
            program,
            victim,
            _port: port,
            _abstract: (socket, datagrams),
        }
    }

    fn command(&self, start: Start, profile: &str, task: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(profile).arg(self.folder.path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.current_dir("/");
        match start {
            Start::AsRoot => command.arg(format!("{OTHER}:{OTHER}")),
            Start::AsUser if is_root() => command.arg("-").uid(OTHER).gid(OTHER),
            Start::AsUser => command.arg("-"),
        };
        command.arg(task);
        command
    }

    fn run(&self, start: Start, profile: &str, task: &str) -> (ExitStatus, String, String) {
        let output = self.command(start, profile, task).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status, text(&output.stdout), text(&output.stderr))
    }

    fn victim_lives(&mut self) -> bool {
        self.victim.try_wait().unwrap().is_none()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Runs every attack in a process of its own and returns what came out otherwise than it must.
fn attack(profile: &str, expected: fn(&Attack) -> Outcome) {
    for start in Start::possible() {
        let mut scene = Scene::new(*start);
        let mut wrong = Vec::new();
        for attack in dbal_attacks::all() {
            let (status, said, _) = scene.run(*start, profile, attack.name);
            let outcome = match (status.signal(), said.as_str()) {
                (Some(libc::SIGSYS), "") => Some(Outcome::Killed),
                (None, "worked") => Some(Outcome::Works),
                (None, said) if is_refusal(said) => Some(Outcome::Refused),
                (None, said) if said == format!("refused {}", libc::ECONNREFUSED) => {
                    Some(Outcome::OutOfReach)
                }
                (_, _) => None,
            };
            if outcome != Some(expected(attack)) {
                wrong.push(format!("{}: {status}, said `{said}`", attack.name));
            }
            assert!(scene.victim_lives(), "{} killed the victim", attack.name);
            let secret = fs::read_to_string(scene.folder.path().join("outside/secret"));
            assert!(secret.is_ok_and(|text| text == "secret"), "{}", attack.name);
        }
        assert!(wrong.is_empty(), "{profile}:\n{}", wrong.join("\n"));
    }
}

/// Refused by a rule. A file that isn't there, or a wrong argument, would prove nothing.
fn is_refusal(said: &str) -> bool {
    let errnos = [libc::EACCES, libc::EPERM, libc::ENOSYS, libc::ENOTTY];
    errnos.iter().any(|errno| said == format!("refused {errno}"))
}

#[test]
fn nothing_on_the_list_of_attacks_works_in_the_broker() {
    attack("broker", |attack| attack.broker);
}

#[test]
fn nothing_on_the_list_of_attacks_works_in_a_worker_without_network() {
    attack("worker", |attack| attack.worker);
}

#[test]
fn a_worker_with_network_gets_tcp_to_its_port_and_nothing_more() {
    attack("network-worker", |attack| attack.network_worker);
}

/// Without the sandbox they work, so it is the sandbox that refuses them.
#[test]
fn the_same_attacks_work_in_a_process_that_is_not_locked_in() {
    let work = [
        "read-passwd",
        "list-root",
        "read-victim-environment",
        "read-own-memory-map",
        "read-outside",
        "climb-out",
        "write-own-memory",
        "write-outside",
        "make-outside",
        "move-in",
        "open-by-path-only",
        "executable-memory",
        "make-memory-executable",
        "file-in-memory",
        "trace",
        "process-handle",
        "tcp",
        "connect-elsewhere",
        "connect-by-sending",
        "bend-a-connection",
        "abstract-socket",
        "abstract-datagram",
        "urgent-byte",
        "packets-in-order",
        "pair-of-packets",
        "pass-descriptor",
        "take-descriptor",
        "priority-lock",
        "udp",
        "user-namespace",
        "dumpable",
    ];
    for name in work {
        let scene = Scene::new(Start::AsUser);
        let (status, said, _) = scene.run(Start::AsUser, "unlocked", name);
        assert_eq!(said, "worked", "{name}: {status}");
    }
    for name in ["execute", "kill"] {
        let mut scene = Scene::new(Start::AsUser);
        let (status, _, _) = scene.run(Start::AsUser, "unlocked", name);
        assert_ne!(status.signal(), Some(libc::SIGSYS), "{name}");
        assert!(
            name != "kill"
                || scene
                    .victim
                    .wait()
                    .is_ok_and(|end| end.signal() == Some(libc::SIGTERM))
        );
    }
}

/// Before the lock, when landlock and the second filter are not there yet, and the process may still be root.
#[test]
fn nothing_is_executed_started_or_traced_before_the_lock_either() {
    let killed = [
        "execute",
        "execute-descriptor",
        "fork",
        "trace",
        "be-traced",
        "read-memory",
        "write-memory",
        "copy-descriptor",
        "kill",
        "process-handle",
        "signal-by-handle",
        "advise-memory",
        "call-as-x32",
        "call-as-32-bit",
        "compare",
        "readable-is-executable",
        "user-page-faults",
        "load-module",
        "load-kernel",
        "bpf",
        "perf",
        "io-uring",
        "io-uring-enter",
        "io-uring-register",
        "keyring",
        "add-key",
        "request-key",
        "mount",
        "mount-attributes",
        "configure-mount",
        "pick-mount",
        "unmount",
        "chroot",
        "pivot-root",
        "enter-namespace",
        "open-file-handle",
        "swap",
        "reboot",
        "accounting",
        "quota",
        "hostname",
        "clock",
        "clock-slowly",
        "kernel-log",
    ];
    let scene = Scene::new(Start::AsUser);
    for name in killed {
        let (status, said, _) = scene.run(Start::AsUser, "starting", name);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}: {said}");
    }
    for name in [
        "fork-by-clone3",
        "executable-memory",
        "make-memory-executable",
        "core-limit",
    ] {
        let (status, said, _) = scene.run(Start::AsUser, "starting", name);
        assert!(is_refusal(&said), "{name}: {status}: {said}");
    }
}

#[test]
fn attacks_have_names_of_their_own() {
    let mut seen = BTreeMap::new();
    for attack in dbal_attacks::all() {
        assert_eq!(seen.insert(attack.name, attack.harm), None, "{}", attack.name);
    }
    assert!(seen.len() > 100);
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/containment.md");
/// Where the section of `tests/tests/daemon/channel_probes.rs` begins.
const CHANNEL: &str = "\n## The channel, with the broker taken\n";
/// Set, it makes the page anew.
const UPDATE: &str = "DBAL_UPDATE";

const HEAD: &str = "\
# What is tried from inside a locked daemon

Made by `sandbox/attacks/tests/containment.rs` from the table that its tests play: each attempt runs in a process of its own that has
locked itself in as the daemon does, once started as root that became another user and once as an ordinary user. Before, most of them are
seen to work in a process that is not locked in. What a taken broker tries on the channel instead stands at the end, how the
sandbox is made in [sandbox.md](sandbox.md).

**killed**: the process died of SIGSYS at once. **refused**: the call failed for want of permission. **out of reach**: the process has left the
namespace in which the thing is. **works**: the daemon needs it. The third column is a worker whose database is reached by TCP: it may connect
to the database's ports and nowhere else.
";

/// The page as the table has it. The other tests hold the table against what really happens.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for (aim, attacks) in dbal_attacks::BY_AIM {
        let head = "| attempt | what it would give | broker | worker | worker with TCP |";
        writeln!(page, "\n## {aim}\n\n{head}\n|---|---|---|---|---|").unwrap();
        for attack in attacks {
            let [broker, worker, network_worker] =
                [attack.broker, attack.worker, attack.network_worker].map(word);
            let Attack { name, harm, .. } = attack;
            writeln!(
                page,
                "| `{name}` | {harm} | {broker} | {worker} | {network_worker} |"
            )
            .unwrap();
        }
    }
    page.push_str(OWN_RULES);
    for (daemon, probes) in [("worker", WORKER), ("broker", BROKER)] {
        writeln!(
            page,
            "\n| a taken {daemon} | what it would give | comes to |\n|---|---|---|"
        )
        .unwrap();
        for Probe {
            name, harm, outcome, ..
        } in probes
        {
            writeln!(page, "| `{name}` | {harm} | {} |", word(*outcome)).unwrap();
        }
    }
    page
}

const OWN_RULES: &str = "
## The real daemons, with the rules of their own configuration

Made from the tables that `real_daemons.rs` plays: a daemon that reads its configuration and locks itself in by its own code, and then does this
instead of serving, beside another pair that runs as the same users.
";

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Killed => "killed",
        Outcome::Refused => "refused",
        Outcome::OutOfReach => "out of reach",
        Outcome::Works => "works",
    }
}

#[test]
fn docs_tell_of_every_attack_what_comes_of_it() {
    let told = fs::read_to_string(TABLE).unwrap_or_default();
    let (own, channel) = told.split_at(told.find(CHANNEL).unwrap_or(told.len()));
    let page = page();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(TABLE, format!("{page}{channel}")).unwrap();
        return;
    }
    assert!(
        own == page,
        "docs/containment.md is out of date: run this test with {UPDATE}=1"
    );
}

#[test]
fn the_brokers_honest_work_goes_on() {
    for start in Start::possible() {
        let scene = Scene::new(*start);
        let socket = scene.folder.path().join("worker.socket");
        let worker = UnixListener::bind(&socket).unwrap();
        if is_root() {
            chown(&socket, Some(OTHER), Some(OTHER)).unwrap();
        }
        let echo = thread::spawn(move || {
            let (mut broker, _) = worker.accept().unwrap();
            let mut plan = [0; 5];
            broker.read_exact(&mut plan).unwrap();
            broker.write_all(&plan).unwrap();
        });
        let (status, said, errors) = scene.run(*start, "broker", "work");
        assert_eq!(said, "worked", "{status}: {errors}");
        echo.join().unwrap();
    }
}

#[test]
fn the_workers_honest_work_goes_on() {
    for start in Start::possible() {
        for profile in ["worker", "network-worker"] {
            let scene = Scene::new(*start);
            let (status, said, errors) = scene.run(*start, profile, "work");
            assert_eq!(said, "worked", "{status}: {errors}");
        }
    }
}

#[test]
fn a_panic_says_where_even_when_asked_for_a_backtrace() {
    let scene = Scene::new(Start::AsUser);
    for profile in ["broker", "worker"] {
        let mut command = scene.command(Start::AsUser, profile, "panic");
        let output = command.env("RUST_BACKTRACE", "1").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("on purpose"), "{}: {errors}", output.status);
        assert_ne!(output.status.signal(), Some(libc::SIGSYS), "{errors}");
        let (status, _, errors) = scene.run(Start::AsUser, profile, "abort");
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{errors}");
    }
}

#[test]
fn what_the_process_says_of_its_layers_is_what_proc_says() {
    for start in Start::possible() {
        for profile in ["broker", "worker", "network-worker"] {
            let scene = Scene::new(*start);
            let mut child = scene.command(*start, profile, "status").spawn().unwrap();
            let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok)
                .take_while(|line| line != "ready")
                .collect();
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let layers = read_back(child.id()).unwrap();
            drop(child.stdin.take());
            child.wait().unwrap();

            let line = |name: &str| {
                let found = status.lines().find_map(|line| line.strip_prefix(name));
                found
                    .map(|value| value.trim_start_matches(':').trim().to_owned())
                    .unwrap()
            };
            assert_eq!(line("Seccomp"), "2");
            assert_eq!(line("NoNewPrivs"), "1");
            assert_eq!(line("Groups"), "");
            assert!(line("Uid").split_whitespace().all(|uid| uid != "0"));
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(line(set), "0000000000000000", "{set}");
            }
            let bounding_is_empty = line("CapBnd") == "0000000000000000";
            // Root must; the broker as an ordinary user can, in the user namespace that it leaves the network by.
            assert!(
                bounding_is_empty || (*start == Start::AsUser && profile != "broker"),
                "{profile}"
            );

            for layer in layers {
                let told = lines.iter().find(|line| line.starts_with(layer.name)).unwrap();
                assert_eq!(
                    told.ends_with("in force"),
                    layer.state == State::InForce,
                    "{told}"
                );
            }
            for name in [
                "not_dumpable",
                "no_core",
                "not_swapped",
                "limits",
                "write_xor_execute",
                "landlock_files",
                "landlock_truncate",
                "landlock_tcp",
                "landlock_devices",
                "landlock_scopes",
                "seccomp_start",
                "seccomp_probe",
            ] {
                assert!(lines.contains(&format!("{name} in force")), "{name}: {lines:#?}");
            }
            let left = if profile == "broker" {
                "network_left in force"
            } else {
                "network_left off"
            };
            assert!(lines.contains(&left.to_owned()), "{lines:#?}");
        }
    }
}

#[test]
fn strict_refuses_to_serve_as_root() {
    if !is_root() {
        return;
    }
    let scene = Scene::new(Start::AsRoot);
    let mut command = Command::new(&scene.program);
    command
        .arg("worker")
        .arg(scene.folder.path())
        .arg("-")
        .arg("status");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("it runs as root; set `security.run_as`"), "{said}");
    assert!(!output.status.success());
}

#[test]
fn permissive_serves_and_says_what_is_missing() {
    if !is_root() {
        return;
    }
    let scene = Scene::new(Start::AsRoot);
    let mut command = Command::new(&scene.program);
    command
        .arg("permissive")
        .arg(scene.folder.path())
        .args(["-", "status"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("user missing: it runs as root"), "{said}");
    assert!(said.contains("seccomp in force"), "{said}");
    assert!(output.status.success());
}

#[test]
fn a_folder_that_is_missing_or_not_writable_is_told_before_serving() {
    let scene = Scene::new(Start::AsUser);
    fs::remove_dir_all(scene.folder.path().join("write")).unwrap();
    let (_, said, _) = scene.run(Start::AsUser, "worker", "status");
    assert!(
        said.contains("write`, which the process shall have access to"),
        "{said}"
    );
    if is_root() {
        // Root's, this time.
        fs::create_dir(scene.folder.path().join("write")).unwrap();
        let (_, said, _) = scene.run(Start::AsUser, "worker", "status");
        assert!(said.contains("can't write into"), "{said}");
    }
}
