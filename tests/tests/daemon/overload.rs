//! More than there is room for: of connections, descriptors, memory. What there is goes to whoever proves who they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login, Message, http_get};
use dbal_tests::crowd::Crowd;
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A counter on the metrics page; with labels, as it stands there.
async fn counted(daemon: &Daemon, name: &str) -> u64 {
    let (_, page) = http_get(&daemon.ready.metrics).await;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}"))
        .trim()
        .parse()
        .expect("a number")
}

/// Waits until a counter is at least so high.
async fn wait_until_counted(daemon: &Daemon, name: &str, least: u64) {
    let until = Instant::now() + Duration::from_secs(20);
    while counted(daemon, name).await < least {
        assert!(Instant::now() < until, "{name} stays below {least}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn handshakes_that_nobody_finishes_make_room_for_who_comes_with_a_proof() {
    let daemon = Daemon::start_with_limits("{unproven_connections: 20, connections: 25}");
    let crowd = Crowd::of(&daemon);
    let token = &daemon.user("alice").token;
    let mut old = crowd
        .client(Crowd::source(0), Login::Header(token))
        .await
        .unwrap();
    old.call("count", json!(["Note"])).await.unwrap();
    // From as many addresses, so that no limit per address stops them.
    let mut silent = Vec::new();
    for nth in 1..=40 {
        silent.push(crowd.tcp(Crowd::source(nth)).await.unwrap());
    }
    wait_until_counted(&daemon, "dbal_turned_away_connections_total", 20).await;
    // Longer than the time that nobody takes away from a handshake.
    sleep(Duration::from_millis(1_200)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = crowd
            .client(Crowd::source(0), Login::Header(token))
            .await
            .unwrap();
        client.call("count", json!(["Note"])).await.unwrap();
        clients.push(client);
    }
    assert!(counted(&daemon, "dbal_closed_connections_total{reason=\"displaced\"}").await >= 16);
    // Who has proven something is never displaced, not even when every place is taken.
    for nth in 41..=60 {
        silent.push(crowd.tcp(Crowd::source(nth)).await.unwrap());
    }
    for client in clients.iter_mut().chain([&mut old]) {
        client.call("count", json!(["Note"])).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_with_many_handshakes_makes_room_at_once_for_one_that_has_none() {
    let daemon = Daemon::start_with_limits("{unproven_connections: 20}");
    let crowd = Crowd::of(&daemon);
    let mut silent = Vec::new();
    for nth in 0..24 {
        silent.push(crowd.tcp(Crowd::source(1 + nth % 2)).await.unwrap());
    }
    let token = &daemon.user("alice").token;
    // Each within the time that is left to a handshake otherwise.
    for _ in 0..5 {
        let mut client = crowd
            .client(Crowd::source(0), Login::Header(token))
            .await
            .unwrap();
        client.call("count", json!(["Note"])).await.unwrap();
        silent.push(crowd.tcp(Crowd::source(1)).await.unwrap());
    }
    assert!(counted(&daemon, "dbal_closed_connections_total{reason=\"displaced\"}").await >= 5);
}

/// Counted by messages, not by time: how many of a mebibyte are worked on meanwhile says what somebody else waits behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_mebibyte_after_the_other_is_not_served_before_who_asks_for_little() {
    const CALLS: usize = 20;
    let daemon = Daemon::start();
    let crowd = Crowd::of(&daemon);
    let mut alice = crowd
        .client(Crowd::source(0), Login::Header(&daemon.user("alice").token))
        .await
        .unwrap();
    alice.call("count", json!(["Note"])).await.unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let call = r#"{"id":"x","method":"count","params":["Note"]}"#;
    let long: Arc<str> = format!("{call}{}", " ".repeat((1 << 20) - call.len())).into();
    let mut senders = JoinSet::new();
    for nth in 1..=8 {
        let token = &daemon.user("bob").token;
        let client = crowd.client(Crowd::source(nth), Login::Header(token)).await;
        let (mut sending, mut receiving) = client.unwrap().split();
        let (answered, long) = (Arc::clone(&answered), Arc::clone(&long));
        senders.spawn(async move {
            let send = async { while sending.send(Message::text(&*long)).await.is_ok() {} };
            let receive = async {
                while let Some(Ok(_)) = receiving.next().await {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            };
            tokio::join!(send, receive);
        });
    }
    let until = Instant::now() + Duration::from_secs(20);
    while answered.load(Ordering::Relaxed) < 16 {
        assert!(Instant::now() < until, "no attack");
        sleep(Duration::from_millis(5)).await;
    }
    let before = answered.load(Ordering::Relaxed);
    for _ in 0..CALLS {
        alice.call("count", json!(["Note"])).await.unwrap();
    }
    let meanwhile = answered.load(Ordering::Relaxed) - before;
    senders.shutdown().await;
    assert!(
        meanwhile < 10 * CALLS,
        "{meanwhile} long messages were answered while {CALLS} short ones were"
    );
}

#[tokio::test]
async fn a_principal_has_so_many_connections_whatever_address_they_come_from() {
    let daemon = Daemon::start_with_limits("{connections_per_principal: 3}");
    let crowd = Crowd::of(&daemon);
    let (alice, bob) = (daemon.user("alice"), daemon.user("bob"));
    let mut clients = Vec::new();
    for nth in 0..4 {
        clients.push(
            crowd
                .client(Crowd::source(nth), Login::Header(&alice.token))
                .await
                .unwrap(),
        );
    }
    let mut refused = 0;
    for client in &mut clients {
        match client.call("count", json!(["Note"])).await {
            Ok(_) => {}
            Err(refusal) => {
                assert_eq!(refusal.code, 429, "{refusal:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1);
    // Nor by tokens in messages.
    let mut stranger = crowd.client(Crowd::source(9), Login::Nobody).await.unwrap();
    let called = stranger
        .call_as(json!({"token": alice.token}), "count", json!(["Note"]))
        .await;
    assert_eq!(called.unwrap_err().code, 429);
    let called = stranger
        .call_as(json!({"token": bob.token}), "count", json!(["Note"]))
        .await;
    assert!(called.is_ok(), "{called:?}");
}

#[tokio::test]
async fn an_address_that_comes_and_goes_is_turned_away_for_a_while_and_others_are_not() {
    let daemon = Daemon::start_with_limits("{new_connections_per_minute: 6, connections_per_address: 5}");
    let crowd = Crowd::of(&daemon);
    let mut entered = 0;
    for _ in 0..20 {
        entered += u32::from(crowd.tls(Crowd::source(1)).await.is_ok());
    }
    assert!((5..10).contains(&entered), "{entered}");
    let mut client = crowd
        .client(Crowd::source(2), Login::Header(&daemon.user("alice").token))
        .await
        .unwrap();
    client.call("count", json!(["Note"])).await.unwrap();
}

#[tokio::test]
async fn a_websocket_that_proves_nothing_is_closed_and_so_is_a_message_that_never_ends() {
    let daemon = Daemon::start_with_limits("{unproven_s: 1, message_ms: 1000}");
    let mut stranger = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let mut slow = Client::connect(&daemon, daemon.user("alice")).await;
    let mut honest = Client::connect(&daemon, daemon.user("alice")).await;
    slow.call("count", json!(["Note"])).await.unwrap();
    assert_eq!(stranger.closed_with().await, Some(4401));
    // A text frame of 100 bytes under a mask of zeros, of which some come.
    slow.send_bytes(&[0x81, 0x80 | 100, 0, 0, 0, 0, b'{', b'"'])
        .await
        .unwrap();
    assert_eq!(slow.closed_with().await, Some(4408));
    // Counted when the farewell is over.
    for reason in ["slow", "unproven"] {
        let ended = format!("dbal_closed_connections_total{{reason=\"{reason}\"}}");
        wait_until_counted(&daemon, &ended, 1).await;
    }
    honest.call("count", json!(["Note"])).await.unwrap();
}

#[tokio::test]
async fn who_reads_nothing_is_cut_off() {
    let daemon = Daemon::start_with_limits("{write_ms: 500}");
    let crowd = Crowd::of(&daemon);
    let alice = daemon.user("alice");
    let mut rows = Client::connect(&daemon, alice).await;
    let body = "x".repeat(20_000);
    for _ in 0..6 {
        let many: Vec<_> = (0..50)
            .map(|n| json!({"title": format!("n{n}"), "body": body}))
            .collect();
        rows.call("createMany", json!(["Note", many])).await.unwrap();
    }
    let stream = crowd.tcp_with(Crowd::source(1), Some(4_096)).await.unwrap();
    let mut deaf = crowd
        .client_on(stream, Login::Header(&alice.token))
        .await
        .unwrap();
    for id in 0..4 {
        let call = json!({"id": id.to_string(), "method": "list", "params": ["Note", {"limit": 300, "total": false}]});
        deaf.send(&call.to_string()).await;
    }
    wait_until_counted(&daemon, "dbal_closed_connections_total{reason=\"stalled\"}", 1).await;
    rows.call("count", json!(["Note"])).await.unwrap();
}

#[tokio::test]
async fn without_descriptors_new_clients_wait_open_ones_are_served_and_nothing_spins() {
    let daemon = Daemon::start();
    let crowd = Crowd::of(&daemon);
    let token = &daemon.user("alice").token;
    let mut open = crowd
        .client(Crowd::source(0), Login::Header(token))
        .await
        .unwrap();
    open.call("count", json!(["Note"])).await.unwrap();
    let broker = daemon.broker();
    let taken = broker.descriptors().len();
    broker.allow_descriptors(taken + 3);
    let mut silent = Vec::new();
    for nth in 1..=20 {
        silent.push(crowd.tcp(Crowd::source(nth)).await.unwrap());
    }
    let until = Instant::now() + Duration::from_secs(10);
    while !daemon.said().contains("clients can't be accepted") {
        assert!(Instant::now() < until, "it never ran out");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    // Each failure is followed by a pause of 100 ms, and only the first is told.
    let told = daemon.said().matches("clients can't be accepted").count();
    assert_eq!(told, 1);
    open.call("count", json!(["Note"])).await.unwrap();
    drop(silent);
    // Who comes while those are still being let go of may be turned away, and comes again.
    let coming = async {
        loop {
            match crowd.client(Crowd::source(0), Login::Header(token)).await {
                Ok(client) => return client,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let mut client = timeout(Duration::from_secs(20), coming).await.unwrap();
    client.call("count", json!(["Note"])).await.unwrap();
    let failures = counted(&daemon, "dbal_accept_failures_total").await;
    assert!((1..200).contains(&failures), "{failures}");
}

#[tokio::test]
async fn a_broker_that_may_open_fewer_files_than_connections_says_so() {
    // No process of ours may have so many.
    let daemon = Daemon::start_with_limits("{connections: 10000000}");
    assert!(
        daemon
            .said()
            .contains("fewer connections than `limits.connections`"),
        "{}",
        daemon.said()
    );
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
}

#[tokio::test]
async fn what_waits_too_long_for_a_busy_database_is_told_to_come_again_and_what_comes_later_goes() {
    let daemon = Daemon::start().with_worker_limits("{queue_ms: 200}");
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&daemon, daemon.user("alice")).await);
    }
    let create = |title: &str| {
        json!({"id": title, "method": "create", "params": ["Note", {"title": title}]}).to_string()
    };
    // Somebody else writes: the one thread that does so here waits for the file with the first call in its hands, and the
    // second one waits for the thread.
    let other = rusqlite::Connection::open(daemon.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for (client, title) in clients.iter_mut().zip(["first", "second"]) {
        client.send(&create(title)).await;
        sleep(Duration::from_millis(300)).await;
    }
    let answer = clients[1].answer().await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["details"]["retryable"]),
        (&json!(503), &json!(true)),
        "{answer}"
    );
    let record = journal::wait_for(&daemon.audit(), |record| record["code"] == 503);
    assert!(record.to_string().contains("limits.queue_ms"), "{record}");
    other.execute_batch("ROLLBACK").unwrap();
    let answer = clients[2].round_trip(&create("third")).await;
    assert!(answer.contains("\"result\""), "{answer}");
    let count = |title: &str| json!(["Note", {"filter": {"title": title}}]);
    for (title, found) in [("second", 0), ("third", 1)] {
        assert_eq!(
            clients[2].call("count", count(title)).await.unwrap(),
            found,
            "{title}"
        );
    }
}

/// The worker is held, so that all that the broker reads for it piles up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hundreds_of_connections_send_ahead_stays_in_their_sockets_and_the_workers_queue_has_places_for_the_rest()
 {
    const CONNECTIONS: usize = 250;
    const AHEAD: usize = 6;
    /// `limits.queue` of the worker, by default.
    const QUEUE: u64 = 1024;
    let daemon = Daemon::start();
    let crowd = Crowd::of(&daemon);
    // Of several callers: one alone has half as many calls under way (the policy's `max_in_flight`).
    let tokens: Vec<&String> = daemon.ready.users.values().map(|user| &user.token).collect();
    assert!(tokens.len() > 2);
    let mut clients = Vec::new();
    for token in tokens.into_iter().cycle().take(CONNECTIONS) {
        let login = Login::Header(token);
        let mut client = crowd.client(Crowd::source(0), login).await.unwrap();
        client.call("count", json!(["Note"])).await.unwrap();
        clients.push(client);
    }
    daemon.worker().signal(Signal::SIGSTOP);
    for client in &mut clients {
        for nth in 0..AHEAD {
            let text = json!({"id": nth.to_string(), "method": "count", "params": ["Note"]});
            client.send(&text.to_string()).await;
        }
    }
    // Until the broker takes no more of them.
    let (mut taken, mut steady) = (0, 0);
    while steady < 5 {
        sleep(Duration::from_millis(100)).await;
        let before = taken;
        taken = counted(&daemon, "dbal_calls_in_flight").await;
        steady = if taken == before && taken > 0 {
            steady + 1
        } else {
            0
        };
    }
    daemon.worker().signal(Signal::SIGCONT);
    assert!(taken >= CONNECTIONS as u64, "one of each at least: {taken}");
    assert!(taken < QUEUE, "{taken} calls for a queue of {QUEUE}");
}
