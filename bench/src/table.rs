//! The result, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::{Cell, Measured};
use crate::usage::Part;
use crate::world::Kind;

/// Two Markdown tables: by the clock, and what it took.
pub fn text(cells: &[Cell]) -> String {
    format!("{}\n{}", clock(cells), costs(cells))
}

fn clock(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| call | clients | dbal p50 µs | p99 µs | calls/s | direct p50 µs | p99 µs | calls/s | throughput ratio | p50 added µs |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for cell in cells {
        let Cell {
            call,
            clients,
            through,
            direct,
        } = cell;
        let _ = writeln!(
            out,
            "| {} | {clients} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} |",
            call.name(),
            through.p50_us,
            through.p99_us,
            through.per_second,
            direct.p50_us,
            direct.p99_us,
            direct.per_second,
            cell.ratio(),
            cell.added_us(),
        );
    }
    out
}

fn costs(cells: &[Cell]) -> String {
    let mut out = String::from("| CPU µs of a call | clients |");
    let sides = Part::ALL
        .map(Part::name)
        .into_iter()
        .chain(["direct clients", "direct database"]);
    for side in sides.clone() {
        let _ = write!(out, " {side} |");
    }
    let _ = writeln!(out, "\n|---|--:|{}", "--:|".repeat(sides.count()));
    for cell in cells {
        let _ = write!(out, "| {} | {} |", cell.call.name(), cell.clients);
        for part in Part::ALL {
            let _ = write!(out, " {:.1} |", cell.through.cpu_us(part));
        }
        let (clients, database) = (
            cell.direct.cpu_us(Part::Clients),
            cell.direct.cpu_us(Part::Database),
        );
        let _ = writeln!(out, " {clients:.1} | {database:.1} |");
    }
    out
}

/// What rounds differ by, from least to most.
pub fn rounds(rounds: &[Cell]) -> String {
    let sorted = |of: fn(&Cell) -> f64, digits: usize| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let texts: Vec<String> = values.iter().map(|value| format!("{value:.digits$}")).collect();
        texts.join(" ")
    };
    let (call, clients) = rounds
        .first()
        .map_or(("", 0), |cell| (cell.call.name(), cell.clients));
    let (ratios, added) = (sorted(Cell::ratio, 2), sorted(Cell::added_us, 0));
    format!("{call:<11} {clients:>3} clients: throughput ratio {ratios}; p50 added, µs: {added}")
}

/// One JSON object.
pub fn json(kind: Kind, cells: &[Cell]) -> Value {
    let side = |measured: &Measured| json!({"p50_us": measured.p50_us, "p99_us": measured.p99_us, "per_second": measured.per_second, "calls": measured.calls, "cpu_us": parts(measured, Measured::cpu_us), "waits": parts(measured, Measured::waits)});
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "call": cell.call.name(),
                "clients": cell.clients,
                "dbal": side(&cell.through),
                "direct": side(&cell.direct),
                "throughput_ratio": cell.ratio(),
            })
        })
        .collect();
    json!({"adapter": kind.name(), "cells": cells})
}

/// What each part used for a call.
fn parts(measured: &Measured, of: impl Fn(&Measured, Part) -> f64) -> Value {
    let each = Part::ALL.map(|part| (part.name().to_owned(), json!(of(measured, part))));
    Value::Object(each.into_iter().collect())
}
