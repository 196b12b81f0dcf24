//! `dbal dev --json` in a folder of its own: a whole daemon, started, told apart and ended by a test.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dbal_identity::Signer;
use dbal_servers::small_disk;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries;
use crate::processes::{self, Process};

/// How long a daemon may take until it serves. In debug builds it takes well under a second.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to drain.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// The line that `dbal dev --json` prints once it serves.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// `wss://127.0.0.1:PORT/…`
    pub endpoint: String,
    /// The certificate authority, PEM.
    pub ca: PathBuf,
    /// `https://127.0.0.1:PORT/health`
    pub health: String,
    /// `http://127.0.0.1:PORT/metrics`
    pub metrics: String,
    /// Whom one can be.
    pub users: BTreeMap<String, User>,
}

impl Ready {
    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        let rest = self.endpoint.strip_prefix("wss://").expect("a wss endpoint");
        rest.split(['/', '?']).next().expect("an authority").to_owned()
    }
}

/// Somebody with a token.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// A bearer token.
    pub token: String,
    /// The token's subject.
    pub user_id: String,
    /// The token's roles.
    pub roles: Vec<String>,
}

/// A running daemon. Dropped, it ends, and so do its processes.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    folder: TempDir,
    /// What it said when it was ready.
    pub ready: Ready,
}

impl Daemon {
    /// Starts one in a fresh folder, with the example entities and policy, but for its limits: tests are faster than people.
    pub fn start() -> Self {
        let folder = fresh_folder();
        let examples = binaries::repository().join("policy/examples");
        let policy = folder.path().join("unlimited.yaml");
        let text = std::fs::read_to_string(examples.join("acl.yaml")).expect("the example policy");
        std::fs::write(&policy, without_limits(&text)).expect("a policy file");
        Self::start_in_with(folder, &["--policy", &policy.to_string_lossy()])
    }

    /// Starts one whose broker has other limits than usual, e.g. `{idle_s: 1}`.
    pub fn start_with_limits(limits: &str) -> Self {
        Self::start().with_limits(limits)
    }

    /// The same one, started again with other limits of the broker.
    pub fn with_limits(self, limits: &str) -> Self {
        let (_, folder, _) = self.stop();
        let path = folder.path().join("dev/broker.yaml");
        let config = std::fs::read_to_string(&path).expect("the broker's configuration");
        assert!(!config.contains("\nlimits:"), "{config}");
        std::fs::write(&path, format!("{config}\nlimits: {limits}\n")).expect("the broker's configuration");
        Self::start_in(folder)
    }

    /// The same one, started again with spans of both processes, with more settings for each, e.g. `, sample: 1` for the broker.
    /// `dbal dev` lets them go where the log goes.
    pub fn with_traces(self, broker: &str, worker: &str) -> Self {
        let (_, folder, _) = self.stop();
        let dev = folder.path().join("dev");
        let path = dev.join("broker.yaml");
        let config = std::fs::read_to_string(&path).expect("the broker's configuration");
        std::fs::write(&path, format!("{config}\ntraces: {{spans: stdout{broker}}}\n"))
            .expect("the broker's configuration");
        let traces = format!("{{spans: stdout{worker}}}");
        reconfigure_worker(&dev, |shown| with_setting(shown, "traces", &traces));
        Self::start_in(folder)
    }

    /// The same one, started again with other limits of the worker, e.g. `{queue_ms: 300}`.
    pub fn with_worker_limits(self, limits: &str) -> Self {
        let (_, folder, _) = self.stop();
        reconfigure_worker(&folder.path().join("dev"), |shown| {
            with_setting(shown, "limits", limits)
        });
        Self::start_in(folder)
    }

    /// Starts one on another database than SQLite, as `database:` of `worker.yaml` names it.
    pub fn start_on(database: &str) -> Self {
        Self::start().moved_to(database, &[])
    }

    /// The same with other entities and another policy.
    pub fn start_with_on(entities: &Path, policy: &Path, database: &str) -> Self {
        let first = Self::start_with(entities, policy);
        let (entities, policy) = (entities.to_string_lossy(), policy.to_string_lossy());
        first.moved_to(database, &["--entities", &entities, "--policy", &policy])
    }

    /// The same one, started again on another database with more arguments; it leaves its rows behind.
    pub fn moved_to(self, database: &str, more: &[&str]) -> Self {
        let (_, folder, _) = self.stop();
        reconfigure_worker(&folder.path().join("dev"), |shown| {
            with_setting(shown, "database", database)
        });
        Self::start_in_with(folder, more)
    }

    /// Starts one in a fresh folder, exactly as shipped.
    pub fn start_as_shipped() -> Self {
        Self::start_in_with(fresh_folder(), &[])
    }

    /// Starts one in a fresh folder, with other entities and another policy.
    pub fn start_with(entities: &Path, policy: &Path) -> Self {
        let (entities, policy) = (entities.to_string_lossy(), policy.to_string_lossy());
        Self::start_in_with(fresh_folder(), &["--entities", &entities, "--policy", &policy])
    }

    /// Starts one in a folder that an earlier one has left.
    pub fn start_in(folder: TempDir) -> Self {
        Self::start_in_with(folder, &[])
    }

    fn start_in_with(folder: TempDir, more: &[&str]) -> Self {
        let mut command = binaries::command("dbal");
        command
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--dir"])
            .arg(folder.path().join("dev"))
            .args(more);
        Self::await_ready(command, folder)
    }

    /// Starts one, in a folder that an earlier one has left, whose audit log is on a disk of so many MiB that nobody else sees.
    pub fn start_on_small_disk(folder: TempDir, mib: u32) -> Self {
        let dev = folder.path().join("dev");
        let daemon = binaries::command("dbal");
        let mut words = vec![daemon.get_program().to_string_lossy().into_owned()];
        words.extend(["dev", "--json", "--listen", "127.0.0.1:0", "--dir"].map(str::to_owned));
        words.push(dev.to_string_lossy().into_owned());
        let words = small_disk::command(&dev.join("audit"), &dev.join("data"), mib, words);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        Self::await_ready(command, folder)
    }

    fn await_ready(mut command: Command, folder: TempDir) -> Self {
        let log = folder.path().join("stderr.log");
        let errors = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("dbal starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let ready = first_line(stdout)
            .and_then(|line| serde_json::from_str(&line).map_err(|error| format!("{error} in {line}")))
            .unwrap_or_else(|problem| {
                let _ = child.kill();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("dbal dev did not get ready: {problem}\n{said}")
            });
        Self {
            child,
            log,
            folder,
            ready,
        }
    }

    /// Its folder: configuration, keys, database, audit log.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    /// Somebody known to it.
    pub fn user(&self, name: &str) -> &User {
        self.ready
            .users
            .get(name)
            .unwrap_or_else(|| panic!("there is no user {name}: {:?}", self.ready.users.keys()))
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.ready.address()
    }

    /// The claims of somebody's token.
    pub fn claims_of(&self, user: &User) -> Value {
        let payload = user.token.split('.').nth(1).expect("three parts");
        serde_json::from_slice(&base64url(payload)).expect("claims are JSON")
    }

    /// A token with any claims, signed with the daemon's own key.
    pub fn sign(&self, claims: &Value) -> String {
        let keys = files_below(&self.folder())
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok());
        let wanted = self
            .user("alice")
            .token
            .split('.')
            .next()
            .expect("a header")
            .to_owned();
        // Among the folder's private keys, the one whose tokens have the same header (the same `kid`).
        keys.filter(|text| text.contains("PRIVATE KEY"))
            .filter_map(|text| Signer::from_pem(&text).ok())
            .map(|signer| signer.sign(&claims.to_string()))
            .find(|token| token.starts_with(&wanted))
            .expect("the key that signed alice's token")
    }

    /// All that its processes wrote to stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exposed process.
    pub fn broker(&self) -> Process {
        self.process("dbal-broker")
    }

    /// Its process with the credentials.
    pub fn worker(&self) -> Process {
        self.process("dbal-worker")
    }

    /// The one file below its folder with this ending.
    pub fn file(&self, ending: &str) -> PathBuf {
        let mut found = files_below(&self.folder());
        found.retain(|path| path.to_string_lossy().ends_with(ending));
        assert_eq!(found.len(), 1, "one file that ends in {ending}: {found:?}");
        found.remove(0)
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        let mut found = files_below(&self.folder());
        found.retain(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")));
        assert_eq!(found.len(), 1, "one SQLite file: {found:?}");
        found.remove(0)
    }

    /// Its audit log's folder.
    pub fn audit(&self) -> PathBuf {
        let mut folders: Vec<PathBuf> = files_below(&self.folder())
            .iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        folders.dedup();
        assert_eq!(folders.len(), 1, "one folder of audit files: {folders:?}");
        folders.remove(0)
    }

    /// A folder or file of its as its own processes see it, whatever is mounted there.
    pub fn seen_by_itself(&self, path: &str) -> PathBuf {
        let path = self.folder().join(path);
        let below_root = path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc")
            .join(self.pid().to_string())
            .join("root")
            .join(below_root)
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, then waits; gives back the folder, so that another can start in it.
    pub fn stop(mut self) -> (ExitStatus, TempDir, String) {
        let status = self.terminate().expect("it ends by itself");
        let said = self.said();
        let folder = std::mem::replace(&mut self.folder, fresh_folder());
        (status, folder, said)
    }

    fn process(&self, name: &str) -> Process {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(found) = processes::below(self.child.id())
                .into_iter()
                .find(|process| process.name == name)
            {
                return found;
            }
            assert!(
                Instant::now() < until,
                "no {name} below {}\n{}",
                self.child.id(),
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn terminate(&mut self) -> Option<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = kill(pid, Signal::SIGTERM);
        let until = Instant::now() + ENDS_WITHIN;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let children = processes::below(self.child.id());
        if self.terminate().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            children.iter().for_each(Process::kill_if_same);
        }
        if std::thread::panicking() {
            let said = self.said();
            let tail = said.len().saturating_sub(4000);
            eprintln!(
                "--- the daemon's last words ---\n{}",
                said.get(tail..).unwrap_or(&said)
            );
        }
    }
}

/// RFC 4648 §5, without padding.
fn base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let digit = ALPHABET
            .iter()
            .position(|other| *other == letter)
            .expect("base64url");
        bits = (bits << 6) | u32::try_from(digit).expect("six bits");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).expect("eight bits"));
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

/// Seals a worker's configuration again that is made of the one in the folder, as `dbal config show` prints it.
pub fn reconfigure_worker(dev: &Path, change: impl FnOnce(&str) -> String) {
    let (sealed, plain) = (dev.join("worker.yaml.age"), dev.join("worker.yaml"));
    let tool = |arguments: &[&str], file: &Path| {
        let mut command = binaries::command("dbal");
        command.arg("config").args(arguments).arg(file);
        command.arg("--identity").arg(dev.join("identity"));
        let output = command.output().expect("dbal runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    };
    let config = change(&tool(&["show"], &sealed));
    std::fs::write(&plain, config).expect("the worker's configuration");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&plain, private).expect("a mode");
    tool(&["encrypt"], &plain);
    std::fs::remove_file(plain).expect("the worker's configuration");
}

/// A configuration with one of its settings, lines below it included, as `value` says.
fn with_setting(shown: &str, name: &str, value: &str) -> String {
    let mut is_it = false;
    let mut config = String::new();
    for line in shown.lines() {
        if !line.starts_with(' ') {
            is_it = line == format!("{name}:");
            if is_it {
                config.push_str(&format!("{name}: {value}\n"));
            }
        }
        if !is_it {
            config.push_str(line);
            config.push('\n');
        }
    }
    config
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&path)),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

/// A policy with its `limits:` replaced by ones that nothing reaches.
fn without_limits(policy: &str) -> String {
    let mut kept = String::new();
    let mut is_inside = false;
    for line in policy.lines() {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            is_inside = line.starts_with("limits:");
        }
        if !is_inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept.push_str("limits:\n");
    for role in ["user", "moderator", "admin"] {
        kept.push_str("  ");
        kept.push_str(role);
        kept.push_str(
            ": {requests_per_minute: 100000000, burst: 100000000, max_complexity: 100000, max_rows: 1000}\n",
        );
    }
    kept
}

/// Everyone may pass through it: the processes may run as users of their own.
fn fresh_folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new()
        .prefix("dbal-test-")
        .tempdir()
        .expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    folder
}

/// The first line, and goes on reading for the rest of the process's life, so that it never blocks on a full pipe.
fn first_line(stdout: impl Read + Send + 'static) -> Result<String, String> {
    let (line, first) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut text = String::new();
        let read = reader.read_line(&mut text);
        let _ = line.send(match read {
            Ok(0) => Err("it ended without a word".to_owned()),
            Ok(_) => Ok(text),
            Err(error) => Err(error.to_string()),
        });
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    first
        .recv_timeout(STARTS_WITHIN)
        .map_err(|_| format!("nothing in {STARTS_WITHIN:?}"))?
}
