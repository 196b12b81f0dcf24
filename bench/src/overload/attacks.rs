//! The attacks: what each does, and under which limits of the broker. Times are shorter than the defaults, so that a limit is
//! met while somebody looks; numbers are the defaults unless an attack says otherwise.

mod handshakes;
mod messages;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Scale;
use super::honest::Latencies;
use super::stage::Stage;

/// Limits that most attacks are made under.
const SHORT: &str = "{handshake_ms: 3000, unproven_s: 3, message_ms: 3000, write_ms: 3000}";
/// The same with few places for who has proven nothing.
const FEW_UNPROVEN: &str =
    "{handshake_ms: 3000, unproven_s: 3, message_ms: 3000, write_ms: 3000, unproven_connections: 1000}";
/// The same with less room for messages.
const LITTLE_ROOM: &str =
    "{handshake_ms: 3000, unproven_s: 3, message_ms: 3000, write_ms: 3000, messages_mib: 64}";

/// One attack.
pub struct Attack {
    /// As `--only` calls it.
    pub name: &'static str,
    /// What the attacker does.
    pub what: &'static str,
    /// `limits` of broker.yaml.
    pub limits: &'static str,
    /// Bytes of text in each of the thousand rows.
    pub body_bytes: usize,
    /// Begins it.
    pub begin: fn(&Stage, Scale) -> Attackers,
}

/// In the order in which a connection meets what they aim at.
pub const ALL: [Attack; 11] = [
    Attack {
        name: "slow-tls",
        what: "2,000 connections from 50 addresses begin a TLS handshake and add a byte each second; who is cut off comes again",
        limits: FEW_UNPROVEN,
        body_bytes: 100,
        begin: handshakes::slow_tls,
    },
    Attack {
        name: "many-addresses",
        what: "4,000 connections from 1,000 addresses that never say a word; who is cut off comes again",
        limits: FEW_UNPROVEN,
        body_bytes: 100,
        begin: handshakes::many_addresses,
    },
    Attack {
        name: "churn",
        what: "16 clients of one address finish the TLS handshake and go, as fast as they can",
        limits: SHORT,
        body_bytes: 100,
        begin: handshakes::churn,
    },
    Attack {
        name: "no-descriptors",
        what: "2,000 silent connections to a broker that may open 200 files more (`prlimit`)",
        limits: SHORT,
        body_bytes: 100,
        begin: handshakes::no_descriptors,
    },
    Attack {
        name: "slow-head",
        what: "400 connections send an HTTP head within TLS, a byte each second",
        limits: SHORT,
        body_bytes: 100,
        begin: handshakes::slow_head,
    },
    Attack {
        name: "silent",
        what: "400 WebSockets without a token that say nothing",
        limits: SHORT,
        body_bytes: 100,
        begin: handshakes::silent,
    },
    Attack {
        name: "trickle",
        what: "200 callers of 20 addresses send 900 KiB of a message and then a byte ten times a second; who is cut off comes again",
        limits: LITTLE_ROOM,
        body_bytes: 100,
        begin: messages::trickle,
    },
    Attack {
        name: "huge",
        what: "8 connections of one caller send creates of 1 MiB, 16 at a time, as fast as they can",
        limits: LITTLE_ROOM,
        body_bytes: 100,
        begin: messages::huge,
    },
    Attack {
        name: "deaf",
        what: "16 connections ask for lists of 2 MiB, 64 times each, and read nothing",
        limits: SHORT,
        body_bytes: 2_000,
        begin: messages::deaf,
    },
    Attack {
        name: "flood-limited",
        what: "8 connections of a caller with 6,000 calls a minute ask as fast as they can; who is cut off comes again",
        limits: SHORT,
        body_bytes: 100,
        begin: messages::flood_limited,
    },
    Attack {
        name: "flood-allowed",
        what: "8 connections of a caller without a rate limit keep 64 calls each under way",
        limits: SHORT,
        body_bytes: 100,
        begin: messages::flood_allowed,
    },
];

/// Attackers at work.
pub struct Attackers {
    tasks: JoinSet<()>,
    tally: Arc<Tally>,
}

/// What they count.
#[derive(Default)]
pub struct Tally {
    /// Connections that they made.
    pub connections: AtomicU64,
    /// Connections that the daemon ended, or did not let in.
    pub ended: AtomicU64,
    /// Messages that they sent.
    pub sent: AtomicU64,
    /// Close codes that they were told.
    pub codes: Mutex<Vec<u16>>,
    /// How long connections lasted that the daemon ended.
    pub lasted: Mutex<Vec<Duration>>,
}

impl Attackers {
    fn new() -> (Self, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        let attackers = Self {
            tasks: JoinSet::new(),
            tally: Arc::clone(&tally),
        };
        (attackers, tally)
    }

    /// Ends them, and tells what they counted.
    pub async fn end(mut self) -> String {
        self.tasks.shutdown().await;
        self.tally.told()
    }
}

impl Tally {
    /// A connection was made.
    fn came(&self) -> Instant {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Instant::now()
    }

    /// The daemon ended a connection.
    fn went(&self, came: Instant) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.lasted.lock().expect("no panic").push(came.elapsed());
    }

    /// It said why.
    fn code(&self, code: u16) {
        self.codes.lock().expect("no panic").push(code);
    }

    fn told(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let lasted = std::mem::take(&mut *self.lasted.lock().expect("no panic"));
        let lasted = Latencies::of(lasted, 0, Duration::from_secs(1));
        let mut told = format!("{} connections", read(&self.connections));
        if read(&self.sent) > 0 {
            told.push_str(&format!(", {} messages", read(&self.sent)));
        }
        if read(&self.ended) > 0 {
            let (half, most) = (lasted.ms(0.5) / 1e3, lasted.ms(1.0) / 1e3);
            told.push_str(&format!(
                "; {} ended by the daemon, half of them within {half:.1} s, all within {most:.1} s",
                read(&self.ended)
            ));
        }
        let mut codes = std::mem::take(&mut *self.codes.lock().expect("no panic"));
        codes.sort_unstable();
        for same in codes.chunk_by(|a, b| a == b) {
            told.push_str(&format!("; {} × {}", same.len(), same[0]));
        }
        told
    }
}
