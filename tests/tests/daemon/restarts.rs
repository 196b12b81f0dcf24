//! Restarts of one daemon while the other and the clients stay, as a service manager does them: it keeps the sockets.

use std::collections::HashSet;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_shared::frame::{FrameReader, write_frame};
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{PROTOCOL, Rejected, ToBroker, ToWorker};
use dbal_tests::client::{Client, Login, Message, https_get_at, native};
use dbal_tests::daemon::reconfigure_worker;
use dbal_tests::journal;
use dbal_tests::units::{Installed, Service};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const CLIENTS: usize = 8;
/// Calls that a client has in flight.
const BURST: usize = 4;
const RESTARTS: usize = 3;
/// Between two restarts.
const PAUSE: Duration = Duration::from_millis(300);
/// No end takes longer, on a machine that has other things to do as well.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

/// Where the rows are: the scenes whose end depends on it are played on both.
enum Store {
    Sqlite,
    /// And the database's name.
    Postgresql(&'static Postgres, String),
}

impl Store {
    fn postgresql() -> Self {
        let server = Postgres::shared();
        Self::Postgresql(server, server.database())
    }

    fn installed(&self) -> Installed {
        match self {
            Self::Sqlite => Installed::new(),
            Self::Postgresql(server, name) => Installed::on(&format!(
                "{{postgresql: {{host: \"{}\", port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
                 create_tables: true}}}}",
                server.folder().display(),
                server.port(),
            )),
        }
    }
}

/// What systemd holds, and where its rows are.
struct Stored {
    store: Store,
    service: Service,
}

impl Deref for Stored {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Stored {
    fn new() -> Self {
        Self::on(Store::Sqlite)
    }

    fn on(store: Store) -> Self {
        let service = Service::of(store.installed());
        Self { store, service }
    }

    /// SQLite's.
    fn file(&self) -> PathBuf {
        self.installed.path("data/dbal.sqlite")
    }

    /// Titles of all notes.
    fn titles(&self) -> HashSet<String> {
        match &self.store {
            Store::Sqlite => {
                let database = rusqlite::Connection::open(self.file()).unwrap();
                let mut statement = database.prepare("SELECT title FROM Note").unwrap();
                let rows = statement.query_map([], |row| row.get(0)).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Store::Postgresql(server, name) => {
                let rows = server.sql(name, "SELECT title FROM \"Note\"");
                rows.lines().map(str::to_owned).collect()
            }
        }
    }

    fn audit(&self) -> PathBuf {
        self.installed.path("audit")
    }

    /// Clients that write and probes that ask, until `stop`.
    fn traffic(&self, stop: &Arc<AtomicBool>) -> Traffic {
        let token = &self.installed.ready.users["admin"].token;
        let ca = &self.installed.ready.ca;
        let writers = (0..CLIENTS).map(|number| {
            let (address, ca, token) = (self.address(), ca.clone(), token.clone());
            tokio::spawn(writes(address, ca, token, number, Arc::clone(stop)))
        });
        Traffic {
            writers: writers.collect(),
            prober: tokio::spawn(probes(self.address(), ca.clone(), Arc::clone(stop))),
        }
    }
}

struct Traffic {
    writers: Vec<tokio::task::JoinHandle<Told>>,
    prober: tokio::task::JoinHandle<Told>,
}

impl Traffic {
    async fn told(self) -> Told {
        let mut all = self.prober.await.expect("the prober does not panic");
        for writer in self.writers {
            all.add(writer.await.expect("no client panics"));
        }
        all
    }
}

/// What clients saw.
#[derive(Debug, Default)]
struct Told {
    connects: usize,
    refused: Vec<String>,
    /// Connections that the broker ended with 1001, and those that ended in any other way.
    farewells: usize,
    broken: usize,
    sent: usize,
    done: HashSet<String>,
    /// 503, and nothing was done.
    put_off: HashSet<String>,
    /// 503, and nobody knows.
    unknown: HashSet<String>,
    /// Not answered before the broker said goodbye.
    unanswered: HashSet<String>,
    probes: usize,
}

impl Told {
    fn add(&mut self, other: Self) {
        let Self {
            connects,
            refused,
            farewells,
            broken,
            sent,
            done,
            put_off,
            unknown,
            unanswered,
            probes,
        } = other;
        self.connects += connects;
        self.refused.extend(refused);
        self.farewells += farewells;
        self.broken += broken;
        self.sent += sent;
        self.done.extend(done);
        self.put_off.extend(put_off);
        self.unknown.extend(unknown);
        self.unanswered.extend(unanswered);
        self.probes += probes;
    }

    /// What docs/deploy.md has as a table.
    fn row(&self, restarts: &str) -> String {
        format!(
            "{restarts}: {} connects, {} refused; {} calls: {} done, {} put off, {} unknown, {} unanswered; {} farewells, {} \
             broken; {} probes",
            self.connects,
            self.refused.len(),
            self.sent,
            self.done.len(),
            self.put_off.len(),
            self.unknown.len(),
            self.unanswered.len(),
            self.farewells,
            self.broken,
            self.probes
        )
    }

    /// The rows tell whether the clients were told the truth.
    fn assert_true(&self, written: &HashSet<String>) {
        let lost: Vec<_> = self.done.difference(written).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        for (what, said) in [
            ("put off", &self.put_off),
            ("unanswered before 1001", &self.unanswered),
        ] {
            let ghosts: Vec<_> = said.intersection(written).collect();
            assert!(ghosts.is_empty(), "{what}, and done: {ghosts:?}");
        }
    }
}

/// Writes in bursts, on a connection that is made again when the broker ends it.
async fn writes(address: String, ca: PathBuf, token: String, number: usize, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        told.connects += 1;
        let login = Login::Header(&token);
        let mut client = match Client::try_connect_at(&address, &ca, login, None).await {
            Ok(client) => client,
            Err(error) => {
                told.refused.push(error.to_string());
                continue;
            }
        };
        'connection: while !stop.load(Ordering::Relaxed) {
            let mut waiting = HashSet::new();
            for _ in 0..BURST {
                count += 1;
                let title = format!("write {number}/{count}");
                let call = json!({"id": title, "method": "create", "params": ["Note", {"title": title}]});
                told.sent += 1;
                waiting.insert(title);
                // A connection that takes nothing more still has to say why.
                let _ = client.try_send(&call.to_string()).await;
            }
            while !waiting.is_empty() {
                match client.message().await {
                    Some(Message::Text(text)) => {
                        let answer: Value = serde_json::from_str(&text).unwrap();
                        let title = answer["id"].as_str().unwrap().to_owned();
                        assert!(waiting.remove(&title), "answered twice: {answer}");
                        match native(&answer) {
                            Ok(_) => told.done.insert(title),
                            Err(refusal) if refusal.details["outcome"] == "unknown" => {
                                told.unknown.insert(title)
                            }
                            Err(refusal) => {
                                assert_eq!(refusal.code, 503, "{refusal:?}");
                                assert_eq!(refusal.details["retryable"], true, "{refusal:?}");
                                told.put_off.insert(title)
                            }
                        };
                    }
                    end => {
                        match end {
                            Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1001 => {
                                told.farewells += 1;
                            }
                            _ => told.broken += 1,
                        }
                        told.unanswered.extend(waiting);
                        break 'connection;
                    }
                }
            }
        }
    }
    told
}

/// Asks by connections of its own whether the broker lives.
async fn probes(address: String, ca: PathBuf, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        told.connects += 1;
        match https_get_at(&address, &ca, "/livez").await {
            Ok((status, body)) => {
                assert_eq!(status, 200, "{body}");
                told.probes += 1;
            }
            Err(error) => told.refused.push(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    told
}

/// Records of sessions that were opened, in the whole journal.
fn sessions_opened(audit: &std::path::Path) -> usize {
    let is_opened = |record: &&Value| record["event"] == "authentication" && record["outcome"] == "allowed";
    journal::records(audit).iter().filter(is_opened).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_the_broker_alone_refuses_no_connection_and_loses_no_answer() {
    the_broker_alone_is_restarted(&Stored::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_the_broker_alone_refuses_no_connection_and_loses_no_answer_on_postgresql() {
    the_broker_alone_is_restarted(&Stored::on(Store::postgresql())).await;
}

async fn the_broker_alone_is_restarted(service: &Stored) {
    let mut worker = service.worker();
    let mut broker = service.broker();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = service.traffic(&stop);
    let mut gaps = Vec::new();
    for _ in 0..RESTARTS {
        tokio::time::sleep(PAUSE).await;
        let since = Instant::now();
        broker.signal(Signal::SIGTERM);
        let (status, _) = broker.ends_within(ENDS_WITHIN);
        assert!(status.success(), "{status}: {}", service.managers.2.said());
        broker = service.broker();
        gaps.push(since.elapsed());
    }
    tokio::time::sleep(PAUSE).await;
    stop.store(true, Ordering::Relaxed);
    let told = traffic.told().await;
    println!(
        "{}; each from SIGTERM to READY: {gaps:?}",
        told.row("3 restarts of the broker")
    );

    assert!(worker.is_alive(), "the same worker all the time");
    assert_eq!(told.refused, Vec::<String>::new());
    assert_eq!(told.broken, 0, "each connection was told 1001");
    assert!(
        told.farewells >= CLIENTS * RESTARTS,
        "each client was told each time: {}",
        told.farewells
    );
    assert_eq!(
        told.put_off.len() + told.unknown.len(),
        0,
        "the worker was there all the time"
    );
    assert!(broker.terminate().success());
    assert!(worker.terminate().success());
    told.assert_true(&service.titles());
    crate::audit_trail::assert_verifies(&service.audit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_the_worker_alone_keeps_every_connection_and_every_session_is_proven_again() {
    the_worker_alone_is_restarted(&Stored::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_the_worker_alone_keeps_every_connection_and_every_session_is_proven_again_on_postgresql()
{
    the_worker_alone_is_restarted(&Stored::on(Store::postgresql())).await;
}

async fn the_worker_alone_is_restarted(service: &Stored) {
    let mut worker = service.worker();
    let mut broker = service.broker();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = service.traffic(&stop);
    let mut gaps = Vec::new();
    let mut opened = 0;
    for _ in 0..RESTARTS {
        tokio::time::sleep(PAUSE).await;
        let since = Instant::now();
        worker.signal(Signal::SIGTERM);
        let (status, _) = worker.ends_within(ENDS_WITHIN);
        assert!(status.success(), "{status}: {}", service.managers.1.said());
        let before = sessions_opened(&service.audit());
        assert!(before >= opened + CLIENTS, "{before} after {opened}");
        opened = before;
        worker = service.worker();
        gaps.push(since.elapsed());
    }
    tokio::time::sleep(PAUSE).await;
    stop.store(true, Ordering::Relaxed);
    let told = traffic.told().await;
    println!(
        "{}; each from SIGTERM to READY: {gaps:?}",
        told.row("3 restarts of the worker")
    );

    assert!(broker.is_alive(), "the same broker all the time");
    assert_eq!(told.refused, Vec::<String>::new());
    assert_eq!(told.farewells + told.broken, 0, "no connection ended");
    assert_eq!(told.unknown.len(), 0, "what was in flight was finished");
    assert_eq!(told.connects, CLIENTS + told.probes, "and none was made twice");
    assert!(broker.terminate().success());
    assert!(worker.terminate().success());
    // Each client was let in again by the last worker as well.
    assert!(sessions_opened(&service.audit()) >= opened + CLIENTS);
    told.assert_true(&service.titles());
    crate::audit_trail::assert_verifies(&service.audit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_in_its_time_whoever_does_not_read_or_waits_for_the_database() {
    let service = Stored::new();
    service.installed.configure_broker("limits: {drain_ms: 500}");
    reconfigure_worker(&service.installed.path(""), |shown| {
        assert!(shown.contains("drain_ms: 10000"), "{shown}");
        shown.replace("drain_ms: 10000", "drain_ms: 500")
    });
    let worker = service.worker();
    let broker = service.broker();

    // One asks for much and reads nothing.
    let mut deaf = service.client("admin").await;
    let long = "x".repeat(10_000);
    deaf.call("create", json!(["Note", {"title": "long", "body": long}]))
        .await
        .unwrap();
    let call = json!({"id": "much", "method": "list", "params": ["Note", {}]}).to_string();
    let _ = tokio::time::timeout(Duration::from_millis(700), async {
        while deaf.try_send(&call).await.is_ok() {}
    })
    .await;
    // One never ends its handshake.
    let _silent = tokio::net::TcpStream::connect(service.address()).await.unwrap();
    // One waits for a database that another has locked.
    let lock = rusqlite::Connection::open(service.file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = service.client("alice").await;
    waiting
        .send(r#"{"id":"w","method":"create","params":["Note",{"title":"locked"}]}"#)
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    broker.signal(Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(100)).await;
    broker.signal(Signal::SIGTERM);
    let said = match waiting.message().await {
        Some(Message::Close(Some(frame))) => (u16::from(frame.code), frame.reason.as_str().to_owned()),
        other => panic!("a farewell, not {other:?}"),
    };
    assert_eq!(said.0, 1001);
    assert!(said.1.contains("may have been done"), "{said:?}");
    let (status, took) = broker.ends_within(ENDS_WITHIN);
    assert!(status.success(), "{status}: {}", service.managers.2.said());
    println!("the broker drained in {took:?}");

    // The same for the worker, which has a call that can't end.
    let broker = service.broker();
    let mut waiting = service.client("alice").await;
    waiting
        .send(r#"{"id":"w","method":"create","params":["Note",{"title":"locked"}]}"#)
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    worker.signal(Signal::SIGTERM);
    let refused = native(&waiting.answer().await).unwrap_err();
    assert!([503, 504].contains(&refused.code), "{refused:?}");
    let (status, took) = worker.ends_within(ENDS_WITHIN);
    assert!(status.success(), "{status}: {}", service.managers.1.said());
    println!("the worker drained in {took:?}; its caller was told {refused:?}");
    lock.execute_batch("ROLLBACK").unwrap();

    // And on the same connection with the next one.
    let worker = service.worker();
    let until = Instant::now() + ENDS_WITHIN;
    while let Err(refusal) = waiting.call("count", json!(["Note"])).await {
        assert!(Instant::now() < until && refusal.code == 503, "{refusal:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(broker.terminate().success());
    assert!(worker.terminate().success());
    assert!(!service.titles().contains("locked"), "nothing of it was done");
}

#[test]
fn sigterm_during_a_start_ends_it_whenever_it_comes() {
    let service = Stored::new();
    for wait in [0, 20, 60].map(Duration::from_millis) {
        // The broker looks for a worker that is not there and would wait for half a minute.
        for unit in [
            service.begin_broker(),
            service.installed.worker(&service.managers.1, None),
        ] {
            std::thread::sleep(wait);
            unit.signal(Signal::SIGTERM);
            unit.ends_within(ENDS_WITHIN);
        }
    }
    // What was cut off left nothing that would be in the way of a start.
    let worker = service.worker();
    let broker = service.broker();
    let endpoint = format!("wss://{}/", service.address());
    assert_eq!(service.installed.call(&endpoint, &["count", "Note"]), "0");
    assert!(broker.terminate().success());
    assert!(worker.terminate().success());
}

#[test]
fn a_broker_with_other_entities_is_refused_and_both_say_what_to_do() {
    let service = Stored::new();
    let entities = service.installed.path("other");
    std::fs::create_dir(&entities).unwrap();
    for file in std::fs::read_dir(service.installed.path("entities"))
        .unwrap()
        .flatten()
    {
        std::fs::copy(file.path(), entities.join(file.file_name())).unwrap();
    }
    std::fs::write(
        entities.join("Extra.yaml"),
        "entity: Extra\nfields:\n  id: {type: uuid, primary: true, generated: true}\n",
    )
    .unwrap();
    let config = service.installed.path("broker.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("entities: entities"), "{text}");
    std::fs::write(&config, text.replace("entities: entities", "entities: other")).unwrap();
    let worker = service.worker();
    let broker = service.begin_broker();
    service
        .managers
        .2
        .reads("give both the same entity files and restart both");
    service
        .managers
        .1
        .reads("give both the same entity files and restart both");
    assert!(broker.terminate().success());
    assert!(worker.terminate().success());
}

#[tokio::test]
async fn a_worker_of_another_protocol_is_not_talked_to_and_the_broker_says_what_to_do() {
    let service = Stored::new();
    let channel = service.channel.try_clone().unwrap();
    std::thread::spawn(move || {
        // Until the test's process ends.
        for stream in channel.incoming().flatten() {
            let mut reader = FrameReader::new(FRAME_TO_WORKER_BYTES);
            refuse(stream, &mut reader);
        }
    });
    let broker = service.begin_broker();
    let wanted = format!(
        "the worker speaks protocol {}, this broker {PROTOCOL}: install the same version of both and restart both",
        PROTOCOL + 1
    );
    service.managers.2.reads(&wanted);
    let mut client = service.client("alice").await;
    let refused = client.call("count", json!(["Note"])).await.unwrap_err();
    assert_eq!(
        (refused.code, &refused.details["retryable"]),
        (503, &json!(true)),
        "{refused:?}"
    );
    assert!(broker.terminate().success());
}

/// As a worker of a later version would.
fn refuse(mut stream: std::os::unix::net::UnixStream, reader: &mut FrameReader) {
    use std::io::{Read, Write};
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        reader.space().extend_from_slice(&bytes[..length]);
        if let Ok(Some(ToWorker::Hello(_))) = reader.next_message() {
            let rejected = ToBroker::Rejected(Rejected::Protocol {
                expected: PROTOCOL + 1,
            });
            let mut frame = Vec::new();
            write_frame(&rejected, FRAME_TO_BROKER_BYTES, &mut frame).unwrap();
            let _ = stream.write_all(&frame);
            return;
        }
    }
}
