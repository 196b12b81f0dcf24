//! How much dbal costs: each call over real wss beside the same statement made directly, in one run on one machine.
#![forbid(unsafe_code)]

mod arguments;
mod measure;
mod usage;
mod world;
mod through_dbal;
mod direct;
mod table;
mod overload;

use std::time::Duration;

use arguments::{Arguments, Other};
use clap::Parser;
use dbal_tests::processes::{self, Process};
use measure::{Call, Cell};
use world::{Keeping, Kind, Tracing, World};

#[derive(Debug, Parser)]
#[command(name = "dbal-bench", bin_name = "cargo xtask bench")]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() {
    let CommandLine { arguments } = CommandLine::parse();
    end_daemons_with_us();
    match &arguments.other {
        None => beside_direct(&arguments),
        Some(Other::Overload(arguments)) => overload::run(arguments),
    }
}

/// A release aborts where it panics and drops nothing, so what it has started would stay. Of a supervisor that is gone the daemons know.
fn end_daemons_with_us() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        let started = processes::below(std::process::id());
        let supervisors = started.iter().filter(|process| process.name == "dbal");
        supervisors.for_each(Process::kill_if_same);
    }));
}

fn beside_direct(arguments: &Arguments) {
    let Arguments {
        other: _,
        json,
        database,
        calls,
        clients,
        threads,
        pool,
        seconds,
        rounds,
        cache,
        trace,
    } = arguments;
    let kind = Kind::of_name(database).expect("one of those that the command line takes");
    let span = Duration::from_secs_f64(*seconds);
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cpus);
    let keeping = if *cache {
        // Elsewhere a worker would have to be told that this will do.
        assert_eq!(kind, Kind::Postgresql, "--cache goes with --database postgresql");
        Keeping::Answers
    } else {
        Keeping::Nothing
    };
    let tracing = if *trace { Tracing::EveryCall } else { Tracing::Off };
    let world = World::new(kind, *pool, keeping, tracing);
    let mut cells = Vec::new();
    for call in Call::ALL {
        if calls
            .as_ref()
            .is_some_and(|names| !names.iter().any(|name| name == call.name()))
        {
            continue;
        }
        for &clients in clients {
            let mut measured = Vec::new();
            for _ in 0..*rounds {
                // Neighbours in time, so that both sides see the same noise of the machine.
                let direct = direct::run(&world, call, clients, span);
                let through = through_dbal::run(&world, call, clients, threads, span);
                if !json {
                    eprintln!(
                        "{:<11} {clients:>3} clients: {through} | direct: {direct}",
                        call.name()
                    );
                }
                measured.push(Cell {
                    call,
                    clients,
                    through,
                    direct,
                });
            }
            if !json && *rounds > 1 {
                eprintln!("{}", table::rounds(&measured));
            }
            cells.extend(Cell::middle(measured));
        }
    }
    if *json {
        println!("{}", table::json(kind, &cells));
    } else {
        println!("{}", table::text(&cells));
    }
}
