//! A diff for people at a terminal, for a merge request, and for programs.

use std::fmt::Write as _;

use dbal_shared::plan::Operation;
use serde_json::{Value, json};

use super::{Change, Diff, Direction, Grantor, LimitChange};

const ORDER: [Direction; 5] = [
    Direction::Granted,
    Direction::Widened,
    Direction::Changed,
    Direction::Narrowed,
    Direction::Revoked,
];

/// Lines of text.
pub fn terminal(diff: &Diff) -> String {
    let mut out = String::new();
    if diff.is_empty() {
        out.push_str("no difference in what is granted\n");
    }
    for change in &diff.changes {
        let Change {
            roles,
            direction,
            old,
            new,
            example,
            ..
        } = change;
        let mark = if direction.widens() { '+' } else { '-' };
        // Writing to a string can't fail.
        let _ = writeln!(
            out,
            "{mark} {:<8} {} may {}",
            direction.name(),
            roles.join(", "),
            what(change)
        );
        for (label, grantors) in [("was", old), ("is", new)] {
            for grantor in grantors {
                let _ = writeln!(out, "    {label:<3} {}", by(grantor));
            }
        }
        if let Some(example) = example.as_ref().filter(|_| direction.widens()) {
            let _ = writeln!(out, "    e.g. a row with {example}");
        }
        if *direction == Direction::Changed {
            let _ = writeln!(out, "    not proven to be no wider: look at both");
        }
    }
    for LimitChange {
        role,
        limit,
        old,
        new,
    } in &diff.limits
    {
        let mark = if new > old { '+' } else { '-' };
        let _ = writeln!(
            out,
            "{mark} limit    {role} has {limit} {}, was {}",
            number(*new),
            number(*old)
        );
    }
    out
}

/// Tables for a merge request.
pub fn markdown(diff: &Diff) -> String {
    let mut out = String::from("# What this change of the policy does\n\n");
    if diff.is_empty() {
        out.push_str("No difference in what is granted.\n");
    }
    for direction in ORDER {
        let mut of_it = diff
            .changes
            .iter()
            .filter(|change| change.direction == direction)
            .peekable();
        if of_it.peek().is_none() {
            continue;
        }
        let _ = write!(
            out,
            "## {}\n\n| roles | may | was | is | e.g. |\n|---|---|---|---|---|\n",
            direction.name()
        );
        for change in of_it {
            let cell = |grantors: &[Grantor]| {
                let lines: Vec<String> = grantors.iter().map(by).collect();
                escaped(&lines.join("; "))
            };
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                escaped(&change.roles.join(", ")),
                escaped(&what(change)),
                cell(&change.old),
                cell(&change.new),
                escaped(change.example.as_deref().unwrap_or_default())
            );
        }
        out.push('\n');
    }
    if !diff.limits.is_empty() {
        out.push_str("## limits\n\n| role | limit | was | is |\n|---|---|--:|--:|\n");
        for LimitChange {
            role,
            limit,
            old,
            new,
        } in &diff.limits
        {
            let _ = writeln!(
                out,
                "| {} | {limit} | {} | {} |",
                escaped(role),
                number(*old),
                number(*new)
            );
        }
    }
    out
}

/// One object.
pub fn json(diff: &Diff) -> String {
    let grantors = |grantors: &[Grantor]| -> Vec<Value> {
        grantors
            .iter()
            .map(|Grantor { rule, at, rows }| json!({"rule": rule, "at": at, "rows": rows}))
            .collect()
    };
    let changes: Vec<Value> = diff
        .changes
        .iter()
        .map(|change| {
            json!({
                "direction": change.direction.name(),
                "widens": change.direction.widens(),
                "roles": change.roles,
                "entity": change.entity,
                "operations": change.operations.iter().map(|operation| operation.name()).collect::<Vec<_>>(),
                "fields": change.fields,
                "old": grantors(&change.old),
                "new": grantors(&change.new),
                "example": change.example,
                "note": change.note,
            })
        })
        .collect();
    let limits: Vec<Value> = diff
        .limits
        .iter()
        .map(
            |LimitChange {
                 role,
                 limit,
                 old,
                 new,
             }| json!({"role": role, "limit": limit, "old": old, "new": new, "widens": new > old}),
        )
        .collect();
    format!(
        "{:#}\n",
        json!({"widens": diff.widens(), "changes": changes, "limits": limits})
    )
}

fn number(limit: u32) -> String {
    if limit == u32::MAX {
        "none".to_owned()
    } else {
        limit.to_string()
    }
}

fn what(change: &Change) -> String {
    let operations: Vec<&str> = change.operations.iter().copied().map(Operation::name).collect();
    let fields = if change.fields.is_empty() {
        String::new()
    } else {
        format!(" ({})", change.fields.join(", "))
    };
    let note = change
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!(": {note}"));
    format!("{} {}{fields}{note}", operations.join(", "), change.entity)
}

fn by(grantor: &Grantor) -> String {
    let Grantor { rule, at, rows } = grantor;
    let rows = rows.as_ref().map_or_else(
        || "every row".to_owned(),
        |rows| rows.split_whitespace().collect::<Vec<_>>().join(" "),
    );
    format!("`{rule}` ({at}): {rows}")
}

/// A bar would end the cell, and what policies say is not ours to format.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
