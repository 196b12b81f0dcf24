//! What attackers and too many clients cost the honest ones, and the daemon's memory meanwhile. Everything is on loopback and
//! ends by itself; docs/overload.md holds what came of it.

mod attacks;
mod demand;
mod honest;
mod idle;
mod memory;
mod report;
mod stage;

use std::time::{Duration, Instant};

use crate::arguments::Overload;
use report::Row;
use stage::Stage;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Without an attack.
    before: Duration,
    /// With it.
    during: Duration,
    /// For each step towards the peak.
    demand: Duration,
    /// For what is beyond it: longer than a call may wait for the database.
    beyond: Duration,
    /// An attack's numbers are divided by it.
    fewer: usize,
    /// Connections that do nothing.
    idle: usize,
}

const WHOLE: Scale = Scale {
    before: Duration::from_millis(1_500),
    during: Duration::from_secs(6),
    demand: Duration::from_millis(1_200),
    beyond: Duration::from_secs(5),
    fewer: 1,
    idle: 10_000,
};

const QUICK: Scale = Scale {
    before: Duration::from_millis(200),
    during: Duration::from_millis(400),
    demand: Duration::from_millis(200),
    beyond: Duration::from_millis(400),
    fewer: 20,
    idle: 200,
};

/// Runs what is asked for and prints its tables.
pub fn run(arguments: &Overload) {
    let Overload { quick, only } = arguments;
    let scale = if *quick { QUICK } else { WHOLE };
    let is_wanted = |name: &str| {
        only.as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name))
    };
    let known: Vec<&str> = attacks::ALL
        .iter()
        .map(|attack| attack.name)
        .chain(demand::ON.iter().map(|database| database.only))
        .chain(["idle"])
        .collect();
    for name in only.iter().flatten() {
        assert!(
            known.contains(&name.as_str()),
            "`{name}` is none of {}",
            known.join(", ")
        );
    }
    let (load, began) = (report::load(), Instant::now());
    let mut rows = Vec::new();
    for attack in attacks::ALL.iter().filter(|attack| is_wanted(attack.name)) {
        let row = play(attack, scale);
        eprintln!("{}", row.line());
        rows.push(row);
    }
    if !rows.is_empty() {
        println!("{}", report::attacks(&rows));
    }
    let demands: Vec<_> = demand::ON
        .iter()
        .filter(|database| is_wanted(database.only))
        .flat_map(|database| demand::run(database, scale))
        .collect();
    if !demands.is_empty() {
        println!("{}", report::demand(&demands));
    }
    if is_wanted("idle") {
        println!("{}", report::idle(&idle::run(scale)));
    }
    println!("{}", report::machine(&load, began.elapsed()));
}

/// One attack on a daemon of its own.
fn play(attack: &attacks::Attack, scale: Scale) -> Row {
    let stage = Stage::new(attack.limits, attack.body_bytes);
    let memory = memory::Watch::begin(&stage);
    let before = stage.honest.block_on(honest::calls(&stage, scale.before));
    let quiet = memory.peak();
    let attackers = (attack.begin)(&stage, scale);
    let during = stage.honest.block_on(honest::calls(&stage, scale.during));
    let seen = stage.metrics();
    let told = stage.attackers.block_on(attackers.end());
    Row {
        name: attack.name,
        what: attack.what,
        told,
        before,
        during,
        quiet,
        peak: memory.peak(),
        seen,
    }
}
