//! A private PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::watch::Watch;
use crate::{certificate, keeper, small_disk};

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Password of every database's user.
pub const PASSWORD: &str = "correct horse battery staple";

/// Two addresses, of which the certificate is for one. `fsync` off: a commit survives the server's death, though not the machine's. The default collation is not that of code
/// points, so that an order that relied on it would be seen.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1, 127.0.0.2'
ssl = on
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 200
shared_buffers = 32MB
password_encryption = scram-sha-256
lc_messages = 'C'
";

/// The folder's user comes in by the Unix socket without a password, for [`Postgres::sql`]; everybody else needs one.
const ACCESS: &str = "
local all postgres trust
local all all scram-sha-256
host all all 127.0.0.0/8 scram-sha-256
";

/// A running server.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    /// Where its own small disk is, if it has one.
    disk: Option<PathBuf>,
    keepers: Mutex<Vec<Child>>,
    databases: AtomicU32,
}

impl Postgres {
    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    /// One for a test that does things to it.
    pub fn start() -> Self {
        Self::of(false)
    }

    /// One with a tablespace `small` on a disk of 16 MiB, which is gone when the server ends.
    pub fn on_a_small_disk() -> Self {
        let server = Self::of(true);
        let disk = server.folder.join("disk");
        let place = format!("CREATE TABLESPACE small LOCATION '{}'", disk.display());
        server.sql("postgres", &place);
        server
    }

    fn of(has_small_disk: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dbal-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        certificate::write(&folder);
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join("server.key"), private).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        if keeper::is_root() {
            keeper::run(Command::new("chown").args(["-R", "postgres"]).arg(&folder));
        }
        let mut command = as_its_user(&program("initdb"));
        // It speaks of its password file and of where it is: neither is ours.
        command
            .current_dir("/")
            .args([
                "--no-sync",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en-US",
            ])
            .arg(format!("--pgdata={}", folder.join("data").display()));
        keeper::run(&mut command);
        let port = keeper::free_port();
        let data = folder.join("data");
        let path = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "{SETTINGS}port = {port}\nunix_socket_directories = '{}'\nssl_ca_file = '{}'\nssl_cert_file = '{}'\n\
             ssl_key_file = '{}'\n",
            folder.display(),
            path("ca.crt"),
            path("server.crt"),
            path("server.key"),
        );
        append(&data.join("postgresql.conf"), &settings);
        fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
        let disk = has_small_disk.then(|| folder.join("disk"));
        if let Some(disk) = &disk {
            fs::create_dir(disk).unwrap();
        }
        let server = Self {
            folder,
            port,
            disk,
            keepers: Mutex::new(Vec::new()),
            databases: AtomicU32::new(0),
        };
        server.launch();
        server
    }

    /// Starts it again after [`Postgres::kill`].
    pub fn launch(&self) {
        let began = Instant::now();
        loop {
            let mut command = prefix();
            command.push(program("postgres").display().to_string());
            let data = self.folder.join("data");
            command.push(format!("-D{}", data.display()));
            if let Some(disk) = &self.disk {
                command = small_disk::command(disk, &data, small_disk::OF_A_SERVER, command);
            }
            let child = keeper::start(&self.folder, &command);
            self.keepers.lock().unwrap().push(child);
            loop {
                if self.answers() {
                    return;
                }
                assert!(
                    began.elapsed() < PATIENCE,
                    "PostgreSQL does not start: {}",
                    fs::read_to_string(self.folder.join("log")).unwrap_or_default()
                );
                sleep(Duration::from_millis(20));
                // After a kill its last children may still hold the shared memory; then it ends at once.
                if self.pid().is_some_and(|pid| !is_alive(&pid)) {
                    break;
                }
            }
            sleep(Duration::from_millis(50));
        }
    }

    fn client(&self, database: &str) -> Command {
        let mut client = Command::new("psql");
        client
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--username=postgres"])
            .arg(format!("--host={}", self.folder.display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--dbname={database}"));
        client
    }

    fn answers(&self) -> bool {
        let answer = self.client("postgres").args(["--command", "SELECT 1"]).output();
        answer.unwrap().status.success()
    }

    /// Runs a script as the superuser, and returns the rows: cells between bars, a row a line.
    pub fn sql(&self, database: &str, script: &str) -> String {
        let said = keeper::run(self.client(database).args(["--command", script]));
        said.trim_end().to_owned()
    }

    /// Runs a file as the superuser, as people run it who have `psql`.
    pub fn file(&self, database: &str, file: &Path) -> Output {
        let mut client = self.client(database);
        client.arg("--file").arg(file).output().unwrap()
    }

    /// Begins a script as the superuser, in a process of its own.
    pub fn session(&self, database: &str, script: &str) -> Child {
        let mut client = self.client(database);
        client.args(["--command", script]);
        let quiet = client.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    }

    /// Looks every few milliseconds, in the server itself, for a statement of this user that sleeps or waits for a lock, and when there
    /// is none any more.
    pub fn watch(&self, user: &str) -> Watch {
        let until = |wanted: &str| {
            format!(
                "DO $$ BEGIN FOR look IN 1..4000 LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.005); IF {wanted} \
                 (SELECT FROM pg_stat_activity WHERE usename = '{user}' AND state = 'active' AND wait_event_type IN ('Lock', 'Timeout')) \
                 THEN RETURN; END IF; END LOOP; RAISE EXCEPTION 'not {wanted}'; END $$"
            )
        };
        let mut client = self.client("postgres");
        client
            .args([
                "--command",
                "SELECT 0",
                "--command",
                &until("EXISTS"),
                "--command",
                "SELECT 1",
            ])
            .args(["--command", &until("NOT EXISTS"), "--command"])
            .arg("SELECT floor(1000 * extract(epoch FROM clock_timestamp()))::bigint");
        Watch::by(client)
    }

    /// A new and empty database, and its name, which is that of a user who owns it, too.
    pub fn database(&self) -> String {
        let nth = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{nth}");
        self.sql(
            "postgres",
            &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"),
        );
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
        self.sql(&name, &format!("ALTER SCHEMA public OWNER TO {name}"));
        name
    }

    /// Whatever this role makes from now on is on the small disk.
    pub fn settle_on_the_small_disk(&self, role: &str) {
        let script = format!("GRANT CREATE ON TABLESPACE small TO {role}");
        self.sql("postgres", &script);
        let script = format!("ALTER ROLE {role} SET default_tablespace = small");
        self.sql("postgres", &script);
    }

    /// Puts a line before those that say who is let in how (`pg_hba.conf`).
    pub fn let_in(&self, line: &str) {
        let path = self.folder.join("data/pg_hba.conf");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{line}\n{before}")).unwrap();
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its Unix socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The authority that signed its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Changes its settings and has it read them.
    pub fn set(&self, settings: &str) {
        append(&self.folder.join("data/postgresql.conf"), settings);
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Sends a signal to one of its processes, by its number: `STOP`, `CONT`.
    pub fn signal_one(&self, pid: &str, signal: &str) {
        keeper::run(Command::new("kill").args([&format!("-{signal}"), pid]));
    }

    /// Sends a signal to its first process: `KILL`, `INT`, `TERM`.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().expect("a running server");
        keeper::run(Command::new("kill").args([&format!("-{signal}"), &pid]));
    }

    /// Kills it without a warning, and waits for its end. Its children notice by themselves.
    pub fn kill(&self) {
        let pid = self.pid().expect("a running server");
        self.signal("KILL");
        while is_alive(&pid) {
            sleep(Duration::from_millis(5));
        }
        // Its keeper has to bury it: as long as the number is taken, PostgreSQL does not start on the same folder.
        let keep = self.folder.join("keep");
        fs::write(&keep, "").unwrap();
        for mut keeper in self.keepers.lock().unwrap().drain(..) {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        fs::remove_file(keep).unwrap();
    }

    /// The first process's number.
    /// The number of its first process.
    pub fn pid(&self) -> Option<String> {
        let pid = fs::read_to_string(self.folder.join("pid")).ok()?;
        Some(pid.trim().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for mut keeper in self.keepers.lock().unwrap().drain(..) {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Neither gone nor a zombie.
fn is_alive(pid: &str) -> bool {
    let opened = Path::new("/proc").join(pid).join("fd").read_dir();
    opened.is_ok_and(|mut open| open.next().is_some())
}

/// PostgreSQL refuses to be root.
fn prefix() -> Vec<String> {
    if keeper::is_root() {
        [
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
        ]
        .map(str::to_owned)
        .to_vec()
    } else {
        Vec::new()
    }
}

fn as_its_user(program: &Path) -> Command {
    let mut words = prefix();
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).process_group(0);
    command
}

/// Debian keeps them out of the path, by version.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}
