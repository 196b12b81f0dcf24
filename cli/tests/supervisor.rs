//! The supervisor with stand-ins for the two daemons: shell scripts that write down what happens to them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Says that it serves, then waits for SIGTERM or for the end of the lifeline.
const STAND_IN: &str = r#"#!/bin/sh
me=$(basename "$0"); here=$(dirname "$0")
say() { echo "$me $*" >> "$here/life"; }
while [ $# -gt 0 ]; do
  case "$1" in
    --ready-fd) ready=$2 ;;
    --lifeline-fd) lifeline=$2 ;;
    --identity-fd) identity=$2 ;;
  esac
  shift
done
say started $$
ls -l /proc/$$/fd > "$here/$me.descriptors"
env > "$here/$me.environment"
[ -n "$identity" ] && cat "/proc/self/fd/$identity" > "$here/$me.identity"
. "$here/$me.manners"
echo '{"listen":"127.0.0.1:1","admin":null}' > "/proc/self/fd/$ready"
cat "/proc/self/fd/$lifeline" &
waiting=$!
wait $waiting
while kill -0 $waiting 2> /dev/null; do wait $waiting; done
say orphaned
"#;
const WELL_BEHAVED: &str = "trap 'say drained; kill $waiting; exit 0' TERM; trap 'say reloaded' HUP\n";
const STUBBORN: &str = "trap 'say stubborn' TERM\n";

/// Held while programs are written and one is started: a start elsewhere in this process meanwhile would inherit the open
/// file, and to run a file that is open for writing is an error (ETXTBSY).
static STARTING: Mutex<()> = Mutex::new(());

/// Everything here takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

struct Supervised {
    child: Child,
    folder: TempDir,
}

impl Supervised {
    fn start(worker: &str, broker: &str) -> Self {
        let _starting = STARTING.lock();
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        fs::copy(env!("CARGO_BIN_EXE_dbal"), at.join("dbal")).unwrap();
        for (name, manners) in [("dbal-worker", worker), ("dbal-broker", broker)] {
            fs::write(at.join(name), STAND_IN).unwrap();
            fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o755)).unwrap();
            fs::write(at.join(format!("{name}.manners")), manners).unwrap();
        }
        for name in ["worker.yaml.age", "broker.yaml", "life"] {
            fs::write(at.join(name), "").unwrap();
        }
        fs::write(at.join("identity"), "the identity").unwrap();
        let child = Command::new(at.join("dbal"))
            .args(["run", "--config"])
            .arg(at)
            .arg("--identity")
            .arg(at.join("identity"))
            .env("NOTIFY_SOCKET", "/run/of-the-supervisor-only")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Started, and both stand-ins serve.
    fn serving(worker: &str, broker: &str) -> Self {
        let mut supervised = Self::start(worker, broker);
        supervised.wait_for("it serves", |it| {
            it.read("stderr").contains("serving on 127.0.0.1:1")
        });
        supervised
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            assert!(
                since.elapsed() < PATIENCE,
                "{what}: not so\n{}\n{}",
                self.read("life"),
                self.read("stderr")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Process ids under which a stand-in was started, oldest first.
    fn starts_of(&self, name: &str) -> Vec<i32> {
        let life = self.read("life");
        let starts = life
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(" started "));
        starts.map(|pid| pid.parse().unwrap()).collect()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "it does not end\n{}",
                self.read("life")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_gone(path: &Path, pid: i32) -> bool {
    // Another process may have the number by now; ours was started from this folder.
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !command.contains(&path.display().to_string())
}

#[test]
fn the_worker_starts_first_and_drains_last() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    supervised.signal(Signal::SIGTERM);
    assert!(supervised.end().success());
    let life = supervised.read("life");
    let events: Vec<&str> = life
        .lines()
        .map(|line| line.trim_end_matches(|c: char| c == ' ' || c.is_ascii_digit()))
        .collect();
    assert_eq!(
        events,
        [
            "dbal-worker started",
            "dbal-broker started",
            "dbal-broker drained",
            "dbal-worker drained"
        ]
    );
}

#[test]
fn a_killed_daemon_is_started_again_at_once_and_the_other_is_left_alone() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    let first = supervised.starts_of("dbal-worker")[0];
    let killed = Instant::now();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    supervised.wait_for("the worker is started again", |it| {
        it.starts_of("dbal-worker").len() == 2
    });
    assert!(
        killed.elapsed() < Duration::from_secs(1),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(supervised.starts_of("dbal-broker").len(), 1);
    supervised.signal(Signal::SIGTERM);
    assert!(supervised.end().success());
}

#[test]
fn a_daemon_that_dies_again_and_again_is_started_with_growing_pauses() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    fs::write(supervised.folder.path().join("dbal-worker.manners"), "exit 7\n").unwrap();
    kill(
        Pid::from_raw(supervised.starts_of("dbal-worker")[0]),
        Signal::SIGKILL,
    )
    .unwrap();
    supervised.wait_for("four more starts", |it| it.starts_of("dbal-worker").len() == 5);
    // Pauses of 0, 100, 200 and 400 ms so far; the next one of 800 is on.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(supervised.starts_of("dbal-worker").len(), 5);
    assert!(
        supervised
            .read("stderr")
            .contains("dbal-worker ended (exit status: 7)")
    );
    supervised.signal(Signal::SIGTERM);
    assert!(supervised.end().success());
}

#[test]
fn when_the_supervisor_is_killed_both_daemons_learn_it() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    supervised.signal(Signal::SIGKILL);
    supervised.wait_for("both are orphaned", |it| {
        let life = it.read("life");
        life.contains("dbal-worker orphaned") && life.contains("dbal-broker orphaned")
    });
}

#[test]
fn the_identity_reaches_the_worker_and_nobody_else() {
    let supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    assert_eq!(supervised.read("dbal-worker.identity"), "the identity");
    assert_eq!(supervised.read("dbal-broker.identity"), "");
    let identity = supervised.folder.path().join("identity");
    let identity = identity.to_str().unwrap();
    assert!(supervised.read("dbal-worker.descriptors").contains(identity));
    assert!(!supervised.read("dbal-broker.descriptors").contains(identity));
    let own = fs::read_dir(format!("/proc/{}/fd", supervised.child.id())).unwrap();
    let own: Vec<String> = own
        .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.display().to_string()))
        .collect();
    assert!(!own.iter().any(|target| target == identity), "{own:?}");
}

#[test]
fn a_daemon_gets_its_own_pipes_and_none_of_its_sibling() {
    let supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    let pipes = |name: &str| {
        let listing = supervised.read(&format!("{name}.descriptors"));
        let words = listing
            .split_whitespace()
            .filter(|word| word.starts_with("pipe:"));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let (worker, broker) = (pipes("dbal-worker"), pipes("dbal-broker"));
    assert_eq!((worker.len(), broker.len()), (2, 2), "{worker:?} {broker:?}");
    assert!(worker.iter().all(|pipe| !broker.contains(pipe)));
    assert!(
        !supervised
            .read("dbal-broker.environment")
            .contains("NOTIFY_SOCKET")
    );
}

#[test]
fn a_daemon_that_ends_before_it_serves_ends_the_start_with_its_status() {
    let mut supervised = Supervised::start("exit 3\n", WELL_BEHAVED);
    assert_eq!(supervised.end().code(), Some(1));
    let said = supervised.read("stderr");
    assert!(
        said.contains("dbal-worker ended before it served (exit status: 3)"),
        "{said}"
    );
    assert!(supervised.starts_of("dbal-broker").is_empty());
}

#[test]
fn when_the_broker_can_not_start_the_worker_does_not_stay_behind() {
    let mut supervised = Supervised::start(WELL_BEHAVED, "exit 3\n");
    assert_eq!(supervised.end().code(), Some(1));
    let worker = supervised.starts_of("dbal-worker")[0];
    let folder = supervised.folder.path().to_owned();
    supervised.wait_for("the worker is gone", |_| is_gone(&folder, worker));
}

#[test]
fn asked_twice_to_end_it_does_not_wait_for_a_stubborn_daemon() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, STUBBORN);
    supervised.signal(Signal::SIGTERM);
    supervised.wait_for("it is stubborn", |it| it.read("life").contains("stubborn"));
    let again = Instant::now();
    supervised.signal(Signal::SIGTERM);
    assert!(supervised.end().success());
    assert!(again.elapsed() < Duration::from_secs(5));
    assert!(supervised.read("life").contains("dbal-worker drained"));
}

/// The supervisor may be root, and the worker says where its socket is.
#[test]
fn only_a_socket_that_nobody_listens_on_is_removed_at_the_end() {
    for (says, is_removed) in [
        ("left", true),
        ("served", false),
        ("file", false),
        ("link", false),
    ] {
        let ready = format!("echo '{{\"socket\":\"'$here/{says}'\"}}' > /proc/self/fd/$ready\n");
        let mut supervised = Supervised::serving(&(WELL_BEHAVED.to_owned() + &ready), WELL_BEHAVED);
        let at = supervised.folder.path().to_owned();
        drop(UnixListener::bind(at.join("left")).unwrap());
        let _served = UnixListener::bind(at.join("served")).unwrap();
        fs::write(at.join("file"), "").unwrap();
        std::os::unix::fs::symlink("left", at.join("link")).unwrap();
        supervised.signal(Signal::SIGTERM);
        assert!(supervised.end().success());
        assert_eq!(!at.join(says).exists(), is_removed, "{says}");
        assert!(at.join("link").is_symlink());
    }
}

#[test]
fn sighup_is_passed_on_to_both() {
    let mut supervised = Supervised::serving(WELL_BEHAVED, WELL_BEHAVED);
    supervised.signal(Signal::SIGHUP);
    supervised.wait_for("both reloaded", |it| {
        let life = it.read("life");
        life.contains("dbal-worker reloaded") && life.contains("dbal-broker reloaded")
    });
    assert!(supervised.child.try_wait().unwrap().is_none());
    supervised.signal(Signal::SIGTERM);
    assert!(supervised.end().success());
}
