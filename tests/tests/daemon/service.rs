//! The daemons without `dbal dev`: under `dbal run`, and as a service manager starts each by itself.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use dbal_tests::binaries;
use dbal_tests::processes;
use dbal_tests::units::{Installed, Listening, Manager, Unit};

#[test]
fn each_daemon_takes_its_socket_in_every_way_and_tells_systemd_how_it_is() {
    let installed = Installed::new();
    for way in [
        Listening::ByConfiguration,
        Listening::ListenFds,
        Listening::StandardInput,
    ] {
        let (_folder, of_worker, of_broker) = Manager::of_both();
        let mut endpoint = installed.ready.endpoint.clone();
        let (mut channel, mut clients) = (None, None);
        if way != Listening::ByConfiguration {
            channel = Some((way, OwnedFd::from(installed.channel())));
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            endpoint = format!("wss://{}/", socket.local_addr().unwrap());
            clients = Some((way, OwnedFd::from(socket)));
        }

        let worker = installed.worker(&of_worker, channel);
        of_worker.hears("READY=1");
        let broker = installed.broker(&of_broker, clients);
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
    let (_folder, of_worker, of_broker) = Manager::of_both();
    let _worker = installed.worker(&of_worker, None);
    of_worker.hears("READY=1");

    // As systemd hands them over: from 3 on, in an order of its own, told apart by name.
    let (admin, clients) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let metrics = format!("http://{}/metrics", admin.local_addr().unwrap());
    let endpoint = format!("wss://{}/", clients.local_addr().unwrap());
    let script =
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:listen exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    let broker = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(binaries::path("dbal-broker"))
        .args(["--config", &installed.named("broker.yaml")])
        .stdin(OwnedFd::from(admin))
        .stdout(OwnedFd::from(clients))
        .env("NOTIFY_SOCKET", &of_broker.path)
        .spawn()
        .unwrap();
    let _broker = Unit::of(broker);
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
    let run = Unit::of(run);
    let endpoint = &installed.ready.endpoint;
    let made = installed.call(endpoint, &["create", "Note", r#"{"title":"kept"}"#]);
    assert!(made.contains("kept"), "{made}");
    let family = processes::below(run.pid());
    let worker = family
        .iter()
        .find(|process| process.name == "dbal-worker")
        .unwrap();
    worker.kill_if_same();
    assert_eq!(installed.call(endpoint, &["count", "Note"]), "1");

    let family = processes::below(run.pid());
    assert!(run.terminate().success());
    for process in family {
        assert!(!process.is_alive(), "{process:?} is left");
    }
}
