//! Clients that go while their calls are under way, also while the broker reads nothing of them: what they asked for goes with them, at
//! once, in the database as well.

use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use dbal_servers::postgres::Postgres;
use dbal_servers::watch::Watch;
use dbal_tests::client::{Client, Login, Message, http_get};
use dbal_tests::crowd::Crowd;
use dbal_tests::daemon::Daemon;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;

use crate::postgresql::by_socket;

/// Connections of the worker to its database. One of them is for reads of single rows, one for changes.
const POOL: u32 = 8;
/// Those for lists.
const FOR_LISTS: usize = 6;
/// What who asks for long lists gets of these.
const SHARE: usize = 5;

/// So long a client's statements may outlast it, on a machine that has a moment for them.
const SOON: Duration = Duration::from_millis(200);
/// So long at most on one that has none. Who is missed only at the next answer is so after three seconds (`limits.queue_ms` of the worker).
const SOON_ENOUGH: Duration = Duration::from_secs(1);

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// With a reset: its process was killed with something unread, or its network gave up.
    Reset,
    /// With a FIN and no word of TLS, as the kernel ends a process's connections.
    Killed,
    /// With TLS's `close_notify` and a FIN.
    Closed,
    /// With a FIN, but it goes on to listen.
    Muted,
    /// With `close_notify` and a FIN, but it goes on to listen.
    MutedWithNotice,
    /// With WebSocket's close frame, which nobody reads, and a FIN.
    SaidGoodbye,
}

impl Going {
    const ALL: [Self; 6] = [
        Going::Reset,
        Going::Killed,
        Going::Closed,
        Going::Muted,
        Going::MutedWithNotice,
        Going::SaidGoodbye,
    ];

    /// Goes. What comes back is a connection that still listens.
    async fn go(self, mut client: Client) -> Option<TlsStream<TcpStream>> {
        if self == Going::SaidGoodbye {
            client.send_message(Message::Close(None)).await;
        }
        let mut stream = client.into_stream();
        match self {
            Going::Reset => stream.get_ref().0.set_zero_linger().unwrap(),
            Going::Killed => {}
            Going::Closed | Going::MutedWithNotice | Going::SaidGoodbye => stream.shutdown().await.unwrap(),
            Going::Muted => stream.get_mut().0.shutdown().await.unwrap(),
        }
        matches!(self, Going::Muted | Going::MutedWithNotice).then_some(stream)
    }
}

/// Somebody else who has the table of comments to himself, until dropped: whoever reads it waits.
struct Locked<'a> {
    server: &'a Postgres,
    database: &'a str,
    session: Child,
}

impl<'a> Locked<'a> {
    fn new(server: &'a Postgres, database: &'a str) -> Self {
        let session = server.session(database, "BEGIN; LOCK TABLE \"Comment\"; SELECT pg_sleep(600)");
        let locked = Self {
            server,
            database,
            session,
        };
        let asked = "SELECT count(*) FROM pg_locks WHERE relation = '\"Comment\"'::regclass AND mode = 'AccessExclusiveLock' AND granted";
        let until = Instant::now() + Duration::from_secs(20);
        while server.sql(database, asked) != "1" {
            assert!(Instant::now() < until, "nobody locks the table");
        }
        locked
    }

    /// Statements of the worker that wait for it.
    fn waiting(&self) -> usize {
        let asked = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state = 'active' AND wait_event_type = 'Lock'",
            self.database
        );
        self.server.sql("postgres", &asked).parse().unwrap()
    }

    fn await_waiting(&self, wanted: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.waiting() != wanted {
            assert!(Instant::now() < until, "{} wait, not {wanted}", self.waiting());
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.server.sql(
            self.database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%' AND datname = current_database()",
        );
        let _ = self.session.wait();
    }
}

/// A list that waits for as long as the table is locked, and is too short to wait in the broker for room for its answer.
fn slow(id: usize) -> Message {
    let call =
        json!({"id": id.to_string(), "method": "list", "params": ["Comment", {"limit": 5, "total": false}]});
    Message::text(call.to_string())
}

/// Sends so many of them, one behind the other.
async fn send_ahead(client: &mut Client, count: usize) {
    for id in 1..count {
        client.feed(slow(id)).await;
    }
    client.send_message(slow(count)).await;
}

/// Bytes that wait in the kernel on the broker's side of a connection: those to be taken by the client, and those to be read.
fn waiting_bytes(daemon: &Daemon, client: &TcpStream) -> (u64, u64) {
    let port = |address: &str| {
        let (_, port) = address.rsplit_once(':').unwrap();
        port.parse::<u16>().unwrap()
    };
    let (ours, theirs) = (port(&daemon.address()), client.local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = table.lines().map(columns).find(|columns| {
        columns[1].ends_with(&format!(":{ours:04X}")) && columns[2].ends_with(&format!(":{theirs:04X}"))
    });
    let line = line.unwrap_or_else(|| panic!("no connection from {theirs} to {ours} in\n{table}"));
    let (send, receive) = line[4].split_once(':').unwrap();
    let bytes = |hexadecimal| u64::from_str_radix(hexadecimal, 16).unwrap();
    (bytes(send), bytes(receive))
}

/// A counter or gauge on the metrics page.
async fn counted(daemon: &Daemon, name: &str) -> u64 {
    let (_, page) = http_get(&daemon.ready.metrics).await;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.trim().parse().expect("a number")
}

/// Waits until the broker waits for no answer.
async fn is_idle_soon(daemon: &Daemon) {
    let began = Instant::now();
    while counted(daemon, "dbal_calls_in_flight").await > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "calls are still under way"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// Has a client go, and tells how long its statements stay.
async fn leaves(going: Going, client: Client, watch: Watch, daemon: &Daemon) -> Duration {
    let left = SystemTime::now();
    let listening = going.go(client).await;
    let time = watch.gone_after(left);
    is_idle_soon(daemon).await;
    drop(listening);
    time
}

/// That the statements of one who went are gone soon, at the best of some attempts: a moment without a CPU is no fault of ours. What was
/// gone before he went proves nothing.
async fn soon(what: &str, mut attempt: impl AsyncFnMut() -> Duration) {
    let mut times = Vec::new();
    for _ in 0..5 {
        let time = attempt().await;
        if !time.is_zero() {
            times.push(time);
            if time < SOON {
                break;
            }
        }
    }
    println!("gone after {what}: {times:?}");
    assert!(times.iter().any(|time| *time < SOON_ENOUGH), "{what}: {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_while_it_is_not_read_or_takes_nothing_takes_its_statements_along() {
    /// `limits.in_flight_per_connection` is 64.
    const AHEAD: usize = 400;
    let server = Postgres::shared();
    let name = server.database();
    let daemon = Daemon::start_on(&by_socket(server, &name, POOL));
    let crowd = Crowd::of(&daemon);
    let alice = daemon.user("alice");
    let mut rows = Client::connect(&daemon, alice).await;
    let locked = Locked::new(server, &name);

    for going in Going::ALL {
        soon(&format!("{going:?} while it was not read"), async || {
            let mut watch = server.watch(&name);
            let login = Login::Header(&alice.token);
            let mut client = crowd.client(Crowd::source(0), login).await.unwrap();
            send_ahead(&mut client, AHEAD).await;
            watch.begun();
            let (_, unread) = waiting_bytes(&daemon, client.tcp());
            assert!(unread > 0, "all was read");
            leaves(going, client, watch, &daemon).await
        })
        .await;
    }

    let body = "x".repeat(20_000);
    for _ in 0..4 {
        let many: Vec<_> = (0..50)
            .map(|n| json!({"title": format!("n{n}"), "body": body}))
            .collect();
        rows.call("createMany", json!(["Note", many])).await.unwrap();
    }
    for going in Going::ALL {
        soon(&format!("{going:?} while it took nothing"), async || {
            let mut watch = server.watch(&name);
            let stream = crowd.tcp_with(Crowd::source(0), Some(4_096)).await.unwrap();
            let client = crowd.client_on(stream, Login::Header(&alice.token)).await;
            let mut client = client.unwrap();
            send_ahead(&mut client, 4).await;
            watch.begun();
            // Two of some 4 MB, of which the kernel takes not all.
            for id in ["long", "longer"] {
                let call =
                    json!({"id": id, "method": "list", "params": ["Note", {"limit": 200, "total": false}]});
                client.send(&call.to_string()).await;
            }
            let (mut before, mut waiting) = (0, 1);
            while waiting == 0 || waiting != before {
                sleep(Duration::from_millis(100)).await;
                before = waiting;
                (waiting, _) = waiting_bytes(&daemon, client.tcp());
            }
            leaves(going, client, watch, &daemon).await
        })
        .await;
    }
    drop(locked);
    assert!(rows.call("count", json!(["Note"])).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_two_hundred_connections_with_slow_lists_others_go_on_and_all_is_free_when_those_are_killed() {
    const CONNECTIONS: usize = 200;
    /// Fewer than each sends: none of them is read to its end.
    const AT_ONCE: usize = 2;
    const AHEAD: usize = 250;
    let server = Postgres::shared();
    let name = server.database();
    let limits = format!("{{in_flight_per_connection: {AT_ONCE}}}");
    let daemon = Daemon::start()
        .with_worker_limits("{queue_ms: 29000, query_timeout_ms: 29000}")
        .with_limits(&limits)
        .moved_to(&by_socket(server, &name, POOL), &[]);
    let crowd = Crowd::of(&daemon);
    let (alice, bob) = (daemon.user("alice"), daemon.user("bob"));
    let mut other = Client::connect(&daemon, bob).await;
    let note = other.call("create", json!(["Note", {"title": "short"}])).await;
    let id = note.unwrap()["id"].clone();
    let locked = Locked::new(server, &name);
    // One of hers that takes long, so that it is known that they do.
    let mut first = Client::connect(&daemon, alice).await;
    let list = json!({"entity": "Comment", "options": {"total": false}, "_meta": {"timeoutMs": 300}});
    assert_eq!(first.call_v2("list", list).await.unwrap_err().code, 504);

    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let login = Login::Header(&alice.token);
        let mut client = crowd.client(Crowd::source(0), login).await.unwrap();
        send_ahead(&mut client, AHEAD).await;
        clients.push(client);
    }
    locked.await_waiting(SHARE);
    let until = Instant::now() + Duration::from_secs(20);
    while counted(&daemon, "dbal_calls_in_flight").await < (CONNECTIONS * AT_ONCE) as u64 {
        assert!(Instant::now() < until, "they are not all under way");
        sleep(Duration::from_millis(20)).await;
    }

    for client in &clients {
        let (_, unread) = waiting_bytes(&daemon, client.tcp());
        assert!(unread > 0, "all of one was read");
    }

    let began = Instant::now();
    for _ in 0..20 {
        let read = other.call("read", json!(["Note", id])).await.unwrap();
        assert_eq!(read["title"], "short");
        let list = json!(["Note", {"filter": {"title": "short"}, "sort": {"title": "asc"}}]);
        assert_eq!(other.call("list", list).await.unwrap()["total"], 1);
    }
    let took = began.elapsed();
    println!("20 reads and 20 lists beside them: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(locked.waiting(), SHARE, "she has what she had");
    let mut watch = server.watch(&name);
    watch.begun();

    let left = SystemTime::now();
    for client in clients {
        Going::Reset.go(client).await;
    }
    let gone = watch.gone_after(left);
    println!("gone {gone:?} after they began to be killed");
    assert!(gone < Duration::from_secs(5), "{gone:?}");
    is_idle_soon(&daemon).await;
    // All that she had is for others, and for herself.
    let third = Client::connect(&daemon, bob).await;
    let mut waiting = [other, first, third];
    for client in &mut waiting {
        send_ahead(client, AT_ONCE).await;
    }
    locked.await_waiting(FOR_LISTS);
    drop(locked);
    for client in &mut waiting {
        for _ in 0..AT_ONCE {
            let answer = client.answer().await;
            assert!(answer["result"]["data"].is_array(), "{answer}");
        }
    }
}
