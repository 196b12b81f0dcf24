//! The report: lines for people, one object for programs, and the exit code that goes with it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::check::{Check, Section, Verdict};
use crate::diagnostics::Colour;
use crate::visible::one_line;

/// Lines for a terminal or a file.
pub(super) fn text(sections: &[Section], colour: Colour) -> String {
    let mut out = String::new();
    for Section { title, checks } in sections {
        // Writing into a string can't fail.
        let _ = writeln!(out, "{}", painted(title, "1", colour));
        for check in checks {
            write_check(&mut out, check, colour);
        }
        out.push('\n');
    }
    let [errors, warnings, unseen] =
        [Verdict::Error, Verdict::Warning, Verdict::Unseen].map(|verdict| count(sections, verdict));
    let summary = format!("{errors} errors, {warnings} warnings, {unseen} could not be looked at");
    let _ = writeln!(out, "{}", painted(&summary, "1", colour));
    out
}

fn write_check(out: &mut String, check: &Check, colour: Colour) {
    let Check {
        what,
        verdict,
        said,
        mend,
    } = check;
    let (word, paint) = match verdict {
        Verdict::Ok => ("ok     ", "32"),
        Verdict::Warning => ("warning", "33"),
        Verdict::Error => ("ERROR  ", "1;31"),
        Verdict::Unseen => ("unseen ", "36"),
    };
    let word = painted(word, paint, colour);
    let _ = writeln!(out, "  {word}  {}: {}", one_line(what), one_line(said));
    if let Some(mend) = mend {
        let _ = writeln!(out, "           → {}", one_line(mend));
    }
}

fn painted(text: &str, paint: &str, colour: Colour) -> String {
    match colour {
        Colour::Yes => format!("\u{1b}[{paint}m{text}\u{1b}[0m"),
        Colour::No => text.to_owned(),
    }
}

/// `{"errors", "warnings", "unseen", "checks": [{"section", "what", "verdict", "said", "do"?}]}`.
pub(super) fn json(sections: &[Section]) -> Value {
    let checks = sections.iter().flat_map(|Section { title, checks }| {
        checks.iter().map(move |check| {
            let Check {
                what,
                verdict,
                said,
                mend,
            } = check;
            let mut line = json!({"section": title, "what": what, "verdict": verdict.name(), "said": said});
            if let (Some(mend), Value::Object(members)) = (mend, &mut line) {
                members.insert("do".to_owned(), json!(mend));
            }
            line
        })
    });
    json!({
        "errors": count(sections, Verdict::Error),
        "warnings": count(sections, Verdict::Warning),
        "unseen": count(sections, Verdict::Unseen),
        "checks": checks.collect::<Vec<_>>(),
    })
}

/// 0: all is well. 1: an error. 2: no error, but a warning or something that could not be looked at.
pub(super) fn exit_code(sections: &[Section]) -> u8 {
    if count(sections, Verdict::Error) > 0 {
        1
    } else if count(sections, Verdict::Warning) > 0 || count(sections, Verdict::Unseen) > 0 {
        2
    } else {
        0
    }
}

fn count(sections: &[Section], verdict: Verdict) -> usize {
    sections
        .iter()
        .flat_map(|section| &section.checks)
        .filter(|check| check.verdict == verdict)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(checks: Vec<Check>) -> Vec<Section> {
        vec![Section {
            title: "files",
            checks,
        }]
    }

    #[test]
    fn an_error_weighs_more_than_what_could_not_be_looked_at() {
        let (ok, warning) = (Check::ok("a", "b"), Check::warning("a", "b", "c"));
        let (error, unseen) = (Check::error("a", "b", "c"), Check::unseen("a", "b", "c"));
        let table = [
            (vec![], 0),
            (vec![ok.clone()], 0),
            (vec![ok.clone(), warning.clone()], 2),
            (vec![ok, unseen.clone()], 2),
            (vec![unseen, error, warning], 1),
        ];
        for (checks, code) in table {
            assert_eq!(exit_code(&of(checks.clone())), code, "{checks:?}");
        }
    }

    #[test]
    fn a_line_says_what_how_and_what_to_do_and_nothing_of_it_moves_the_cursor() {
        let sections = of(vec![Check::error("a\u{1b}[2Jb", "bad\nnews", "chmod 600 x")]);
        let plain = text(&sections, Colour::No);
        assert_eq!(
            plain,
            "files\n  ERROR    a\u{fffd}[2Jb: bad\u{fffd}news\n           → chmod 600 x\n\n1 errors, 0 warnings, 0 could not be looked at\n"
        );
        assert!(text(&sections, Colour::Yes).contains("\u{1b}[1;31mERROR"));
        let json = json(&sections);
        assert_eq!(
            json.pointer("/checks/0/do").and_then(Value::as_str),
            Some("chmod 600 x")
        );
        assert_eq!(json.pointer("/errors"), Some(&json!(1)));
    }
}
