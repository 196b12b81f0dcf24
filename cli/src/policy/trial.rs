//! `dbal policy test`: what the policy means for people, tried in memory.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dbal_policy::{Policy, tested};
use dbal_review::finding::Finding;
use dbal_review::trial::{Tested, json, junit, terminal, test};
use dbal_schema::Source;
use dbal_schema::error::Problems;

use super::inputs::Inputs;
use crate::error::ToolError;
use crate::output;
use crate::{diagnostics, files};

/// Run tests of the policy: given rows, as somebody, do something, expect what comes of it. In memory, without a daemon.
///
/// Exit 0: all cases pass. 1: one fails, or policy or tests don't load.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Files of tests. None: those that the configuration names (`policy_tests`), or tests.yaml here.
    #[arg(value_name = "FILE")]
    tests: Vec<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
    /// Note here that the policy has passed, for daemons that look for it (`policy_tested`).
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for a terminal.
    Text,
    /// XML that CI understands.
    Junit,
    /// One object.
    Json,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        tests,
        inputs,
        record: note,
        format,
    } = options;
    let named = inputs.named()?;
    let tests = if tests.is_empty() { named.tests()? } else { tests };
    if tests.is_empty() {
        return Err(ToolError::Usage(
            "which tests? Name files, or `policy_tests` in the configuration".to_owned(),
        ));
    }
    let policy = named.examine()?.policy()?;
    let tested = tried(&policy, &tests)?;
    let text = match format {
        Format::Text => terminal(&tested),
        Format::Junit => junit(&tested),
        Format::Json => json(&tested),
    };
    output::print(text)?;
    passed(&tested)?;
    note.map_or(Ok(()), |note| record(&policy, &tested, &note))
}

/// What comes of these files of tests.
pub(super) fn tried(policy: &Policy, tests: &[PathBuf]) -> Result<Vec<Tested>, ToolError> {
    tests.iter().map(|file| one(policy, file)).collect()
}

/// Fails where a case does.
pub(super) fn passed(tested: &[Tested]) -> Result<(), ToolError> {
    match tested.iter().map(Tested::failed).sum::<usize>() {
        0 => Ok(()),
        failed => Err(ToolError::Failed(format!("policy tests failed: {failed}"))),
    }
}

/// Notes that the policy has passed these. Rewritten in place: beside a configuration a locked-in daemon can't read a file that was
/// put in another's place, and half of a note is none.
pub(super) fn record(policy: &Policy, tested: &[Tested], note: &Path) -> Result<(), ToolError> {
    if tested.is_empty() {
        return Err(ToolError::Usage(
            "`policy_tested` is to say that tests have passed, and there are none: name them as `policy_tests`".to_owned(),
        ));
    }
    std::fs::write(note, tested::note(policy)).map_err(|source| ToolError::file(note, source))
}

fn one(policy: &Policy, file: &Path) -> Result<Tested, ToolError> {
    let source = Source {
        name: file.display().to_string(),
        text: files::read(file)?,
    };
    test(policy, &source).map_err(|Problems(problems)| {
        let findings: Vec<Finding> = problems.into_iter().map(Finding::from).collect();
        diagnostics::complain(&findings);
        ToolError::Failed(format!("{}: no sound file of policy tests", file.display()))
    })
}
