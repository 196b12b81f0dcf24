//! Each daemon started by itself, as a service manager does it: with sockets that the manager keeps, and a place to say how
//! it is.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::binaries;
use crate::client::{Client, Login};
use crate::daemon::{Daemon, Ready};

/// How long a daemon may take to say something, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the daemons get their listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// They make them.
    ByConfiguration,
    /// sd_listen_fds(3).
    ListenFds,
    /// systemd.exec(5), `StandardInput=socket`.
    StandardInput,
}

/// A configured folder that nobody serves.
pub struct Installed {
    folder: TempDir,
    /// What `dbal dev` said of it when it made it.
    pub ready: Ready,
}

impl Installed {
    /// A fresh one.
    pub fn new() -> Self {
        Self::left_by(Daemon::start())
    }

    /// A fresh one on another database than SQLite, as `database:` of `worker.yaml` names it.
    pub fn on(database: &str) -> Self {
        Self::left_by(Daemon::start_on(database))
    }

    fn left_by(daemon: Daemon) -> Self {
        let ready = daemon.ready.clone();
        let (_, folder, _) = daemon.stop();
        Self { folder, ready }
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("dev").join(name)
    }

    /// The same as a text.
    pub fn named(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// The worker's channel, as a manager opens it.
    pub fn channel(&self) -> UnixListener {
        let path = self.path("run/worker.sock");
        let _ = std::fs::remove_file(&path);
        let socket = UnixListener::bind(&path).expect("a socket");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("a mode");
        socket
    }

    /// Adds lines to broker.yaml.
    pub fn configure_broker(&self, more: &str) {
        let path = self.path("broker.yaml");
        let config = std::fs::read_to_string(&path).expect("the broker's configuration");
        std::fs::write(&path, format!("{config}\n{more}\n")).expect("the broker's configuration");
    }

    /// Starts the worker.
    pub fn worker(&self, manager: &Manager, socket: Option<(Listening, OwnedFd)>) -> Unit {
        let arguments = [
            "--config",
            &self.named("worker.yaml.age"),
            "--identity",
            &self.named("identity"),
        ];
        Unit::start("dbal-worker", &arguments, manager, socket)
    }

    /// Starts the broker.
    pub fn broker(&self, manager: &Manager, socket: Option<(Listening, OwnedFd)>) -> Unit {
        let arguments = ["--config", &self.named("broker.yaml")];
        Unit::start("dbal-broker", &arguments, manager, socket)
    }

    /// What `dbal call` prints, once somebody answers.
    pub fn call(&self, endpoint: &str, arguments: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let output = binaries::command("dbal")
                .args(["call", "--endpoint", endpoint, "--ca"])
                .arg(&self.ready.ca)
                .args(arguments)
                .env("DBAL_TOKEN", &self.ready.users["alice"].token)
                .output()
                .expect("dbal runs");
            if output.status.success() {
                return String::from_utf8(output.stdout).expect("text").trim().to_owned();
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Default for Installed {
    fn default() -> Self {
        Self::new()
    }
}

/// What systemd holds: two sockets, two units.
pub struct Service {
    /// What the units serve.
    pub installed: Installed,
    /// Of the worker and of the broker, and where their logs are.
    pub managers: (TempDir, Manager, Manager),
    /// The broker's port.
    pub clients: TcpListener,
    /// The worker's channel.
    pub channel: UnixListener,
}

impl Service {
    /// With neither of them started.
    pub fn of(installed: Installed) -> Self {
        Self {
            channel: installed.channel(),
            installed,
            managers: Manager::of_both(),
            clients: TcpListener::bind("127.0.0.1:0").expect("a port"),
        }
    }

    /// The next worker, on the same socket as the one before.
    pub fn worker(&self) -> Unit {
        let socket = OwnedFd::from(self.channel.try_clone().expect("a descriptor"));
        let unit = self
            .installed
            .worker(&self.managers.1, Some((Listening::ListenFds, socket)));
        self.managers.1.hears("READY=1");
        unit
    }

    /// The same for the broker, which may not get ready.
    pub fn begin_broker(&self) -> Unit {
        let socket = OwnedFd::from(self.clients.try_clone().expect("a descriptor"));
        self.installed
            .broker(&self.managers.2, Some((Listening::ListenFds, socket)))
    }

    /// The next broker, which gets ready.
    pub fn broker(&self) -> Unit {
        let unit = self.begin_broker();
        self.managers.2.hears("READY=1");
        unit
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        self.clients.local_addr().expect("a port").to_string()
    }

    /// A client of this name.
    pub async fn client(&self, who: &str) -> Client {
        let ready = &self.installed.ready;
        let token = ready.users.get(who).map_or("", |user| user.token.as_str());
        Client::try_connect_at(&self.address(), &ready.ca, Login::Header(token), None)
            .await
            .expect("the upgrade succeeds")
    }
}

/// What systemd would hear of one unit, and where its log goes.
pub struct Manager {
    heard: Receiver<String>,
    /// NOTIFY_SOCKET.
    pub path: PathBuf,
    log: PathBuf,
}

impl Manager {
    /// For a unit, in a folder that the daemons may enter.
    pub fn of(unit: &str, folder: &Path) -> Self {
        let path = folder.join(format!("{unit}.notify"));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        // The daemons speak as the users that they became.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("a mode");
        socket
            .set_read_timeout(Some(Duration::from_secs(1)))
            .expect("a timeout");
        let (tell, heard) = mpsc::channel();
        // As systemd does, whoever waits for it: a daemon that finds no room for its word would hang.
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            loop {
                let said = socket.recv(&mut bytes).unwrap_or(0);
                let said = String::from_utf8_lossy(bytes.get(..said).unwrap_or_default()).into_owned();
                if tell.send(said).is_err() {
                    return;
                }
            }
        });
        Self {
            heard,
            path,
            log: folder.join(format!("{unit}.log")),
        }
    }

    /// For both units, in a folder that is theirs.
    pub fn of_both() -> (TempDir, Self, Self) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("a mode");
        let (worker, broker) = (
            Self::of("worker", folder.path()),
            Self::of("broker", folder.path()),
        );
        (folder, worker, broker)
    }

    /// Waits until the unit says so.
    pub fn hears(&self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let said = self.heard.recv_timeout(PATIENCE).unwrap_or_default();
            if said.lines().any(|line| line == wanted) {
                return;
            }
        }
        panic!("no {wanted}\n{}", self.said());
    }

    /// All that the unit wrote to standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has written this.
    pub fn reads(&self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.said().contains(wanted) {
            assert!(Instant::now() < until, "no {wanted:?} in\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A daemon that a service manager started. Dropped, it is killed.
pub struct Unit(Child);

impl Unit {
    /// Starts it with a socket that the manager made, or without.
    pub fn start(
        program: &str,
        arguments: &[&str],
        manager: &Manager,
        socket: Option<(Listening, OwnedFd)>,
    ) -> Self {
        let program = binaries::path(program);
        let mut command = match &socket {
            // Only the process itself knows LISTEN_PID, and only descriptor 3 will do.
            Some((Listening::ListenFds, _)) => {
                let mut shell = Command::new("sh");
                shell.args([
                    "-c",
                    "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null",
                    "sh",
                ]);
                shell.arg(&program);
                shell
            }
            Some(_) | None => Command::new(&program),
        };
        command.args(arguments);
        match socket {
            Some((way, socket)) => {
                if way == Listening::StandardInput {
                    command.arg("--socket-stdin");
                }
                command.stdin(socket);
            }
            None => {
                command.stdin(Stdio::null());
            }
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&manager.log)
            .expect("a log file");
        let child = command
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "200000")
            .stdout(Stdio::null())
            .stderr(log);
        Self(child.spawn().expect("it starts"))
    }

    /// One that was started otherwise.
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the process is ours");
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end, at most for so long, and tells how long it took.
    pub fn ends_within(mut self, within: Duration) -> (ExitStatus, Duration) {
        let since = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return (status, since.elapsed());
            }
            assert!(since.elapsed() < within, "it still runs after {within:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM, and its end.
    pub fn terminate(self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ends_within(PATIENCE).0
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
