//! Clients that count what became of their calls, so that it can be compared with what is on record.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{Client, Login};
use crate::daemon::Daemon;

/// What became of calls.
#[derive(Debug, Default)]
pub struct Calls {
    /// All.
    pub sent: usize,
    /// Those that change a row: a read may be asked of the next worker again, a change never.
    pub changes: usize,
    /// How often each row was acknowledged to be made, read and removed, by operation and key.
    pub acknowledged: HashMap<(&'static str, String), usize>,
    /// Those that were answered with an error that says that nothing was done.
    pub refused: usize,
    /// Those that were answered with an error that says that it is not known whether it was done.
    pub unknown: usize,
    /// Those whose connection ended first.
    pub unanswered: usize,
}

impl Calls {
    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.values().sum()
    }

    fn add(&mut self, other: Self) {
        let Self {
            sent,
            changes,
            acknowledged,
            refused,
            unknown,
            unanswered,
        } = other;
        self.sent += sent;
        self.changes += changes;
        // Rows are of one client each.
        self.acknowledged.extend(acknowledged);
        self.refused += refused;
        self.unknown += unknown;
        self.unanswered += unanswered;
    }
}

/// Clients at work.
pub struct Work {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Calls>>,
}

struct Shared {
    daemon: Daemon,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    is_over: AtomicBool,
}

impl Work {
    /// So many clients make, read and remove rows of their own from now on.
    pub fn begin(daemon: Daemon, clients: usize) -> Self {
        let shared = Arc::new(Shared {
            daemon,
            acknowledged: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let clients = (0..clients)
            .map(|_| tokio::spawn(works(Arc::clone(&shared))))
            .collect();
        Self { shared, clients }
    }

    /// Whom they call.
    pub fn daemon(&self) -> &Daemon {
        &self.shared.daemon
    }

    /// How many calls have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many calls have been refused so far.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, within: Duration, is_so: impl Fn(&Self) -> bool) {
        let until = std::time::Instant::now() + within;
        while !is_so(self) {
            assert!(
                std::time::Instant::now() < until,
                "not {what} within {within:?}; {} acknowledged, {} refused",
                self.acknowledged(),
                self.refused()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets each end its last call, and adds up.
    pub async fn end(self) -> (Calls, Daemon) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut all = Calls::default();
        for client in self.clients {
            all.add(client.await.expect("no client panics"));
        }
        let shared = Arc::into_inner(self.shared).expect("all clients have ended");
        (all, shared.daemon)
    }
}

impl Shared {
    fn is_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// A connection, as soon as there is a broker.
    async fn connected(&self) -> Option<Client> {
        while self.is_on() {
            let token = &self.daemon.user("admin").token;
            if let Ok(client) = Client::try_connect(&self.daemon, Login::Header(token)).await {
                return Some(client);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

async fn works(shared: Arc<Shared>) -> Calls {
    let mut calls = Calls::default();
    'connections: while let Some(mut client) = shared.connected().await {
        while shared.is_on() {
            let mut id = Value::Null;
            for method in ["create", "read", "read", "read", "delete"] {
                let params = if method == "create" {
                    json!(["Note", {"title": "counted"}])
                } else {
                    json!(["Note", id])
                };
                calls.sent += 1;
                calls.changes += usize::from(method != "read");
                match client.call_or_broken(method, params).await {
                    None => {
                        calls.unanswered += 1;
                        continue 'connections;
                    }
                    Some(Err(refusal)) => {
                        if refusal.details["outcome"] == "unknown" {
                            calls.unknown += 1;
                        } else {
                            calls.refused += 1;
                            shared.refused.fetch_add(1, Ordering::Relaxed);
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        if id.is_null() {
                            break;
                        }
                    }
                    Some(Ok(answer)) => {
                        if method == "create" {
                            id = answer["id"].clone();
                        }
                        let key = id.as_str().expect("a key").to_owned();
                        *calls.acknowledged.entry((method, key)).or_default() += 1;
                        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        break;
    }
    calls
}

/// What records say was done, by operation and key.
pub fn done(records: &[Value]) -> HashMap<(String, String), usize> {
    let mut done: HashMap<(String, String), usize> = HashMap::new();
    for record in records {
        if record["event"] == "call" && record["outcome"] == "allowed" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let place = (text(&record["operation"]), text(&record["keys"][0]));
            *done.entry(place).or_default() += 1;
        }
    }
    done
}

/// All that was acknowledged is on record as done.
pub fn assert_on_record(calls: &Calls, done: &HashMap<(String, String), usize>) {
    for ((operation, id), times) in &calls.acknowledged {
        let found = done.get(&((*operation).to_owned(), id.clone()));
        assert!(
            found.is_some_and(|found| found >= times),
            "{times} times {operation} of {id} acknowledged, {found:?} on record"
        );
    }
}
