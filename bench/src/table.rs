//! The result, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::{Cell, Measured};
use crate::world::Kind;

/// A Markdown table.
pub fn text(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| call | clients | dbal p50 µs | p99 µs | calls/s | direct p50 µs | p99 µs | calls/s | throughput ratio | p50 added µs |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for Cell {
        call,
        clients,
        through,
        direct,
    } in cells
    {
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
            through.per_second / direct.per_second,
            through.p50_us - direct.p50_us,
        );
    }
    out
}

/// One JSON object.
pub fn json(kind: Kind, cells: &[Cell]) -> Value {
    let side = |measured: &Measured| json!({"p50_us": measured.p50_us, "p99_us": measured.p99_us, "per_second": measured.per_second, "calls": measured.calls});
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "call": cell.call.name(),
                "clients": cell.clients,
                "dbal": side(&cell.through),
                "direct": side(&cell.direct),
                "throughput_ratio": cell.through.per_second / cell.direct.per_second,
            })
        })
        .collect();
    json!({"adapter": kind.name(), "cells": cells})
}
