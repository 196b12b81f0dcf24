//! Starting, ending, and starting again: nothing is left behind and nothing is lost.

use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use dbal_tests::processes;
use nix::sys::signal::Signal;
use serde_json::json;

#[tokio::test]
async fn sigterm_ends_both_processes_and_leaves_nothing_behind() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client
        .call("create", json!(["Note", {"title": "kept"}]))
        .await
        .unwrap();
    let family = processes::below(daemon.pid());
    assert!(family.len() >= 2, "{family:?}");
    let address = daemon.address();
    let sockets = sockets_below(&daemon.folder());
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    let (status, folder, said) = daemon.stop();
    assert!(status.success(), "{status}: {said}");
    assert_eq!(
        client.closed_with().await,
        Some(1001),
        "the client is told that the server goes away"
    );
    for process in family {
        assert!(!process.is_alive(), "{process:?} is left");
    }
    assert!(
        sockets.iter().all(|socket| !socket.exists()),
        "{sockets:?} is left"
    );
    assert!(
        std::net::TcpStream::connect(&address).is_err(),
        "somebody still listens"
    );
    drop(folder);
}

#[tokio::test]
async fn a_second_start_in_the_same_folder_keeps_rows_and_tokens() {
    let daemon = Daemon::start();
    let alice = daemon.user("alice").clone();
    let mut client = Client::connect(&daemon, &alice).await;
    let note = client
        .call("create", json!(["Note", {"title": "kept"}]))
        .await
        .unwrap();
    let audit = daemon.audit();
    let (_, folder, _) = daemon.stop();
    let daemon = Daemon::start_in(folder);
    assert_eq!(daemon.user("alice").user_id, alice.user_id);
    // The old token: keys are kept, too.
    let mut client = Client::connect(&daemon, &alice).await;
    assert_eq!(
        client.call("read", json!(["Note", note["id"]])).await.unwrap(),
        note
    );
    client.call("delete", json!(["Note", note["id"]])).await.unwrap();
    drop(daemon.stop());
    let _ = audit;
}

#[tokio::test]
async fn the_audit_goes_on_where_an_earlier_run_ended() {
    let daemon = Daemon::start();
    let (_, folder, _) = daemon.stop();
    let daemon = Daemon::start_in(folder);
    let audit = daemon.audit();
    let (_, folder, _) = daemon.stop();
    crate::audit_trail::assert_verifies(&audit);
    let records = dbal_tests::journal::records(&audit);
    let numbers: Vec<u64> = records
        .iter()
        .map(|record| record["seq"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
    drop(folder);
}

#[tokio::test]
async fn a_killed_broker_is_started_again_on_its_port() {
    let daemon = Daemon::start();
    let victim = daemon.broker();
    victim.kill();
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        if let Ok(mut client) = Client::try_connect(
            &daemon,
            dbal_tests::client::Login::Header(&daemon.user("alice").token),
        )
        .await
            && client.call("count", json!(["Note"])).await.is_ok()
        {
            break;
        }
        assert!(Instant::now() < until, "no broker after 5 s\n{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(daemon.broker().pid, victim.pid);
}

#[tokio::test]
async fn draining_answers_what_was_asked_before() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    for number in 0..50 {
        let call =
            json!({"id": format!("c{number}"), "method": "create", "params": ["Note", {"title": "drained"}]});
        client
            .feed(dbal_tests::client::Message::text(call.to_string()))
            .await;
    }
    client
        .send(r#"{"id":"last","method":"count","params":["Note"]}"#)
        .await;
    // The broker has read them once it answers the first.
    let first = client.answer().await;
    assert!(first.get("result").is_some(), "{first}");
    daemon.broker().signal(Signal::SIGTERM);
    let mut answered = 1;
    while let Some(message) = client.message().await {
        match message {
            dbal_tests::client::Message::Text(_) => answered += 1,
            dbal_tests::client::Message::Close(frame) => {
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1001));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, 51, "each call was answered before the goodbye");
}

fn sockets_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(sockets_below(&entry.path())),
            Ok(kind) if kind.is_socket() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
