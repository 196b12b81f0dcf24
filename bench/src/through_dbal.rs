//! Clients over wss. Texts are as good as made before the clock starts; an answer is looked at no closer than for its success.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::measure::{Call, MANY, Measured};
use crate::usage::Used;
use crate::world::{World, ranks, row};

/// Runs one cell.
pub fn run(world: &World, call: Call, clients: usize, span: Duration) -> Measured {
    world.runtime.block_on(async {
        let start = Arc::new(Barrier::new(clients + 1));
        let mut tasks = Vec::new();
        for number in 0..clients {
            let mut client = Client::connect(&world.daemon, world.daemon.user("alice")).await;
            let texts = texts(world, &mut client, call, number, clients, span).await;
            let start = Arc::clone(&start);
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                let began = Instant::now();
                let mut latencies = Vec::new();
                // Deletes come once each; everything else goes round.
                let rounds = if call == Call::Delete {
                    texts.len()
                } else {
                    usize::MAX
                };
                for (turn, text) in texts.iter().cycle().take(rounds).enumerate() {
                    let text = text.replace("TURN", &turn.to_string());
                    let sent = Instant::now();
                    if sent - began >= span {
                        break;
                    }
                    let answer = client.round_trip(&text).await;
                    latencies.push(sent.elapsed());
                    assert!(answer.contains("\"result\""), "{answer}");
                }
                let took = began.elapsed();
                (latencies, took, client)
            }));
        }
        start.wait().await;
        let before = Used::by_now(world);
        let mut latencies = Vec::new();
        let mut longest = Duration::ZERO;
        let mut ended = Vec::new();
        for task in tasks {
            let (of_one, took, client) = task.await.expect("a client");
            latencies.extend(of_one);
            longest = longest.max(took);
            ended.push(client);
        }
        let used = Used::by_now(world).since(before);
        for client in ended {
            client.close().await;
        }
        Measured::of(latencies, longest, used)
    })
}

/// What a client sends, over and over; for deletes, once each.
async fn texts(
    world: &World,
    client: &mut Client,
    call: Call,
    number: usize,
    clients: usize,
    span: Duration,
) -> Vec<String> {
    let text =
        |method: &str, params: Value| json!({"id": "b", "method": method, "params": params}).to_string();
    match call {
        Call::Read => ids(world, number)
            .map(|id| text("read", json!(["Item", id])))
            .collect(),
        Call::Update => ids(world, number)
            .map(|id| text("update", json!(["Item", id, {"body": "changed TURN"}])))
            .collect(),
        Call::Create => vec![text("create", json!(["Item", row(number)]))],
        Call::CreateMany => vec![text(
            "createMany",
            json!(["Item", (0..MANY).map(row).collect::<Vec<_>>()]),
        )],
        Call::List => (0..ranks())
            .map(|rank| {
                text(
                    "list",
                    json!(["Item", {"filter": {"rank": rank}, "sort": {"title": "asc"}, "limit": 20}]),
                )
            })
            .collect(),
        Call::Delete => doomed(client, number, doomed_rows(clients, span))
            .await
            .into_iter()
            .map(|id| text("delete", json!(["Item", id])))
            .collect(),
    }
}

/// More rows than a client can delete in its time.
pub fn doomed_rows(clients: usize, span: Duration) -> usize {
    ((span.as_secs_f64() * 30_000.0) as usize / clients).max(500)
}

/// Rows that are there only to be deleted; their keys.
async fn doomed(client: &mut Client, number: usize, rows: usize) -> Vec<String> {
    let title = format!("doomed {number}");
    let mut ids = Vec::new();
    let mut page = 1;
    for _ in 0..rows.div_ceil(1_000) {
        let rows: Vec<Value> = (0..1_000)
            .map(|_| json!({"title": title, "rank": 1_000_000 + number}))
            .collect();
        client
            .call("createMany", json!(["Item", rows]))
            .await
            .expect("rows");
    }
    loop {
        let options = json!({"filter": {"rank": 1_000_000 + number}, "limit": 1_000, "page": page, "select": ["id"], "total": false});
        let list = client
            .call("list", json!(["Item", options]))
            .await
            .expect("a list");
        let rows = list["data"].as_array().expect("rows");
        ids.extend(
            rows.iter()
                .filter_map(|row| row["id"].as_str().map(str::to_owned)),
        );
        if list["hasMore"] != json!(true) {
            return ids;
        }
        page += 1;
    }
}

/// Each client begins elsewhere among the rows.
pub fn ids(world: &World, number: usize) -> impl Iterator<Item = &String> {
    let from = number * 61 % world.ids.len();
    world.ids[from..].iter().chain(&world.ids[..from])
}
