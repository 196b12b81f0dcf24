//! The daemons without `dbal dev`: under `dbal run`, and as a service manager starts each by itself.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::daemon::{Daemon, Ready};
use dbal_tests::processes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How the daemons get their listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    ByConfiguration,
    /// sd_listen_fds(3).
    ListenFds,
    /// systemd.exec(5), `StandardInput=socket`.
    StandardInput,
}

/// A configured folder that nobody serves.
struct Installed {
    folder: TempDir,
    ready: Ready,
}

impl Installed {
    fn new() -> Self {
        let daemon = Daemon::start();
        let ready = daemon.ready.clone();
        let (_, folder, _) = daemon.stop();
        Self { folder, ready }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("dev").join(name)
    }

    /// What `dbal call` prints, once somebody answers.
    fn call(&self, endpoint: &str, arguments: &[&str]) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let output = binaries::command("dbal")
                .args(["call", "--endpoint", endpoint, "--ca"])
                .arg(&self.ready.ca)
                .args(arguments)
                .env("DBAL_TOKEN", &self.ready.users["alice"].token)
                .output()
                .unwrap();
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap().trim().to_owned();
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What systemd would hear of one unit.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn of(unit: &str, folder: &Path) -> Self {
        let path = folder.join(format!("{unit}.notify"));
        let socket = UnixDatagram::bind(&path).unwrap();
        // The daemons speak as the users that they became.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, path }
    }

    fn hears(&self, wanted: &str) {
        let mut bytes = [0; 256];
        loop {
            let length = self
                .socket
                .recv(&mut bytes)
                .unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            if bytes[..length]
                .split(|byte| *byte == b'\n')
                .any(|line| line == wanted.as_bytes())
            {
                return;
            }
        }
    }
}

/// A daemon that a service manager started. Dropped, it is killed.
struct Unit(Child);

impl Unit {
    fn start(
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
        let child = command
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "200000");
        Self(child.stdout(Stdio::null()).spawn().unwrap())
    }

    fn terminate(mut self) -> ExitStatus {
        signal(&self.0, Signal::SIGTERM);
        self.0.wait().unwrap()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn each_daemon_takes_its_socket_in_every_way_and_tells_systemd_how_it_is() {
    let installed = Installed::new();
    for way in [
        Listening::ByConfiguration,
        Listening::ListenFds,
        Listening::StandardInput,
    ] {
        let managers = tempfile::tempdir().unwrap();
        std::fs::set_permissions(managers.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let (of_worker, of_broker) = (
            Manager::of("worker", managers.path()),
            Manager::of("broker", managers.path()),
        );
        let mut endpoint = installed.ready.endpoint.clone();
        let (mut channel, mut clients) = (None, None);
        if way != Listening::ByConfiguration {
            let path = installed.path("run/worker.sock");
            let socket = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
            channel = Some((way, OwnedFd::from(socket)));
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            endpoint = format!("wss://{}/", socket.local_addr().unwrap());
            clients = Some((way, OwnedFd::from(socket)));
        }

        let config = |name: &str| installed.path(name).to_string_lossy().into_owned();
        let arguments = [
            "--config",
            &config("worker.yaml.age"),
            "--identity",
            &config("identity"),
        ];
        let worker = Unit::start("dbal-worker", &arguments, &of_worker, channel);
        of_worker.hears("READY=1");
        let broker = Unit::start(
            "dbal-broker",
            &["--config", &config("broker.yaml")],
            &of_broker,
            clients,
        );
        of_broker.hears("READY=1");
        assert_eq!(installed.call(&endpoint, &["count", "Note"]), "0", "{way:?}");
        of_broker.hears("WATCHDOG=1");
        of_worker.hears("WATCHDOG=1");

        assert!(broker.terminate().success(), "{way:?}");
        of_broker.hears("STOPPING=1");
        assert!(worker.terminate().success(), "{way:?}");
        of_worker.hears("STOPPING=1");
        // Whoever made the socket removes it: the worker, locked in, can't.
        let _ = std::fs::remove_file(installed.path("run/worker.sock"));
    }
}

#[tokio::test]
async fn metrics_are_served_on_the_socket_that_the_manager_calls_admin() {
    let installed = Installed::new();
    let config = |name: &str| installed.path(name).to_string_lossy().into_owned();
    let managers = tempfile::tempdir().unwrap();
    std::fs::set_permissions(managers.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let of_worker = Manager::of("worker", managers.path());
    let arguments = [
        "--config",
        &config("worker.yaml.age"),
        "--identity",
        &config("identity"),
    ];
    let _worker = Unit::start("dbal-worker", &arguments, &of_worker, None);
    of_worker.hears("READY=1");

    // As systemd hands them over: from 3 on, in an order of its own, told apart by name.
    let (admin, clients) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let metrics = format!("http://{}/metrics", admin.local_addr().unwrap());
    let endpoint = format!("wss://{}/", clients.local_addr().unwrap());
    let of_broker = Manager::of("broker", managers.path());
    let script =
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:listen exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    let broker = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(binaries::path("dbal-broker"))
        .args(["--config", &config("broker.yaml")])
        .stdin(OwnedFd::from(admin))
        .stdout(OwnedFd::from(clients))
        .env("NOTIFY_SOCKET", &of_broker.path)
        .spawn()
        .unwrap();
    let _broker = Unit(broker);
    of_broker.hears("READY=1");
    assert_eq!(installed.call(&endpoint, &["count", "Note"]), "0");
    let (status, page) = dbal_tests::client::http_get(&metrics).await;
    assert!(
        status == 200 && page.contains("dbal_worker_connected 1"),
        "{status}: {page}"
    );
}

#[test]
fn a_standard_input_that_is_no_listening_socket_is_refused_at_start() {
    let installed = Installed::new();
    for (program, config) in [("dbal-worker", "worker.yaml.age"), ("dbal-broker", "broker.yaml")] {
        let mut command = binaries::command(program);
        command
            .arg("--config")
            .arg(installed.path(config))
            .arg("--socket-stdin");
        if program == "dbal-worker" {
            command.arg("--identity").arg(installed.path("identity"));
        }
        let output = command.stdin(File::open("/dev/null").unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("standard input"),
            "{program}: {said}"
        );
    }
}

#[test]
fn dbal_run_serves_a_folder_restarts_what_dies_and_leaves_nothing_behind() {
    let installed = Installed::new();
    let run = binaries::command("dbal")
        .args(["run", "--config"])
        .arg(installed.path(""))
        .arg("--identity")
        .arg(installed.path("identity"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let run = Unit(run);
    let endpoint = &installed.ready.endpoint;
    let made = installed.call(endpoint, &["create", "Note", r#"{"title":"kept"}"#]);
    assert!(made.contains("kept"), "{made}");
    let family = processes::below(run.0.id());
    let worker = family
        .iter()
        .find(|process| process.name == "dbal-worker")
        .unwrap();
    worker.kill_if_same();
    assert_eq!(installed.call(endpoint, &["count", "Note"]), "1");

    let family = processes::below(run.0.id());
    assert!(run.terminate().success());
    for process in family {
        assert!(!process.is_alive(), "{process:?} is left");
    }
}
