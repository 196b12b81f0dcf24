//! `dbal audit export`: the trail for other programs.

use serde_json::Value;

use super::ocsf;
use super::search::{Stopped, told, warn_changed};
use super::wanted::{self, paths};
use crate::error::ToolError;
use crate::output::Output;

/// Print records for other programs. Changed records are printed too, and told on standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    wanted: wanted::Filter,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The records as they stand in the files, one object a line, hashes included.
    Json,
    /// RFC 4180, with a line of names. What a spreadsheet would take for a formula gets an apostrophe before it.
    Csv,
    /// Events of the class API Activity (6003) of OCSF 1.9.0, with the profile Record Integrity, one object a line.
    Ocsf,
}

/// The columns of CSV, in the order of docs/audit.md.
const COLUMNS: [&str; 23] = [
    "seq",
    "time",
    "event",
    "outcome",
    "request",
    "trace",
    "principal",
    "roles",
    "tenant",
    "remote",
    "method",
    "operation",
    "entity",
    "keys",
    "code",
    "detail",
    "rule",
    "policy",
    "repeated",
    "complexity",
    "duration_us",
    "rows",
    "hash",
];

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options { wanted, format } = options;
    let (folders, wanted) = wanted.into_wanted();
    let folders = paths(&folders);
    let mut output = Output::open();
    if format == Format::Csv {
        output.text(format_args!("{}\r\n", COLUMNS.join(",")))?;
    }
    let walk = dbal_audit::each(&folders, &wanted, |found, record| {
        if !found.is_sound {
            warn_changed(&found);
        }
        match format {
            Format::Json => output.line(&found.json)?,
            Format::Csv => output.text(csv(record))?,
            Format::Ocsf => output.line(ocsf::event(record))?,
        }
        Ok::<_, Stopped>(())
    });
    told(&folders, walk)?;
    output.flush()
}

pub(super) fn csv(record: &Value) -> String {
    let cells: Vec<String> = COLUMNS
        .iter()
        .map(|name| cell(record.get(*name).unwrap_or(&Value::Null)))
        .collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Number(number) => return number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            texts.join(" ")
        }
        Value::Bool(_) | Value::Object(_) => value.to_string(),
    };
    // Callers choose their names and keys, and auditors open this in spreadsheets.
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_can_not_leave_its_place_nor_be_a_formula() {
        assert_eq!(cell(&json!("a\"b,c\nd")), "\"a\"\"b,c\nd\"");
        assert_eq!(cell(&json!("=1+1")), "\"'=1+1\"");
        assert_eq!(cell(&json!(["n1", "n2"])), "\"n1 n2\"");
        assert_eq!(cell(&json!(7)), "7");
        assert_eq!(cell(&Value::Null), "");
        let line = csv(&json!({"seq": 1, "hash": "ab"}));
        assert_eq!(line, format!("1{}\"ab\"\r\n", ",".repeat(COLUMNS.len() - 1)));
    }
}
