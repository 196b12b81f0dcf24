//! Results for people, for CI (JUnit) and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json as object};

use super::{Case, Failure, Tested};

/// A line for each case, and what differs where one fails.
pub fn terminal(files: &[Tested]) -> String {
    let mut out = String::new();
    for file in files {
        // Writing to a string can't fail.
        let _ = writeln!(out, "{}", file.file);
        for Case { name, at, failure } in &file.cases {
            let Some(Failure {
                expected,
                got,
                because,
            }) = failure
            else {
                let _ = writeln!(out, "  ok    {name}");
                continue;
            };
            let _ = writeln!(
                out,
                "  FAIL  {name}\n        at       {at}\n        expected {expected}\n        got      {got}\n        because  {because}"
            );
        }
    }
    let (cases, failed) = counts(files);
    let _ = writeln!(out, "{cases} cases, {failed} failed");
    out
}

/// JUnit's XML, one suite for each file.
pub fn junit(files: &[Tested]) -> String {
    let (cases, failed) = counts(files);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites tests=\"{cases}\" failures=\"{failed}\">");
    for file in files {
        let name = escaped(&file.file);
        let (tests, failures) = (file.cases.len(), file.failed());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">"
        );
        for Case {
            name: case,
            at,
            failure,
        } in &file.cases
        {
            let case = escaped(case);
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{case}\" file=\"{name}\" line=\"{}\"",
                at.line
            );
            match failure {
                None => out.push_str("/>\n"),
                Some(Failure {
                    expected,
                    got,
                    because,
                }) => {
                    let message = escaped(&format!("expected {expected}, got {got}"));
                    let _ = writeln!(
                        out,
                        "><failure message=\"{message}\">{}</failure></testcase>",
                        escaped(because)
                    );
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// One object.
pub fn json(files: &[Tested]) -> String {
    let (cases, failed) = counts(files);
    let case = |case: &Case| {
        let Case { name, at, failure } = case;
        let failure = failure.as_ref().map(
            |Failure {
                 expected,
                 got,
                 because,
             }| { object!({"expected": expected, "got": got, "because": because}) },
        );
        object!({"name": name, "at": at.to_string(), "passed": failure.is_none(), "failure": failure})
    };
    let files: Vec<Value> = files
        .iter()
        .map(|file| object!({"file": file.file, "cases": file.cases.iter().map(case).collect::<Vec<_>>()}))
        .collect();
    format!(
        "{:#}\n",
        object!({"cases": cases, "failed": failed, "files": files})
    )
}

fn counts(files: &[Tested]) -> (usize, usize) {
    let cases = files.iter().map(|file| file.cases.len()).sum();
    (cases, files.iter().map(Tested::failed).sum())
}

fn escaped(text: &str) -> String {
    text.chars()
        // XML 1.0 has no way to write these at all.
        .map(|one| {
            if one.is_control() && !matches!(one, '\n' | '\t') {
                '\u{fffd}'
            } else {
                one
            }
        })
        .fold(String::new(), |mut out, one| {
            match one {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\n' => out.push_str("&#10;"),
                other => out.push(other),
            }
            out
        })
}
