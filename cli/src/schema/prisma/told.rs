//! What a person must know about the file: what could not be read or was left out whole, and what was changed on the way.

use std::sync::Arc;

use dbal_schema::{Location, Warning};

use super::token::Place;

/// Everything so far, in the order in which it was found.
#[derive(Debug)]
pub(super) struct Told {
    file: Arc<str>,
    /// Not in the entities although it stands in the file: a model, or something that can't be read.
    pub(super) problems: Vec<Warning>,
    /// In the entities, but not as the file has it.
    pub(super) warnings: Vec<Warning>,
}

impl Told {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: Arc::from(file),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, at: Place, text: impl Into<String>) {
        let warning = self.placed(at, text);
        self.problems.push(warning);
    }

    pub(super) fn warning(&mut self, at: Place, text: impl Into<String>) {
        let warning = self.placed(at, text);
        self.warnings.push(warning);
    }

    fn placed(&self, at: Place, text: impl Into<String>) -> Warning {
        Warning {
            at: Location {
                file: Arc::clone(&self.file),
                line: at.line,
                column: at.column,
            },
            text: text.into(),
        }
    }
}
