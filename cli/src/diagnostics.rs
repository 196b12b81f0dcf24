//! Findings about files, shown to a person at a terminal, to a log, or to a program.

mod terminal;
mod plain;
mod json;
mod sarif;

use std::io::IsTerminal;

pub(crate) use terminal::Colour;

use dbal_review::finding::{Finding, Severity};

use crate::output;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// With the source's lines in a terminal, one line each elsewhere.
    Text,
    /// For programs.
    Json,
    /// For code scanning (SARIF 2.1.0).
    Sarif,
}

/// Findings as they go to standard output.
pub(crate) fn render(findings: &[Finding], format: Format) -> String {
    match format {
        Format::Text if std::io::stdout().is_terminal() => terminal::render(findings, Colour::wanted()),
        Format::Text => plain::render(findings),
        Format::Json => json::render(findings),
        Format::Sarif => sarif::render(findings),
    }
}

/// Prints them to standard error.
pub(crate) fn complain(findings: &[Finding]) {
    let text = if std::io::stderr().is_terminal() {
        terminal::render(findings, Colour::wanted())
    } else {
        plain::render(findings)
    };
    output::say_painted(&text);
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
}

impl Count {
    pub(crate) fn of(findings: &[Finding]) -> Self {
        let of = |severity| {
            findings
                .iter()
                .filter(|finding| finding.severity() == severity)
                .count()
        };
        Self {
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
            notes: of(Severity::Note),
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            errors,
            warnings,
            notes,
        } = *self;
        let parts: Vec<String> = [(errors, "error"), (warnings, "warning"), (notes, "note")]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}{}", if number == 1 { "" } else { "s" }))
            .collect();
        if parts.is_empty() {
            out.write_str("nothing found")
        } else {
            out.write_str(&parts.join(", "))
        }
    }
}
