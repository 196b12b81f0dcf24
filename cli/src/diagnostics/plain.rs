//! `file:line:column: severity[code]: message`, one finding a line: for logs, editors and grep.

use std::fmt::Write as _;

use dbal_review::finding::Finding;

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
        out.push_str(&visible(&line));
        out.push('\n');
    }
    out
}

/// Names and expressions are input: what would move a terminal's cursor is spelled out.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            let plain = if escaped.is_none() { Some(letter) } else { None };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}
