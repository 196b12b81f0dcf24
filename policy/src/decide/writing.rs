//! Which rule lets a caller write what, and what it forces.

use std::sync::Arc;

use dbal_schema::ColumnSet;
use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Assignment, Operation};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::WriteTerms;

use super::reading::any_of;
use super::{Decision, Granting};
use crate::denied::{Denied, Reason};
use crate::hurdle::Hurdle;
use crate::rule::Rule;

/// How rows are found for writing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By a target or a filter.
    Some,
    /// Every row that there is: only where a rule allows just that.
    All,
}

/// Rules that let one write happen, and force the same values on it.
pub(super) struct Writers<'a> {
    rules: Vec<&'a Rule>,
    forced: Vec<Assignment>,
}

struct Writer<'a> {
    rule: &'a Rule,
    forced: Vec<Assignment>,
}

/// What is to be written: values of one row, or of many to be created.
pub(super) struct Write<'a> {
    operation: Operation,
    rows: &'a [&'a [Assignment]],
    reach: Reach,
    /// Columns that it names.
    written: ColumnSet,
}

impl<'a> Write<'a> {
    pub(super) fn new(operation: Operation, rows: &'a [&'a [Assignment]], reach: Reach) -> Self {
        Self {
            operation,
            rows,
            reach,
            written: rows.iter().copied().flatten().map(|one| one.column).collect(),
        }
    }
}

impl Decision<'_> {
    /// The rules that each, alone, cover all that is written.
    pub(super) fn writers(&self, write: &Write<'_>) -> Result<Writers<'_>, Denied> {
        let operation = write.operation;
        let mut writers: Vec<Writer<'_>> = Vec::new();
        let mut refusal = None;
        for rule in self.rules(operation) {
            match self.fit(rule, write) {
                Ok(forced) => writers.push(Writer { rule, forced }),
                Err(Hurdle::Forced(column)) => {
                    refusal.get_or_insert((Reason::Forced(column), rule));
                }
                Err(Hurdle::Unfiltered) => {
                    refusal.get_or_insert((Reason::Unfiltered, rule));
                }
                Err(
                    Hurdle::OtherOperation
                    | Hurdle::Closed
                    | Hurdle::NoRole
                    | Hurdle::NoClaim(_)
                    | Hurdle::NotWritable(_)
                    | Hurdle::Hides(_)
                    | Hurdle::NoRow,
                ) => {}
            }
        }
        if writers.is_empty() {
            return Err(match refusal {
                Some((reason, rule)) => self.deny(operation, reason).by(&rule.id),
                None => self.uncovered(operation, &write.written),
            });
        }
        Ok(self.agreeing(operation, writers, write.rows))
    }

    /// What the rule, which applies to the caller, forces on such a write; or what keeps it from covering all of it.
    pub(super) fn fit(&self, rule: &Rule, write: &Write<'_>) -> Result<Vec<Assignment>, Hurdle> {
        let Write {
            operation,
            rows,
            reach,
            written,
        } = write;
        let mut forced = rule.forced(&self.subject.filled)?;
        let beyond = written.difference(&rule.write.union(&rule.preset_columns()));
        if !beyond.is_empty() {
            return Err(Hurdle::NotWritable(beyond));
        }
        if let Some(column) = contradicted(&forced, rows) {
            return Err(Hurdle::Forced(column));
        }
        if *reach == Reach::All && !rule.allows_unfiltered {
            return Err(Hurdle::Unfiltered);
        }
        forced.retain(|one| !is_settled(*operation, rule, one, rows));
        Ok(forced)
    }

    fn rules(&self, operation: Operation) -> impl Iterator<Item = &Rule> {
        self.access
            .operation(operation)
            .rules
            .iter()
            .filter_map(|index| self.policy.rule(*index))
    }

    /// The first rule's forced values, and all rules that force the same: one statement has one set of values. For a
    /// create the first rule after which nothing is missing.
    fn agreeing<'a>(
        &self,
        operation: Operation,
        writers: Vec<Writer<'a>>,
        rows: &[&[Assignment]],
    ) -> Writers<'a> {
        let is_complete = |writer: &&Writer<'_>| {
            let forced = writer.forced.iter().map(|one| one.column);
            rows.iter().all(|row| {
                let given = row.iter().map(|one| one.column).chain(forced.clone()).collect();
                self.entity.missing_on_create(&given).is_empty()
            })
        };
        let leading = match operation {
            Operation::Create => writers.iter().find(is_complete).or(writers.first()),
            Operation::Read | Operation::List | Operation::Update | Operation::Delete => writers.first(),
        };
        let forced = leading.map_or_else(Vec::new, |writer| writer.forced.clone());
        let agreeing = writers.into_iter().filter(|writer| writer.forced == forced);
        Writers {
            rules: agreeing.map(|writer| writer.rule).collect(),
            forced,
        }
    }

    /// Why no rule covers these columns. A hidden one gets the answer of one that doesn't exist.
    fn uncovered(&self, operation: Operation, written: &ColumnSet) -> Denied {
        let table = self.access.operation(operation);
        let readable = self.access.sight(operation).readable;
        let beyond = written.difference(&table.writable.union(&table.preset));
        let mut faults = Vec::new();
        let mut refused = Vec::new();
        for column in beyond.iter() {
            let is_ours = self
                .entity
                .column(column)
                .is_some_and(|found| found.generated.is_some() || found.is_auto_update);
            if !readable.contains(column) {
                faults.push((column, Fault::Unknown));
            } else if is_ours {
                faults.push((column, Fault::Generated));
            } else {
                refused.push(column);
            }
        }
        if !faults.is_empty() {
            return self.deny(operation, Reason::Fields(faults));
        }
        // Each may be covered by some rule, but all of them by none.
        let refused = if refused.is_empty() {
            written.iter().collect()
        } else {
            refused
        };
        self.deny(operation, Reason::NotWritable(refused))
    }

    /// What a new row must satisfy.
    pub(super) fn create_terms(
        &self,
        writers: &Writers<'_>,
        granting: &mut Granting,
    ) -> Result<Predicate, Denied> {
        granting.extend(writers.rules.iter().map(|rule| Arc::clone(&rule.id)));
        let checks: Vec<Predicate> = writers
            .rules
            .iter()
            .map(|rule| rule.check.fill(&self.subject.filled))
            .collect();
        let create = any_of(checks.iter()).and(self.wall());
        if create == Predicate::False {
            Err(self.walled(Operation::Create))
        } else {
            Ok(create)
        }
    }

    /// The ways to reach a row. `probed` is what must be readable in it for the caller to have found it.
    pub(super) fn write_terms(
        &self,
        operation: Operation,
        writers: &Writers<'_>,
        probed: &Predicate,
        granting: &mut Granting,
    ) -> Result<Vec<WriteTerms>, Denied> {
        granting.extend(writers.rules.iter().map(|rule| Arc::clone(&rule.id)));
        let filled = &self.subject.filled;
        let mut ways: Vec<(Predicate, Vec<Predicate>)> = Vec::new();
        for rule in &writers.rules {
            let after = match operation {
                Operation::Delete => Predicate::True,
                Operation::Create | Operation::Read | Operation::List | Operation::Update => {
                    rule.check.fill(filled)
                }
            };
            let before = rule.rows.fill(filled);
            match ways.iter_mut().find(|(known, _)| *known == after) {
                Some((_, befores)) => befores.push(before),
                None => ways.push((after, vec![before])),
            }
        }
        let wall = self.wall();
        let wall_after = if operation == Operation::Delete {
            Predicate::True
        } else {
            wall.clone()
        };
        let terms: Vec<WriteTerms> = ways
            .into_iter()
            .map(|(after, befores)| WriteTerms {
                before: any_of(befores.iter()).and(wall.clone()).and(probed.clone()),
                after: after.and(wall_after.clone()),
            })
            .filter(|way| way.before != Predicate::False && way.after != Predicate::False)
            .collect();
        // A way without conditions makes the others needless.
        let open = |way: &&WriteTerms| way.before == Predicate::True && way.after == Predicate::True;
        if let Some(way) = terms.iter().find(open) {
            return Ok(vec![way.clone()]);
        }
        if terms.is_empty() {
            Err(self.walled(operation))
        } else {
            Ok(terms)
        }
    }

    fn walled(&self, operation: Operation) -> Denied {
        let denied = self.deny(operation, Reason::Restricted);
        let wall = self
            .access
            .barred_by
            .and_then(|index| self.policy.restriction(index));
        match wall {
            Some(wall) => denied.by(&wall.id),
            None => denied,
        }
    }
}

impl Writers<'_> {
    /// Puts the forced values in. Where the caller gave one it is the same, or the rule would not be here.
    pub(super) fn force(&self, row: &mut Vec<Assignment>) {
        for forced in &self.forced {
            if !row.iter().any(|given| given.column == forced.column) {
                row.push(forced.clone());
            }
        }
    }
}

/// A column that is forced to one value and given another.
fn contradicted(forced: &[Assignment], rows: &[&[Assignment]]) -> Option<ColumnId> {
    let differs = |one: &&Assignment| {
        rows.iter()
            .copied()
            .flatten()
            .any(|given| given.column == one.column && given.value != one.value)
    };
    forced.iter().find(differs).map(|one| one.column)
}

/// Whether a forced value needs no forcing: every row gives it itself, or an update only reaches rows that have it.
fn is_settled(operation: Operation, rule: &Rule, forced: &Assignment, rows: &[&[Assignment]]) -> bool {
    let is_given = |row: &&[Assignment]| row.iter().any(|given| given.column == forced.column);
    match operation {
        Operation::Create => rows.iter().all(is_given),
        Operation::Update => {
            let is_implied = rule
                .presets
                .iter()
                .any(|preset| preset.column == forced.column && preset.is_implied_by_rows);
            is_implied || rows.iter().all(is_given)
        }
        Operation::Read | Operation::List | Operation::Delete => true,
    }
}
