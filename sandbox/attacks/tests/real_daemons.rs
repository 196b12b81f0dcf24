//! The real daemons: taken ones with the rules that their own configuration gives them, beside others that run; and whole ones on
//! kernels that lack something.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the scene is part of the test: what fails there fails the test"
)]

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dbal_attacks::Outcome;
use dbal_attacks::own_rules::{BROKER, Probe, WORKER};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const OLDER_KERNEL: &str = env!("CARGO_BIN_EXE_older-kernel");
const TAKEN: &str = env!("CARGO_BIN_EXE_taken");
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Whom nobody is: `dbal dev` has the two numbers before it.
const KEEPER: u32 = 64_803;

/// `dbal dev` in a folder, and what it says.
struct Daemons {
    supervisor: Child,
    log: PathBuf,
    ready: String,
}

impl Daemons {
    fn command(folder: &Path, lacks: &[&str]) -> Command {
        let program = program("dbal");
        let mut command = if lacks.is_empty() {
            Command::new(program)
        } else {
            let mut command = Command::new(OLDER_KERNEL);
            command.args(lacks).arg("--").arg(program);
            command
        };
        command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--dir"]);
        command.arg(folder.join("dev")).stdin(Stdio::null());
        command
    }

    /// Until both serve; or what they said when they did not.
    fn start(folder: &Path, lacks: &[&str]) -> Result<Self, String> {
        let log = folder.join("stderr.log");
        let mut supervisor = Self::command(folder, lacks)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = supervisor.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let daemons = Self {
            supervisor,
            log,
            ready,
        };
        if daemons.ready.is_empty() {
            Err(daemons.said())
        } else {
            Ok(daemons)
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What the administrative port says of the sandbox.
    fn health(&self) -> String {
        let ready: serde_json::Value = serde_json::from_str(&self.ready).unwrap();
        let metrics = ready.get("metrics").and_then(serde_json::Value::as_str).unwrap();
        let address = metrics
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let mut admin = TcpStream::connect(address).unwrap();
        write!(
            admin,
            "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        admin.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The process id of one of the two (proc_pid_stat(5)).
    fn pid(&self, name: &str) -> i32 {
        let supervisor = self.supervisor.id().to_string();
        let is_it = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (head, rest) = stat.rsplit_once(')').unwrap_or_default();
            head.ends_with(&format!("({name}")) && rest.split_whitespace().nth(1) == Some(&supervisor)
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .find(is_it)
            .unwrap_or_else(|| panic!("no {name} below {supervisor}"))
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.supervisor.id()).unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < ENDS_WITHIN {
            if matches!(self.supervisor.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// Beside the test's own programs.
fn program(name: &str) -> PathBuf {
    let path = Path::new(TAKEN).parent().unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` builds it first",
        path.display()
    );
    path
}

/// Everyone may pass through it: the daemons run as users of their own, if root starts them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("dbal-taken-").tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// What `dbal-audit.service` does, as a user of its own where root starts it.
fn seal(audit: &Path, sealed: &Path) {
    let mut sealing = Command::new(program("dbal"));
    sealing.args(["audit", "seal"]).args([audit, sealed]);
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let group = fs::metadata(audit).unwrap().gid();
        // A worker that root starts begins its first file as root: the folder gives it its group.
        fs::set_permissions(audit, Permissions::from_mode(0o2750)).unwrap();
        for entry in fs::read_dir(audit).unwrap() {
            chown(entry.unwrap().path(), None, Some(group)).unwrap();
        }
        fs::create_dir(sealed).unwrap();
        fs::set_permissions(sealed, Permissions::from_mode(0o700)).unwrap();
        chown(sealed, Some(KEEPER), Some(group)).unwrap();
        sealing.args(["--run-as", &format!("{KEEPER}:{group}")]);
    }
    assert!(sealing.status().unwrap().success());
}

/// A folder in which both have served, and what is in it for who takes one of them.
fn left_behind() -> (tempfile::TempDir, String) {
    let folder = folder();
    drop(Daemons::start(folder.path(), &[]).unwrap());
    let dev = folder.path().join("dev");
    let owner = fs::metadata(dev.join("audit")).unwrap();
    seal(&dev.join("audit"), &dev.join("sealed"));
    // A journal that ended: not the file that the worker goes on with.
    let rotated = dev.join("audit/ended.jsonl");
    fs::write(&rotated, "{}\n").unwrap();
    chown(&rotated, Some(owner.uid()), Some(owner.gid())).unwrap();
    let identity = dev.join("identity");
    let about = fs::metadata(&identity).unwrap();
    let mut beside = format!("identity-file {} {}\n", about.dev(), about.ino());
    for (name, path) in [
        ("identity", "identity"),
        ("configuration", "worker.yaml.age"),
        ("broker-configuration", "broker.yaml"),
        ("server-key", "server.key"),
        ("policy", "acl.yaml"),
        ("database", "data/dbal.sqlite"),
        ("api-keys", "keys/api-keys.yaml"),
        ("rotated", "audit/ended.jsonl"),
        ("sealed", "sealed/audit-00000000000000000001.jsonl"),
    ] {
        let path = dev.join(path);
        assert!(path.exists(), "{} is not in the folder", path.display());
        writeln!(beside, "{name} {}", path.display()).unwrap();
    }
    writeln!(beside, "outside {}", dev.join("planted").display()).unwrap();
    writeln!(beside, "sealed-folder {}", dev.join("sealed/planted").display()).unwrap();
    (folder, beside)
}

/// Plays each probe in a daemon of its own, and returns what came out otherwise than it must.
fn play(daemon: &str, probes: &[Probe], arguments: &[&str]) {
    let (folder, beside) = left_behind();
    // Others, of the same users: nothing but the sandbox keeps them apart.
    let elsewhere = self::folder();
    let running = Daemons::start(elsewhere.path(), &[]).unwrap();
    let (broker, worker) = (running.pid("dbal-broker"), running.pid("dbal-worker"));
    let other = if daemon == "worker" { broker } else { worker };
    let file = folder.path().join("beside");
    fs::write(&file, format!("{beside}other {other}\n")).unwrap();
    let rotated = folder.path().join("dev/audit/ended.jsonl");
    let before = fs::metadata(&rotated).unwrap();
    let mut wrong = Vec::new();
    for probe in probes {
        // The probe before may have removed it.
        if !rotated.exists() {
            fs::write(&rotated, "{}\n").unwrap();
            chown(&rotated, Some(before.uid()), Some(before.gid())).unwrap();
        }
        let output = Command::new(TAKEN)
            .arg(daemon)
            .arg(&file)
            .arg(probe.name)
            .args(arguments)
            .current_dir(folder.path().join("dev"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let refusals = [libc::EACCES, libc::EPERM].map(|errno| format!("refused {errno}"));
        let outcome = match (output.status.signal(), said.as_str()) {
            (Some(libc::SIGSYS), "") => Some(Outcome::Killed),
            (None, "worked") => Some(Outcome::Works),
            (None, said) if refusals.iter().any(|refusal| refusal == said) => Some(Outcome::Refused),
            (None, said) if said == format!("refused {}", libc::EBADF) => Some(Outcome::OutOfReach),
            (_, _) => None,
        };
        if outcome != Some(probe.outcome) {
            let errors = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!(
                "{}: {}, said `{said}`\n{errors}",
                probe.name, output.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{daemon}:\n{}", wrong.join("\n"));
    assert_eq!(running.pid("dbal-broker"), broker, "the broker was ended");
    assert_eq!(running.pid("dbal-worker"), worker, "the worker was ended");
}

#[test]
fn a_taken_worker_reaches_neither_the_identity_nor_the_broker_nor_its_own_limits() {
    play(
        "worker",
        WORKER,
        &["--config", "worker.yaml.age", "--identity", "identity"],
    );
}

#[test]
fn a_taken_broker_reaches_neither_the_database_nor_the_worker_nor_the_records() {
    play("broker", BROKER, &["--config", "broker.yaml"]);
}

#[test]
fn both_daemons_serve_strictly_on_a_kernel_with_less_and_say_which_layers_are_missing() {
    let folder = folder();
    let running = Daemons::start(folder.path(), &["landlock=4", "mdwe", "namespaces"]).unwrap();
    let said = running.said();
    let locked: Vec<&str> = said.lines().filter(|line| line.contains("locked in")).collect();
    assert_eq!(locked.len(), 2, "{said}");
    for line in locked {
        for layer in ["write_xor_execute", "landlock_devices", "landlock_scopes"] {
            let missing = line.split_once("missing=").map_or("", |(_, after)| after);
            assert!(missing.contains(layer), "{line}");
        }
        assert!(line.contains("landlock=ABI 4"), "{line}");
    }
    let health = running.health();
    assert!(health.contains("\"landlock\":\"ABI 4\""), "{health}");
    let devices = "{\"layer\":\"landlock_devices\",\"state\":\"missing\",\"why\":\"landlock here: ABI 4";
    assert_eq!(health.matches(devices).count(), 2, "of both: {health}");
    assert!(
        health.contains("\"layer\":\"landlock_tcp\",\"state\":\"in force\""),
        "{health}"
    );
}

#[test]
fn neither_daemon_starts_strictly_where_landlock_knows_no_ports() {
    let folder = folder();
    let Err(said) = Daemons::start(folder.path(), &["landlock=3"]) else {
        panic!("it started")
    };
    assert!(
        said.contains("`security.sandbox` is strict, but landlock_tcp: binding a TCP port works (landlock ABI 4, Linux 6.7"),
        "{said}"
    );
}
