//! How much dbal costs: each call over real wss beside the same statement made directly, in one run on one machine.
#![forbid(unsafe_code)]

mod measure;
mod usage;
mod world;
mod through_dbal;
mod direct;
mod table;

use std::time::Duration;

use measure::{Call, Cell};
use world::{Keeping, Kind, World};

/// Clients at once.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// The worker's connections to a server, unless `--pool` says otherwise: as many as it has by default.
const POOL: u32 = 8;
/// Each cell, unless `--seconds` says otherwise.
const SECONDS: f64 = 1.5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let seconds = option("--seconds").map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let kind = option("--database").map_or(Kind::Sqlite, |name| {
        Kind::of_name(name).expect("sqlite, postgresql or mariadb")
    });
    let only = option("--calls").map(|names| names.split(',').collect::<Vec<_>>());
    let clients: Vec<usize> = option("--clients").map_or(CLIENTS.to_vec(), |numbers| {
        numbers
            .split(',')
            .map(|number| number.parse().expect("a number of clients"))
            .collect()
    });
    let span = Duration::from_secs_f64(seconds);
    let pool_size = option("--pool").map_or(POOL, |number| number.parse().expect("a number of connections"));
    let keeping = if arguments.iter().any(|argument| argument == "--cache") {
        // Elsewhere a worker would have to be told that this will do.
        assert_eq!(kind, Kind::Postgresql, "--cache goes with --database postgresql");
        Keeping::Answers
    } else {
        Keeping::Nothing
    };
    let world = World::new(kind, pool_size, keeping);
    let mut cells = Vec::new();
    for call in Call::ALL {
        if only.as_ref().is_some_and(|names| !names.contains(&call.name())) {
            continue;
        }
        for &clients in &clients {
            // Neighbours in time, so that both sides see the same noise of the machine.
            let direct = direct::run(&world, call, clients, span);
            let through = through_dbal::run(&world, call, clients, span);
            if !is_json {
                eprintln!(
                    "{:<11} {clients:>3} clients: {through} | direct: {direct}",
                    call.name()
                );
            }
            cells.push(Cell {
                call,
                clients,
                through,
                direct,
            });
        }
    }
    if is_json {
        println!("{}", table::json(kind, &cells));
    } else {
        println!("{}", table::text(&cells));
    }
}
