//! How much dbal costs: each call over real wss beside the same statement made directly, in one run on one machine.
#![forbid(unsafe_code)]

mod measure;
mod world;
mod through_dbal;
mod direct;
mod table;

use std::time::Duration;

use measure::{Call, Cell};
use world::World;

/// Clients at once.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Each cell, unless `--seconds` says otherwise.
const SECONDS: f64 = 1.5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let seconds = arguments
        .iter()
        .position(|argument| argument == "--seconds")
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(SECONDS);
    let span = Duration::from_secs_f64(seconds);
    let world = World::new();
    let mut cells = Vec::new();
    for call in Call::ALL {
        for clients in CLIENTS {
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
        println!("{}", table::json(&cells));
    } else {
        println!("{}", table::text(&cells));
    }
}
