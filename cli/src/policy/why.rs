//! `dbal policy why`: what a refusal was about and which rule would have been needed, by the name that the caller was told.

use std::fmt::Write as _;
use std::path::PathBuf;

use dbal_audit::Found;
use dbal_policy::Policy;
use serde_json::Value;

use super::inputs::Inputs;
use crate::error::ToolError;
use crate::output;
use crate::visible::one_line;

/// Tell why a call was refused: who asked what, which rules were tried and what kept each from granting it. DECISION is what the
/// error's `details.decision` says (or `details.incident`, or any `request` of the log).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The refusal's name, such as c9c5b10a-41d9ded6ad91b901.
    #[arg(value_name = "DECISION")]
    decision: String,
    /// The folder that `audit.directory` names.
    #[arg(long, value_name = "DIR", default_value = "audit")]
    audit: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        decision,
        audit,
        inputs,
    } = options;
    let found =
        dbal_audit::of_request(&audit, &decision).map_err(|source| ToolError::file(&audit, source))?;
    if found.is_empty() {
        return Err(ToolError::Failed(format!(
            "{}: no record of `{decision}`; it may stand in a file that was moved away, or the worker has not written it yet",
            audit.display()
        )));
    }
    // The trail tells enough without it, so a policy that does not load is said and no more.
    let policy = match inputs.load() {
        Ok(policy) => Some(policy),
        Err(error) => {
            output::say(format_args!("dbal: only what the trail says: {error}"));
            None
        }
    };
    for record in &found {
        output::print(told(record, policy.as_ref()))?;
    }
    Ok(())
}

pub(super) fn told(found: &Found, policy: Option<&Policy>) -> String {
    let Found {
        file,
        line,
        json,
        is_sound,
    } = found;
    let mut out = String::new();
    let sound = if *is_sound {
        "its hash is sound; `dbal audit verify` checks the chain"
    } else {
        "IT WAS CHANGED: its hash is not that of its bytes"
    };
    let _ = writeln!(out, "{}:{line} ({sound})", file.display());
    let Ok(record) = serde_json::from_str::<Value>(json) else {
        out.push_str("  is no record\n");
        return out;
    };
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let list = |name: &str| -> String {
        let values: Vec<&str> = items(&record, name).iter().filter_map(Value::as_str).collect();
        values.join(", ")
    };
    // Who wrote the record chose its texts.
    let mut say = |name: &str, what: String| {
        if !what.is_empty() {
            let _ = writeln!(out, "  {name:<9} {}", one_line(&what));
        }
    };
    say("when", text("time").unwrap_or_default().to_owned());
    let mut who = text("principal")
        .unwrap_or("nobody who has proven an identity")
        .to_owned();
    for (name, value) in [
        ("roles", list("roles")),
        ("tenant", text("tenant").unwrap_or_default().to_owned()),
        ("claims", list("claims")),
        ("from", text("remote").unwrap_or_default().to_owned()),
    ] {
        if !value.is_empty() {
            let _ = write!(who, ", {name} {value}");
        }
    }
    say("who", who);
    let mut what = text("method").unwrap_or_default().to_owned();
    if let (Some(operation), Some(entity)) = (text("operation"), text("entity")) {
        let _ = write!(what, ": {operation} on {entity}");
    }
    if !list("keys").is_empty() {
        let _ = write!(what, ", rows {}", list("keys"));
    }
    say("what", what);
    let outcome = text("outcome").unwrap_or_default();
    let code = record
        .get("code")
        .and_then(Value::as_u64)
        .map_or_else(String::new, |code| format!(" {code}"));
    say("outcome", format!("{outcome}{code}"));
    say("because", text("detail").unwrap_or_default().to_owned());
    if let Some(repeated) = record.get("repeated").and_then(Value::as_u64) {
        say(
            "repeated",
            format!("{repeated} more just like it, within a second"),
        );
    }
    let is_same = policy
        .zip(text("policy"))
        .map(|(policy, hash)| policy.hash().to_string() == hash);
    let rules = rules(&record, policy.filter(|_| is_same == Some(true)));
    out.push_str(&rules);
    let hash = one_line(text("policy").unwrap_or_default());
    match is_same {
        Some(true) => {
            let _ = writeln!(out, "  policy    {hash}, which is still in force in these files");
        }
        Some(false) => {
            let _ = writeln!(
                out,
                "  policy    {hash}; it HAS CHANGED since: rules may stand in other lines now, or say something else"
            );
        }
        None if !hash.is_empty() => {
            let _ = writeln!(out, "  policy    {hash}");
        }
        None => {}
    }
    out
}

/// Each rule that was tried, with its file and line. `policy` is the one that decided.
fn rules(record: &Value, policy: Option<&Policy>) -> String {
    let mut out = String::new();
    let tried = items(record, "tried");
    for rule in tried {
        let text = |name: &str| one_line(rule.get(name).and_then(Value::as_str).unwrap_or_default());
        let _ = writeln!(
            out,
            "  tried     {}  ({})\n              {}",
            text("rule"),
            text("at"),
            text("why")
        );
    }
    if !tried.is_empty() {
        return out;
    }
    // A row that was not there, or not within reach: these rules were asked for it.
    let (Some(entity), Some(ids)) = (
        record.get("entity").and_then(Value::as_str),
        record.get("rule").and_then(Value::as_str),
    ) else {
        return "  rules     none was tried: it was refused before\n".to_owned();
    };
    let mut told: Vec<&str> = Vec::new();
    for id in ids.split(',') {
        if told.contains(&id) {
            continue;
        }
        told.push(id);
        let rule = policy.and_then(|policy| {
            let entity = policy.schema().by_name(entity)?.id;
            policy
                .rules()
                .iter()
                .find(|rule| rule.id.as_ref() == id && rule.entity == entity)
        });
        let id = one_line(id);
        let _ = match rule {
            Some(rule) => {
                let rows = rule.written.rows.as_ref();
                let rows = rows.map_or("all rows", |rows| rows.text.as_str());
                writeln!(
                    out,
                    "  granted   {id}  ({})\n              reaches: {rows}; no such row was there for this caller",
                    rule.at
                )
            }
            None => writeln!(out, "  granted   {id}"),
        };
    }
    out
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    let items = of.get(name).and_then(Value::as_array);
    items.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_record_says_moves_the_cursor_or_begins_a_line() {
        let hostile = "\u{1b}[2J\r\n\u{9b}1mx\u{202e}";
        let named = json!({"request": "1-1", "time": hostile, "principal": hostile, "roles": [hostile], "tenant": hostile,
            "claims": [hostile], "remote": hostile, "method": hostile, "operation": hostile, "entity": hostile,
            "keys": [hostile], "outcome": hostile, "code": 403, "detail": hostile, "policy": hostile});
        let mut tried = named.clone();
        tried["tried"] = json!([{"rule": hostile, "at": hostile, "why": hostile}]);
        let mut granted = named.clone();
        granted["rule"] = json!(hostile);
        for (record, lines) in [(named, 8), (tried, 9), (granted, 8)] {
            let found = Found {
                file: PathBuf::from("audit.jsonl"),
                line: 1,
                json: record.to_string(),
                is_sound: true,
            };
            let told = told(&found, None);
            assert!(crate::visible::is_harmless(&told, false), "{told:?}");
            assert_eq!(told.lines().count(), lines, "{told}");
        }
    }
}
