//! Which rows a caller sees, and which columns in them.

use std::sync::Arc;

use dbal_schema::ColumnSet;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::{Mask, ReadTerms};

use super::{Decision, Granting};

/// What the rules of one operation let the caller see.
pub(super) struct Sight {
    ways: Vec<Way>,
    /// Columns that every way shows.
    common: ColumnSet,
    /// What the restrictions leave.
    wall: Predicate,
}

/// What one rule lets the caller see.
struct Way {
    id: Arc<str>,
    columns: ColumnSet,
    rows: Predicate,
}

impl Decision<'_> {
    /// What the caller sees in `operation`; for writes, what `read` shows.
    pub(super) fn sight(&self, operation: Operation) -> Sight {
        let table = self.access.sight(operation);
        let rules = table.rules.iter().filter_map(|index| self.policy.rule(*index));
        let ways: Vec<Way> = rules
            .map(|rule| Way {
                id: Arc::clone(&rule.id),
                columns: rule.read,
                rows: rule.rows.fill(&self.subject.filled),
            })
            .collect();
        let common = ways
            .iter()
            .fold(table.readable, |common, way| common.intersection(&way.columns));
        Sight {
            ways,
            common,
            wall: self.wall(),
        }
    }

    /// What the restrictions leave: every one of them must be satisfied.
    pub(super) fn wall(&self) -> Predicate {
        if self.access.barred_by.is_some() {
            return Predicate::False;
        }
        let walls = self
            .access
            .restrictions
            .iter()
            .filter_map(|index| self.policy.restriction(*index));
        walls
            .map(|wall| wall.rows.fill(&self.subject.filled))
            .fold(Predicate::True, Predicate::and)
    }
}

impl Sight {
    /// Rows to show, and columns that only some of them show. A row is seen only if each probed column is shown in it:
    /// else its filter or its place in the order would tell the hidden value.
    pub(super) fn read_terms(
        &self,
        projection: &[ColumnId],
        probed: &ColumnSet,
        granting: &mut Granting,
    ) -> ReadTerms {
        granting.extend(self.ways.iter().map(|way| Arc::clone(&way.id)));
        let partly_shown = probed.difference(&self.common);
        let rows = if partly_shown.is_empty() {
            any_of(self.ways.iter().map(|way| &way.rows))
        } else {
            // Narrower than "any of the ways", so that need not be said beside it.
            self.shows_all(&partly_shown)
        };
        let mask = |column: &ColumnId| {
            let shown_when = self.shows(*column);
            (shown_when != Predicate::True).then_some(Mask {
                column: *column,
                shown_when,
            })
        };
        let masked = projection
            .iter()
            .filter(|it| !self.common.contains(**it) && !probed.contains(**it));
        ReadTerms {
            rows: rows.and(self.wall.clone()),
            masks: masked.filter_map(mask).collect(),
            includes: Vec::new(),
        }
    }

    /// What the answer to a write shows of the written row.
    pub(super) fn answer_terms(&self, projection: &[ColumnId], granting: &mut Granting) -> ReadTerms {
        if projection.is_empty() {
            return nothing();
        }
        self.read_terms(projection, &ColumnSet::new(), granting)
    }

    /// Rows in which all of these columns are shown.
    pub(super) fn shows_all(&self, columns: &ColumnSet) -> Predicate {
        let mut conditions: Vec<Predicate> = Vec::new();
        if !columns.is_empty() {
            for condition in columns.iter().map(|column| self.shows(column)) {
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
        }
        conditions.into_iter().fold(Predicate::True, Predicate::and)
    }

    fn shows(&self, column: ColumnId) -> Predicate {
        any_of(
            self.ways
                .iter()
                .filter(|way| way.columns.contains(column))
                .map(|way| &way.rows),
        )
    }
}

/// Shows no row.
pub(super) fn nothing() -> ReadTerms {
    ReadTerms {
        rows: Predicate::False,
        masks: Vec::new(),
        includes: Vec::new(),
    }
}

/// OR, each condition once.
pub(super) fn any_of<'a>(conditions: impl Iterator<Item = &'a Predicate>) -> Predicate {
    let mut distinct: Vec<&Predicate> = Vec::new();
    for condition in conditions {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    distinct
        .into_iter()
        .cloned()
        .fold(Predicate::False, Predicate::or)
}
