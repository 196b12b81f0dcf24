//! Three times what the daemon can do: its peak is looked for by asking for more and more, whether it is answered or not,
//! until no more is answered; then three times as much is asked for.

mod offer;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use dbal_servers::postgres::Postgres;
use serde_json::json;

use super::Scale;
use super::honest::{Latencies, read};
use super::memory::{Resident, Watch};
use super::stage::Stage;
use crate::usage::{Part, cpu_us};
use crate::world::postgresql;
use offer::{Offer, Pace};

/// Connections.
const CROWD: usize = 64;
/// Connections where there are many: the worker's queue has places for two calls of each.
const MANY: usize = 400;
/// Calls that each of these keeps under way.
const AHEAD: usize = 16;
/// Callers that they are of: each has a turn of its own at the database.
const CALLERS: usize = 16;
/// Calls under way on a connection at most: twice what the broker works on at once (`limits.in_flight_per_connection`), so
/// that the second half waits in its socket.
const WINDOW: usize = 128;
/// How many times the peak is offered.
const TIMES: f64 = 3.0;
/// Calls per second that are asked for at first at least.
const LEAST: f64 = 100.0;
/// How much more is asked for with each step towards the peak.
const STEP: f64 = 1.5;
/// Steps at most.
const STEPS: usize = 8;
/// A step that gets so much more answered than the best one before it has not reached the peak.
const GROWTH: f64 = 1.05;

/// One line of the table.
pub struct Demand {
    /// Of which database.
    pub database: &'static str,
    /// What was called.
    pub call: &'static str,
    /// How much of it.
    pub what: String,
    /// Calls per second that were due.
    pub due: f64,
    /// Calls per second that were sent.
    pub sent: f64,
    /// Calls that were answered with a result, from sending.
    pub answered: Latencies,
    /// The same from when they were due.
    pub from_due: Latencies,
    /// Their rate as a part of the peak's.
    pub of_peak: f64,
    /// Calls per second that were refused with 503 or 429.
    pub refused: f64,
    /// Calls per second with any other error.
    pub failed: f64,
    /// Most memory meanwhile.
    pub peak: Resident,
    /// CPU time of clients, broker, worker and database, in percent of one CPU.
    pub cpu: [f64; Part::ALL.len()],
}

impl Demand {
    /// Calls that were answered for each second of CPU time that both daemons and the database used: tells whether work is
    /// wasted where the clock only tells how much of the machine there was.
    pub fn for_each_cpu_second(&self) -> f64 {
        let [_clients, daemons @ ..] = self.cpu;
        self.answered.per_second / (daemons.iter().sum::<f64>() / 100.0)
    }
}

/// Calls that are short, such as the database is slow at, and changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Search,
    Create,
}

impl Call {
    const ALL: [Call; 3] = [Call::Read, Call::Search, Call::Create];

    fn name(self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Search => "search",
            Call::Create => "create",
        }
    }

    /// The nth of them.
    fn text(self, stage: &Stage, id: &str, nth: usize) -> String {
        match self {
            Call::Read => {
                let text = read(&stage.ids[nth % stage.ids.len()]);
                text.replacen("\"r\"", &format!("\"{id}\""), 1)
            }
            // Every row is looked through, and none is found.
            Call::Search => json!({"id": id, "method": "count", "params": ["Item", {"filter": {"body": {"contains": "not there"}}}]})
                .to_string(),
            Call::Create => json!({"id": id, "method": "create", "params": ["Item", {"title": "One more", "body": "Some forty bytes of text, as notes have.", "rank": 1_000_000}]})
                .to_string(),
        }
    }
}

/// The worker's connections to a server: its default.
const POOL: u32 = 8;

/// A database that demand is for.
pub struct Database {
    /// As `--only` calls it.
    pub only: &'static str,
    /// As the table calls it.
    name: &'static str,
    /// Its server and how the worker reaches it, if it has one.
    server: fn() -> Option<(Postgres, String)>,
}

/// All of them.
pub const ON: [Database; 2] = [
    Database {
        only: "demand-sqlite",
        name: "sqlite",
        server: || None,
    },
    Database {
        only: "demand-postgresql",
        name: "postgresql",
        server: || {
            let (server, _, config) = postgresql(POOL);
            Some((server, config))
        },
    },
];

/// All calls on one database.
pub fn run(database: &Database, scale: Scale) -> Vec<Demand> {
    let mut rows = Vec::new();
    for call in Call::ALL {
        let body_bytes = if call == Call::Search { 4_000 } else { 100 };
        let stage = Stage::on((database.server)(), "{}", body_bytes);
        rows.extend(of_call(&stage, database.name, call, scale));
    }
    rows
}

fn of_call(stage: &Stage, database: &'static str, call: Call, scale: Scale) -> [Demand; 4] {
    // One who may see alice's rows, or make rows of their own.
    let role = if call == Call::Create { "user" } else { "auditor" };
    let tokens: Vec<Arc<str>> = (0..CALLERS)
        .map(|nth| {
            let subject = format!("0199a000-0000-7000-8000-{nth:012x}");
            stage.token(&subject, role).into()
        })
        .collect();
    let text = |id: &str, nth: usize| call.text(stage, id, nth);
    let measure = |what: String, (connections, window): (usize, usize), pace: Pace, span: Duration| {
        let offer = Offer {
            tokens: &tokens,
            connections,
            window,
            pace,
            span,
            text: &text,
        };
        let row = measured(stage, database, call, what, offer);
        eprintln!("{}", row.line());
        row
    };
    let mut polite = measure(
        "one call at a time".to_owned(),
        (CROWD, 1),
        Pace::AsAnswered,
        scale.demand,
    );
    let (mut best, mut steps_without) = (None::<Demand>, 0);
    let mut rate = polite.answered.per_second.max(LEAST);
    for _ in 0..STEPS {
        let row = measure(
            "the peak".to_owned(),
            (CROWD, WINDOW),
            Pace::Every(rate),
            scale.demand,
        );
        let peak = best.as_ref().map_or(-1.0, |best| best.answered.per_second);
        let has_grown = row.answered.per_second > peak * GROWTH;
        if row.answered.per_second > peak {
            best = Some(row);
        }
        // Once may be chance.
        steps_without = if has_grown { 0 } else { steps_without + 1 };
        if steps_without == 2 {
            break;
        }
        rate *= STEP;
    }
    let mut peak = best.expect("at least one step");
    let most = peak.answered.per_second.max(polite.answered.per_second);
    let mut beyond = measure(
        "three times the peak".to_owned(),
        (CROWD, WINDOW),
        Pace::Every(most * TIMES),
        scale.beyond,
    );
    let mut many = measure(
        format!("{MANY} connections, {AHEAD} calls ahead"),
        (MANY, AHEAD),
        Pace::AsAnswered,
        scale.beyond,
    );
    for row in [&mut polite, &mut peak, &mut beyond, &mut many] {
        row.of_peak = row.answered.per_second / most;
    }
    [polite, peak, beyond, many]
}

fn measured(stage: &Stage, database: &'static str, call: Call, what: String, offer: Offer<'_>) -> Demand {
    let watch = Watch::begin(stage);
    let used = || Part::ALL.map(|part| stage.processes(part).into_iter().map(cpu_us).sum::<u64>());
    let (mut told, before) = stage.attackers.block_on(offer.run(stage, used));
    let after = used();
    assert!(
        told.failed <= told.due / 10,
        "calls fail: {} of {}",
        told.failed,
        told.due
    );
    let span_s = offer.span.as_secs_f64();
    let each_second = |count: u64| count as f64 / span_s;
    let (answered, from_due) = told.latencies(offer.span);
    let mut cpu = [0.0; Part::ALL.len()];
    for (share, (before, after)) in cpu.iter_mut().zip(before.into_iter().zip(after)) {
        *share = after.saturating_sub(before) as f64 / span_s / 1e4;
    }
    Demand {
        database,
        call: call.name(),
        what,
        due: each_second(told.due),
        sent: each_second(told.due - told.held_back),
        answered,
        from_due,
        of_peak: 1.0,
        refused: each_second(told.refused),
        failed: each_second(told.failed),
        peak: watch.peak(),
        cpu,
    }
}
