//! What is wrong and what is odd, collected while files are read: a person fixes a file once, not once per mistake.

use crate::error::Problem;
use crate::source::{Location, Warning};

/// Problems kept; a file that has more is broken in one place and reports it everywhere.
const PROBLEMS: usize = 200;

/// Problems and warnings so far.
#[derive(Debug, Default)]
pub struct Report {
    /// What keeps the files from loading.
    pub problems: Vec<Problem>,
    /// What loads but deserves a look.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// Adds a problem.
    pub fn problem(&mut self, at: &Location, text: impl Into<String>) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(Problem {
                at: at.clone(),
                text: text.into(),
            });
        }
    }

    /// Adds a warning.
    pub fn warning(&mut self, at: &Location, text: impl Into<String>) {
        if self.warnings.len() < PROBLEMS {
            self.warnings.push(Warning {
                at: at.clone(),
                text: text.into(),
            });
        }
    }
}
