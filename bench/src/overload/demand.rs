//! Three times what the daemon can do: first its peak is found, then as many clients as it takes offer calls at three times that
//! rate, whether they are answered or not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login, Message};
use dbal_tests::crowd::Crowd;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::Scale;
use super::honest::Latencies;
use super::memory::{Resident, Watch};
use super::stage::Stage;

/// Clients that the peak is looked for with, one call at a time each.
const CLIENTS: [usize; 2] = [16, 64];
/// How many times the peak is offered.
const TIMES: f64 = 3.0;
/// Clients that offer it.
const CROWD: usize = 192;
/// Callers that they are: each has a turn of its own at the database.
const CALLERS: usize = 24;
/// Calls that a client has under way at most: it goes without what would be more, as a client with patience does.
const WINDOW: usize = 16;
/// How often a client looks whether something is due.
const TICK: Duration = Duration::from_millis(4);

/// One line of the table.
pub struct Demand {
    /// What was called.
    pub call: &'static str,
    /// How much of it.
    pub what: &'static str,
    /// By how many.
    pub clients: usize,
    /// Calls per second that were offered.
    pub offered: f64,
    /// Calls that were answered with a result.
    pub answered: Latencies,
    /// Their rate as a part of the peak's.
    pub of_peak: f64,
    /// Calls per second that were refused.
    pub refused: f64,
    /// Most memory meanwhile.
    pub peak: Resident,
}

/// Calls that are short, and such as the database is slow at.
pub fn run(scale: Scale) -> Vec<Demand> {
    let mut rows = Vec::new();
    for (call, body_bytes) in [("read", 100), ("search", 4_000)] {
        let stage = Stage::new("{connections_per_address: 2000}", body_bytes);
        let text = if call == "read" {
            super::honest::read(&stage.ids[0])
        } else {
            // Every row is looked through, and none is found.
            json!({"id": "r", "method": "count", "params": ["Item", {"filter": {"body": {"contains": "not there"}}}]})
                .to_string()
        };
        let mut peak: f64 = 0.0;
        for clients in CLIENTS {
            let row = one_at_a_time(&stage, call, &text, clients, scale.demand);
            peak = peak.max(row.answered.per_second);
            rows.push(row);
        }
        for row in &mut rows {
            if row.call == call {
                row.of_peak = row.answered.per_second / peak;
            }
        }
        let mut row = beyond(&stage, call, &text, peak * TIMES, scale.demand);
        row.of_peak = row.answered.per_second / peak;
        rows.push(row);
    }
    rows
}

fn one_at_a_time(stage: &Stage, call: &'static str, text: &str, clients: usize, span: Duration) -> Demand {
    let watch = Watch::begin(stage);
    let token: Arc<str> = stage.daemon.user("alice").token.as_str().into();
    let text: Arc<str> = text.into();
    let (times, failed) = stage.attackers.block_on(async {
        let mut tasks = JoinSet::new();
        let mut ready = Vec::new();
        for _ in 0..clients {
            ready.push(connect(&stage.crowd, &token).await);
        }
        let began = Instant::now();
        for mut client in ready {
            let text = Arc::clone(&text);
            tasks.spawn(async move {
                let (mut times, mut failed) = (Vec::new(), 0_usize);
                while began.elapsed() < span {
                    let sent = Instant::now();
                    match client.try_round_trip(&text).await {
                        Some(answer) if answer.contains("\"result\"") => times.push(sent.elapsed()),
                        Some(_) => failed += 1,
                        None => break,
                    }
                }
                (times, failed)
            });
        }
        gathered(tasks).await
    });
    let answered = Latencies::of(times, failed, span);
    Demand {
        call,
        what: "one call at a time",
        clients,
        offered: answered.per_second,
        refused: failed as f64 / span.as_secs_f64(),
        answered,
        of_peak: 0.0,
        peak: watch.peak(),
    }
}

fn beyond(stage: &Stage, call: &'static str, text: &str, rate: f64, span: Duration) -> Demand {
    let watch = Watch::begin(stage);
    // Alice's rows are what they all look for: a token of hers finds them, others' find none, at the same cost.
    let tokens: Vec<Arc<str>> = (0..CALLERS)
        .map(|nth| stage.token(&format!("caller-{nth}"), "user").into())
        .collect();
    let offered = Arc::new(AtomicU64::new(0));
    let text: Arc<str> = text.into();
    let (times, failed) = stage.attackers.block_on(async {
        let mut ready = Vec::new();
        for nth in 0..CROWD {
            ready.push(connect(&stage.crowd, &tokens[nth % CALLERS]).await);
        }
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for client in ready {
            let (text, offered) = (Arc::clone(&text), Arc::clone(&offered));
            tasks
                .spawn(async move { offer(client, &text, rate / CROWD as f64, began, span, &offered).await });
        }
        gathered(tasks).await
    });
    Demand {
        call,
        what: "three times the peak",
        clients: CROWD,
        offered: offered.load(Ordering::Relaxed) as f64 / span.as_secs_f64(),
        refused: failed as f64 / span.as_secs_f64(),
        answered: Latencies::of(times, failed, span),
        of_peak: 0.0,
        peak: watch.peak(),
    }
}

/// Sends at this rate as far as the window allows. Only what is answered within the span counts.
async fn offer(
    client: Client,
    text: &str,
    rate: f64,
    began: Instant,
    span: Duration,
    offered: &AtomicU64,
) -> (Vec<Duration>, usize) {
    let (mut sending, mut receiving) = client.split();
    let under_way: Mutex<HashMap<u64, Instant>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    let (head, tail) = text.split_once("\"r\"").expect("an id");
    let send = async {
        let mut count = 0_u64;
        while began.elapsed() < span {
            let due = (began.elapsed().as_secs_f64() * rate) as u64;
            let mut has_fed = false;
            while count < due {
                count += 1;
                offered.fetch_add(1, Ordering::Relaxed);
                if under_way.lock().expect("no panic").len() >= WINDOW {
                    continue;
                }
                under_way.lock().expect("no panic").insert(count, Instant::now());
                if sending
                    .feed(Message::text(format!("{head}\"{count}\"{tail}")))
                    .await
                    .is_err()
                {
                    return;
                }
                has_fed = true;
            }
            if has_fed && sending.flush().await.is_err() {
                return;
            }
            sleep_until((Instant::now() + TICK).into()).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let receive = async {
        let (mut times, mut failed) = (Vec::new(), 0_usize);
        while let Ok(Some(Ok(message))) = timeout(span, receiving.next()).await {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            if let Message::Text(answer) = message {
                let id = answer
                    .as_str()
                    .strip_prefix("{\"id\":\"")
                    .and_then(|rest| rest.split_once('"'));
                let id = id.and_then(|(id, _)| id.parse().ok()).expect("an id of ours");
                let sent = under_way.lock().expect("no panic").remove(&id);
                let is_refused =
                    answer.as_str().contains("\"code\":503") || answer.as_str().contains("\"code\":429");
                match sent {
                    Some(sent) if !is_refused => times.push(sent.elapsed()),
                    Some(_) | None => failed += 1,
                }
            }
        }
        (times, failed)
    };
    let ((), told) = tokio::join!(send, receive);
    told
}

async fn gathered(mut tasks: JoinSet<(Vec<Duration>, usize)>) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(one) = tasks.join_next().await {
        let (of_one, failed_of_one) = one.expect("a client");
        times.extend(of_one);
        failed += failed_of_one;
    }
    (times, failed)
}

async fn connect(crowd: &Crowd, token: &str) -> Client {
    let client = crowd.client(Crowd::source(0), Login::Header(token)).await;
    client.expect("a connection")
}
