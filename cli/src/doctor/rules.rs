//! Whether entities and policy load, what review finds odd about them, and whether their tests pass.

use std::path::Path;

use dbal_review::finding::{Finding, Severity};
use dbal_review::lint::lint;
use dbal_review::trial::test;
use dbal_schema::Source;
use dbal_schema::error::Problems;

use super::check::{Check, shell};
use crate::files;
use crate::policy::{Examined, Named};

/// What became of looking at them.
pub(super) struct Rules {
    pub(super) checks: Vec<Check>,
    /// Hash of the policy as its files are, if it loads.
    pub(super) hash: Option<String>,
}

/// Findings beyond so many are counted only: there is a command for all of them.
const SHOWN: usize = 20;

/// By the broker's configuration, whose invariants are proven here, too.
pub(super) fn look(config: &Path) -> Rules {
    let none = |check| Rules {
        checks: vec![check],
        hash: None,
    };
    let (named, examined) = match Named::by(config).and_then(|named| Ok((named.examine()?, named))) {
        Ok((examined, named)) => (named, examined),
        Err(error) => {
            return none(Check::error(
                "policy",
                error.to_string(),
                "correct the paths in broker.yaml",
            ));
        }
    };
    let Examined { policy, mut findings } = examined;
    findings.extend(policy.iter().flat_map(lint));
    let command = format!("dbal policy check --config {}", shell(config));
    let mut checks = told(&findings, &command);
    let Some(policy) = policy else {
        return Rules { checks, hash: None };
    };
    let hash = policy.hash().to_string();
    let entities = policy.schema().entities().len();
    checks.insert(
        0,
        Check::ok(
            "policy",
            format!("{entities} entities, policy {hash}: loads, and keeps its invariants"),
        ),
    );
    match named.tests() {
        Ok(files) => checks.extend(files.iter().map(|file| tried(&policy, file))),
        Err(error) => checks.push(Check::error(
            "policy tests",
            error.to_string(),
            "correct `policy_tests` in broker.yaml",
        )),
    }
    Rules {
        checks,
        hash: Some(hash),
    }
}

fn told(findings: &[Finding], command: &str) -> Vec<Check> {
    let counted = findings
        .iter()
        .filter(|finding| finding.severity() != Severity::Note);
    let all: Vec<Check> = counted
        .map(|finding| {
            let what = format!("policy, {}", finding.at);
            let said = format!("{} ({})", finding.text, finding.code.name());
            let mend = finding.advice.clone().unwrap_or_else(|| command.to_owned());
            match finding.severity() {
                Severity::Error => Check::error(what, said, mend),
                Severity::Warning | Severity::Note => Check::warning(what, said, mend),
            }
        })
        .collect();
    let more = all.len().saturating_sub(SHOWN);
    let mut shown = all;
    // Errors must not be among those that are left out.
    shown.sort_by_key(|check| check.verdict != super::check::Verdict::Error);
    shown.truncate(SHOWN);
    if more > 0 {
        shown.push(Check::warning("policy", format!("{more} more findings"), command));
    }
    shown
}

fn tried(policy: &dbal_policy::Policy, file: &Path) -> Check {
    let what = format!("policy tests {}", file.display());
    let source = match files::read(file) {
        Ok(text) => Source {
            name: file.display().to_string(),
            text,
        },
        Err(error) => return Check::error(what, error.to_string(), "correct `policy_tests` in broker.yaml"),
    };
    let command = format!("dbal policy test {}", shell(file));
    match test(policy, &source) {
        Ok(tested) if tested.failed() == 0 => Check::ok(what, "pass"),
        Ok(tested) => Check::error(what, format!("{} cases fail", tested.failed()), command),
        Err(Problems(problems)) => {
            Check::error(what, format!("don't load: {} problems", problems.len()), command)
        }
    }
}
