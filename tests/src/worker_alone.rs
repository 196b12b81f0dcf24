//! `dbal-worker` with no broker before it, on the fixtures of this crate: for whoever wants to take the broker's place.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dbal_identity::Signer;
use dbal_policy::Policy;
use dbal_schema::Schema;
use serde_json::json;
use tempfile::TempDir;

use crate::binaries;

/// Alice's id, with the role `user`.
pub const ALICE: &str = "0199a000-0000-7000-8000-00000000000a";
/// Bob's id, with the role `user`.
pub const BOB: &str = "0199a000-0000-7000-8000-00000000000b";
/// Carol's id, with the role `moderator`.
pub const CAROL: &str = "0199a000-0000-7000-8000-00000000000c";

/// Whom the worker becomes when the tests run as root.
const WORKER: u32 = 54_322;
const ISSUER: &str = "https://issuer.test";
const AUDIENCE: &str = "dbal-test";
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A running worker. Dropped, it ends.
pub struct WorkerAlone {
    child: Child,
    folder: TempDir,
    signer: Signer,
    /// The policy that it holds, as a broker would hold it.
    pub policy: Policy,
}

impl WorkerAlone {
    /// Starts one with a fresh database in which Alice, Bob and Carol exist.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dbal-worker-")
            .tempdir()
            .expect("a temporary folder");
        let signer = Signer::generate().expect("a key");
        configure(folder.path(), &signer);
        let child = spawn(folder.path());
        let fixtures = fixtures();
        let schema = Schema::load(&fixtures.join("entities"))
            .expect("the fixtures are right")
            .schema;
        let policy = Policy::load(&fixtures.join("acl.yaml"), None, Arc::new(schema))
            .expect("the fixtures are right")
            .policy;
        let worker = Self {
            child,
            folder,
            signer,
            policy,
        };
        worker.insert_users();
        worker
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("worker.sock")
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("db/test.sqlite")
    }

    /// Its audit folder.
    pub fn audit(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// What it wrote to stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr.log")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A good token for somebody.
    pub fn token(&self, id: &str, roles: &[&str]) -> String {
        let now = unix_seconds();
        self.token_with(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": id, "roles": roles, "iat": now, "exp": now + 600,
        }))
    }

    /// A token with any claims, signed with the right key.
    pub fn token_with(&self, claims: &serde_json::Value) -> String {
        self.signer.sign(&claims.to_string())
    }

    fn insert_users(&self) {
        let database = rusqlite::Connection::open(self.database()).expect("the worker made its database");
        database.busy_timeout(Duration::from_secs(5)).expect("a timeout");
        for (id, name) in [(ALICE, "alice"), (BOB, "bob"), (CAROL, "carol")] {
            let bytes = uuid(id);
            database
                .execute("INSERT INTO \"User\" (\"id\", \"username\", \"passwordHash\") VALUES (?1, ?2, 'do-not-show')", (
                    stored_uuid(&bytes, id),
                    name,
                ))
                .expect("a user row");
        }
    }
}

impl Drop for WorkerAlone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the worker's last words ---\n{}", self.said());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sixteen bytes of a uuid.
pub fn uuid(text: &str) -> [u8; 16] {
    let digits: Vec<u8> = text.bytes().filter(|letter| *letter != b'-').collect();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    }
    bytes
}

/// As the worker stores a uuid in SQLite.
fn stored_uuid(_bytes: &[u8; 16], text: &str) -> String {
    text.to_owned()
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn fixtures() -> PathBuf {
    binaries::repository().join("tests/fixtures")
}

fn configure(folder: &Path, signer: &Signer) {
    let is_root = nix::unistd::geteuid().is_root();
    for name in ["db", "audit", "."] {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        if is_root {
            std::os::unix::fs::chown(path, Some(WORKER), Some(WORKER)).expect("root may give away");
        }
    }
    std::fs::write(folder.join("token.pub.pem"), signer.public_pem()).expect("a key file");
    let config = format!(
        "socket: {{path: worker.sock, mode: \"0600\", allow_uid: [{uid}]}}
database:
  sqlite: {{path: db/test.sqlite, create_tables: true}}
entities: {fixtures}/entities
policy: {fixtures}/acl.yaml
auth:
  tokens:
    issuer: {ISSUER}
    audience: {AUDIENCE}
    keys: [{{kid: \"{kid}\", algorithm: EdDSA, public_key: token.pub.pem}}]
audit: {{directory: audit}}
security: {{sandbox: strict{run_as}}}
",
        run_as = if is_root {
            format!(", run_as: \"{WORKER}:{WORKER}\"")
        } else {
            String::new()
        },
        uid = nix::unistd::getuid(),
        fixtures = fixtures()
            .canonicalize()
            .expect("the fixtures are there")
            .display(),
        kid = signer.key_id(),
    );
    let path = folder.join("worker.yaml");
    std::fs::write(&path, config).expect("a config file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

fn spawn(folder: &Path) -> Child {
    let log = folder.join("stderr.log");
    let errors = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log)
        .expect("a log file");
    let child = binaries::command("dbal-worker")
        .arg("--config")
        .arg(folder.join("worker.yaml"))
        .args(["--ready-fd", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn();
    let mut child = child.expect("dbal-worker starts");
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let (line, first) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = BufReader::new(stdout).read_line(&mut text);
        let _ = line.send(text);
    });
    match first.recv_timeout(STARTS_WITHIN) {
        Ok(text) if text.contains("worker.sock") => child,
        problem => {
            let _ = child.kill();
            panic!(
                "dbal-worker did not get ready: {problem:?}\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        }
    }
}
