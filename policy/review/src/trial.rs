//! Policy tests: given rows, as somebody, a call, and what must come of it. Run in memory, by the code that decides in the
//! daemons (`dbal-call` reads the call, `decide` narrows it) and the evaluator that databases are held to.

mod expect;
mod file;
mod memory;
mod report;
mod run;

use dbal_policy::Policy;
use dbal_schema::error::Problems;
use dbal_schema::report::Report;
use dbal_schema::{Location, Source};

pub use report::{json, junit, terminal};

/// What came of a file of tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// The file.
    pub file: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: Location,
    /// What was expected and what came, where they differ.
    pub failure: Option<Failure>,
}

/// Expected and got.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What the file expects.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Why it came so: rules that granted, or the reason of the refusal.
    pub because: String,
}

impl Tested {
    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_some()).count()
    }
}

/// Runs all cases of a file, or says what is wrong with the file.
pub fn test(policy: &Policy, source: &Source) -> Result<Tested, Problems> {
    let mut report = Report::default();
    let file = file::read(source, policy.schema(), &mut report);
    if !report.problems.is_empty() {
        return Err(Problems(report.problems));
    }
    let cases = file.cases.iter().map(|case| {
        let got = run::run(policy, &case.rows, &case.principal, case.method, &case.params);
        Case {
            name: case.name.clone(),
            at: case.at.clone(),
            failure: expect::failure(&case.expect, &got),
        }
    });
    Ok(Tested {
        file: source.name.clone(),
        cases: cases.collect(),
    })
}

#[cfg(test)]
mod tests;
