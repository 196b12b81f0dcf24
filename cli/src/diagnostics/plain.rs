//! `file:line:column: severity[code]: message`, one finding a line: for logs, editors and grep.

use std::fmt::Write as _;

use dbal_review::finding::Finding;

use crate::visible::one_line;

pub(super) fn render(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let Finding {
            code,
            at,
            text,
            advice,
        } = finding;
        let severity = code.severity().name();
        let mut line = format!("{at}: {severity}[{}]: {text}", code.name());
        if let Some(advice) = advice {
            let _ = write!(line, "; {advice}");
        }
        out.push_str(&one_line(&line));
        out.push('\n');
    }
    out
}
