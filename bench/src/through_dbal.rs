//! Clients over wss. Texts are as good as made before the clock starts; an answer is looked at no closer than for its success.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Call, MANY, Measured};
use crate::usage::Used;
use crate::world::{World, ranks, row};

/// Runs one cell. The clients are spread over threads, as those of the direct side are, so that the kernel can place them where
/// there is room.
pub fn run(world: &World, call: Call, clients: usize, threads: usize, span: Duration) -> Measured {
    let threads = threads.clamp(1, clients);
    let start = Barrier::new(threads.saturating_add(1));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let numbers = (thread..clients).step_by(threads);
                let start = &start;
                scope.spawn(move || drive(world, call, numbers, clients, start, span))
            })
            .collect();
        start.wait();
        let before = Used::by_now(world);
        let mut latencies = Vec::new();
        let mut longest = Duration::ZERO;
        let mut ended = Vec::new();
        for thread in running {
            let (of_one, took, connections) = thread.join().expect("a thread of clients");
            latencies.extend(of_one);
            longest = longest.max(took);
            ended.push(connections);
        }
        let used = Used::by_now(world).since(before);
        for (runtime, clients) in ended {
            runtime.block_on(async {
                for client in clients {
                    client.close().await;
                }
            });
        }
        Measured::of(latencies, longest, used)
    })
}

/// Latencies of the clients of one thread, how long they took, and their connections: to end them is no part of what is measured.
type Driven = (Vec<Duration>, Duration, (Runtime, Vec<Client>));

fn drive(
    world: &World,
    call: Call,
    numbers: impl Iterator<Item = usize>,
    clients: usize,
    start: &Barrier,
    span: Duration,
) -> Driven {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let connected = runtime.block_on(async {
        let mut connected = Vec::new();
        for number in numbers {
            let mut client = Client::connect(&world.daemon, world.daemon.user("alice")).await;
            let texts = texts(world, &mut client, call, number, clients, span).await;
            connected.push((client, texts));
        }
        connected
    });
    start.wait();
    let began = Instant::now();
    let (latencies, clients) = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for (client, texts) in connected {
            tasks.spawn(ask(client, texts, call, began, span));
        }
        let mut latencies = Vec::new();
        let mut clients = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (of_one, client) = ended.expect("a client");
            latencies.extend(of_one);
            clients.push(client);
        }
        (latencies, clients)
    });
    (latencies, began.elapsed(), (runtime, clients))
}

/// One client, which waits for each answer.
async fn ask(
    mut client: Client,
    texts: Vec<String>,
    call: Call,
    began: Instant,
    span: Duration,
) -> (Vec<Duration>, Client) {
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
    (latencies, client)
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
        // Each begins elsewhere: a cache that has to be filled is not asked for the same thing by all at once.
        Call::List => (0..ranks())
            .map(|nth| (nth + number * 61) % ranks())
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
