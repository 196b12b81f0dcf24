//! Ten thousand connections on which nothing happens: what each costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login};
use dbal_tests::crowd::Crowd;
use dbal_tests::processes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Scale;
use super::honest::{Latencies, read};
use super::memory::Resident;
use super::stage::Stage;

/// Addresses, and callers, that they are divided among: each has a limit of its own.
const GROUPS: usize = 16;
/// Connecting at once.
const AT_ONCE: usize = 64;
/// Descriptors beside those of connections.
const SPARE_DESCRIPTORS: usize = 200;
/// Of those, the ones that then ask something.
const ASKED: usize = 200;

/// What came of it.
pub struct Idle {
    /// Connections that stood at the end.
    pub connections: usize,
    /// Connections that were wanted.
    pub wanted: usize,
    /// How long it took to make them.
    pub took: Duration,
    /// Before the first one.
    pub before: Resident,
    /// With all of them.
    pub with: Resident,
    /// One call on some of them.
    pub calls: Latencies,
}

/// Opens them, looks, and asks something on a few.
pub fn run(scale: Scale) -> Idle {
    allow_descriptors(scale.idle + SPARE_DESCRIPTORS);
    let stage = Stage::new("{connections: 12000}", 100);
    let (broker, worker) = (stage.daemon.broker(), stage.daemon.worker());
    let before = Resident::of(&broker, &worker);
    let tokens: Vec<Arc<str>> = (0..GROUPS)
        .map(|nth| stage.token(&format!("idle-{nth}"), "auditor").into())
        .collect();
    let began = Instant::now();
    let text: Arc<str> = read(&stage.ids[0]).into();
    let mut clients = stage
        .attackers
        .block_on(connect(&stage, &tokens, &text, scale.idle));
    let took = began.elapsed();
    // What is only there for the handshakes goes meanwhile.
    stage
        .attackers
        .block_on(async { sleep(Duration::from_secs(2)).await });
    let with = Resident::of(&broker, &worker);
    let step = (clients.len() / ASKED).max(1);
    let (times, failed) = stage.attackers.block_on(async {
        let (mut times, mut failed) = (Vec::new(), 0);
        for client in clients.iter_mut().step_by(step) {
            let asked = Instant::now();
            match client.try_round_trip(&text).await {
                Some(answer) if answer.contains("\"result\"") => times.push(asked.elapsed()),
                Some(_) | None => failed += 1,
            }
        }
        (times, failed)
    });
    let standing = stage.metrics()["dbal_client_connections"] as usize;
    let idle = Idle {
        connections: standing,
        wanted: scale.idle,
        took,
        before,
        with,
        calls: Latencies::of(times, failed, Duration::from_secs(1)),
    };
    drop(clients);
    idle
}

/// Each asks once, as who connects wants something: until then it has proven nothing, and there are fewer places for such.
async fn connect(stage: &Stage, tokens: &[Arc<str>], text: &Arc<str>, count: usize) -> Vec<Client> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for nth in 0..count {
        let group = nth % GROUPS;
        let (crowd, token, text, places) = (
            stage.crowd.clone(),
            Arc::clone(&tokens[group]),
            Arc::clone(text),
            Arc::clone(&places),
        );
        tasks.spawn(async move {
            let _place = places.acquire().await.ok()?;
            let from = Crowd::source(1 + group as u32);
            let mut client = crowd.client(from, Login::Header(&token)).await.ok()?;
            client.try_round_trip(&text).await?;
            Some(client)
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(client) = tasks.join_next().await {
        clients.extend(client.expect("a client"));
    }
    clients
}

/// Lets this process, and what it starts, open so many files, if the hard limit does (prlimit(1) of util-linux).
fn allow_descriptors(wanted: usize) {
    let this = processes::this();
    let (soft, hard) = this.limit("Max open files");
    let number = |limit: &str| limit.parse().unwrap_or(usize::MAX);
    if number(&hard) < wanted {
        eprintln!(
            "idle: {wanted} open files are wanted, and the hard limit is {hard}: there will be fewer connections"
        );
    }
    if number(&soft) < wanted.min(number(&hard)) {
        this.allow_descriptors(number(&hard));
    }
}
