//! A private MariaDB; and what is the same of a MySQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// Name of the database on the small disk.
const SMALL: &str = "small";

/// The programs of a server, and what they want to be told.
pub(crate) trait Programs: Send + Sync {
    /// Makes an empty data folder, whose root needs no password; the command to run, without `--user`.
    fn install(&self, data: &Path) -> Command;
    /// Which program serves, and the options that only it knows.
    fn server(&self) -> Vec<String>;
}

struct MariaDbs;

impl Programs for MariaDbs {
    fn install(&self, data: &Path) -> Command {
        let mut install = Command::new("mariadb-install-db");
        install
            .args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ])
            .arg(format!("--datadir={}", data.display()));
        install
    }

    fn server(&self) -> Vec<String> {
        vec!["mariadbd".to_owned(), "--no-defaults".to_owned()]
    }
}

/// A running server.
pub struct MariaDb {
    programs: &'static dyn Programs,
    folder: PathBuf,
    /// Where its own small disk is, if it has one.
    disk: Option<PathBuf>,
    port: u16,
    keepers: Mutex<Vec<Child>>,
    databases: AtomicU32,
}

impl MariaDb {
    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(MariaDb::start)
    }

    /// One for a test that does things to it.
    pub fn start() -> Self {
        Self::of(&MariaDbs)
    }

    /// One that has a database on a disk of 16 MiB, which is gone when the server ends.
    pub fn on_a_small_disk() -> Self {
        Self::installed(&MariaDbs, true)
    }

    pub(crate) fn of(programs: &'static dyn Programs) -> Self {
        Self::installed(programs, false)
    }

    fn installed(programs: &'static dyn Programs, has_small_disk: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dbal-mariadb-")
            .tempdir()
            .unwrap()
            .keep();
        certificate::write(&folder);
        // A server that starts removes what looks like a temporary table of its own, in a folder that it shares those of others.
        fs::create_dir(folder.join("tmp")).unwrap();
        let mut install = programs.install(&folder.join("data"));
        install.arg(format!("--tmpdir={}", folder.join("tmp").display()));
        if keeper::is_root() {
            // Who is in the folder's way but the test is the server's user.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            keeper::run(Command::new("chown").args(["-R", "mysql"]).arg(&folder));
            install.arg("--user=mysql");
        }
        keeper::run(&mut install);
        // A folder among the data is a database.
        let disk = has_small_disk.then(|| folder.join("data").join(SMALL));
        if let Some(disk) = &disk {
            fs::create_dir(disk).unwrap();
        }
        let server = Self {
            programs,
            folder,
            disk,
            port: keeper::free_port(),
            keepers: Mutex::new(Vec::new()),
            databases: AtomicU32::new(0),
        };
        server.launch();
        server
    }

    /// Starts it again after [`MariaDb::kill`].
    pub fn launch(&self) {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let mut command = self.programs.server();
        command.extend([
            format!("--datadir={}", path("data")),
            format!("--tmpdir={}", path("tmp")),
            format!("--socket={}", path("socket")),
            format!("--pid-file={}", path("server.pid")),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--ssl-ca={}", path("ca.crt")),
            format!("--ssl-cert={}", path("server.crt")),
            format!("--ssl-key={}", path("server.key")),
            // A commit survives the server's death, though not the machine's.
            "--innodb-flush-log-at-trx-commit=2".to_owned(),
            "--innodb-buffer-pool-size=64M".to_owned(),
            "--max-connections=200".to_owned(),
            "--max-allowed-packet=64M".to_owned(),
            "--skip-name-resolve".to_owned(),
        ]);
        if keeper::is_root() {
            command.push("--user=mysql".to_owned());
        }
        if let Some(disk) = &self.disk {
            command = small_disk::command(disk, &self.folder.join("data"), small_disk::OF_A_SERVER, command);
        }
        let child = keeper::start(&self.folder, &command);
        self.keepers.lock().unwrap().push(child);
        let began = Instant::now();
        while !self.answers() {
            assert!(
                began.elapsed() < PATIENCE,
                "the server does not start: {}",
                fs::read_to_string(self.folder.join("log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(50));
        }
    }

    fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--user=root", "--skip-column-names", "--batch"])
            .arg(format!("--socket={}", self.folder.join("socket").display()));
        client
    }

    /// Whether it takes connections.
    pub fn answers(&self) -> bool {
        let answer = self.client().args(["--execute", "SELECT 1"]).output().unwrap();
        answer.status.success()
    }

    /// Runs a script as root, and returns the rows: cells between tabs, a row a line.
    pub fn sql(&self, database: &str, script: &str) -> String {
        let mut client = self.client();
        client.args(["--execute", script]);
        if !database.is_empty() {
            client.arg(database);
        }
        keeper::run(&mut client)
    }

    /// The same for a script that may fail; whether it did not.
    pub fn try_sql(&self, database: &str, script: &str) -> bool {
        let mut client = self.client();
        let said = client.args(["--execute", script]).arg(database).output();
        said.unwrap().status.success()
    }

    /// Runs a script as root while the test goes on.
    pub fn background(&self, database: &str, script: &str) -> Child {
        let mut client = self.client();
        client.args(["--execute", script]).arg(database);
        client.stdout(Stdio::null()).spawn().unwrap()
    }

    /// Looks every few milliseconds, in the server itself, for a prepared statement of this user, and when it has ended: a process for
    /// each look would be too slow.
    pub fn watch(&self, user: &str) -> Watch {
        let rows = format!(
            "FROM information_schema.PROCESSLIST WHERE USER = ''{user}'' AND COMMAND IN (''Execute'', ''Prepare'')"
        );
        let script = format!(
            "EXECUTE IMMEDIATE 'BEGIN NOT ATOMIC DECLARE looks INT DEFAULT 0; SELECT 0; \
             REPEAT DO SLEEP(0.005); SET looks = looks + 1; UNTIL looks > 2000 OR EXISTS (SELECT 1 {rows}) END REPEAT; \
             SELECT looks <= 2000; \
             REPEAT DO SLEEP(0.005); SET looks = looks + 1; UNTIL looks > 4000 OR NOT EXISTS (SELECT 1 {rows}) END REPEAT; \
             SELECT IF(looks <= 4000, FLOOR(1000 * UNIX_TIMESTAMP(SYSDATE(6))), 0); END'"
        );
        let mut client = self.client();
        client.args(["--unbuffered", "--execute", &script]);
        Watch::by(client)
    }

    /// A new and empty database, and its name, which is that of a user who may do everything in it, too.
    pub fn database(&self) -> String {
        let nth = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{nth}");
        self.sql("", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        self.with_user(name)
    }

    /// The one on the small disk, with a user of its name.
    pub fn database_on_the_small_disk(&self) -> String {
        self.sql("", &format!("ALTER DATABASE {SMALL} CHARACTER SET utf8mb4"));
        self.with_user(SMALL.to_owned())
    }

    fn with_user(&self, name: String) -> String {
        self.sql(
            "",
            &format!(
                "CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'; CREATE USER {name}@localhost IDENTIFIED BY '{PASSWORD}'; \
                 GRANT ALL ON {name}.* TO {name}@'%'; GRANT ALL ON {name}.* TO {name}@localhost"
            ),
        );
        name
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The authority that signed its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<String> {
        let pid = fs::read_to_string(self.folder.join("pid")).ok()?;
        Some(pid.trim().to_owned())
    }

    /// Sends a signal: `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().expect("a running server");
        keeper::run(Command::new("kill").args([&format!("-{signal}"), &pid]));
    }

    /// Kills it without a warning, and waits for its end.
    pub fn kill(&self) {
        let pid = self.pid().expect("a running server");
        self.signal("KILL");
        while Path::new("/proc")
            .join(&pid)
            .join("fd")
            .read_dir()
            .is_ok_and(|mut open| open.next().is_some())
        {
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        for mut keeper in self.keepers.lock().unwrap().drain(..) {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}
