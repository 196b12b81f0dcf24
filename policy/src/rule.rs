//! Rules and restrictions, compiled.

use std::sync::Arc;

use dbal_schema::{ColumnSet, Location, Scalar};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Assignment, Operation};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use crate::hurdle::Hurdle;
use crate::roles::RoleId;
use crate::slots::{Filled, SlotId};
use crate::template::Template;

/// One rule for one entity.
#[derive(Debug)]
pub struct Rule {
    /// Name in audit records. A rule about several entities is compiled once for each, with one name.
    pub id: Arc<str>,
    /// Where it stands: an item of `rules:`, or a grant of an entity file's `acl:`.
    pub at: Location,
    /// The entity that it is about.
    pub entity: EntityId,
    /// Any of them.
    pub roles: Vec<RoleId>,
    /// What it grants.
    pub operations: Operations,
    /// Rows that it reaches.
    pub rows: Template,
    /// What a written row must satisfy afterwards.
    pub check: Template,
    /// Its expressions as the file has them.
    pub written: Written,
    /// Columns that it shows; never one that is never exposed.
    pub read: ColumnSet,
    /// Columns that creates and updates may name.
    pub write: ColumnSet,
    /// Forced values.
    pub presets: Vec<Preset>,
    /// Whether `updateMany` and `deleteMany` may come without a filter.
    pub allows_unfiltered: bool,
    /// Claims without which it does not apply.
    pub needs: Vec<SlotId>,
}

/// Expressions of a rule as its author wrote them, for people.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// `rows:`; nothing where it reaches every row.
    pub rows: Option<Scalar>,
    /// `check:`; nothing where `rows` is the check.
    pub check: Option<Scalar>,
}

/// A wall around every rule of one entity.
#[derive(Debug)]
pub struct Restriction {
    /// Name in audit records. One about several entities is compiled once for each, with one name.
    pub id: Arc<str>,
    /// Where it stands.
    pub at: Location,
    /// The entity around which it stands.
    pub entity: EntityId,
    /// Rows that it leaves.
    pub rows: Template,
    /// `rows:` as its author wrote it.
    pub written: Scalar,
    /// It does not hold for who has any of these.
    pub unless: Vec<RoleId>,
    /// Claims without which it leaves no row.
    pub needs: Vec<SlotId>,
}

/// A finding of a review that the policy's author stands by. It changes nothing of what the policy decides.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Where.
    pub at: Location,
    /// The rule, restriction or entity that it is about, by its id or name.
    pub about: Arc<str>,
    /// The finding's code.
    pub code: String,
    /// Why it is meant so.
    pub reason: String,
}

/// A forced value.
#[derive(Debug)]
pub struct Preset {
    /// The column that is filled.
    pub column: ColumnId,
    /// With what.
    pub value: PresetValue,
    /// `rows` says that a row which is reached has this value already, so an update leaves it as it is. Without this, a
    /// rule about own rows would not combine with one about others' rows: an update has one set of values.
    pub is_implied_by_rows: bool,
}

/// Where a forced value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum PresetValue {
    /// The policy.
    Fixed(Value),
    /// The caller.
    Claim(SlotId),
}

impl Rule {
    /// Columns with forced values.
    pub fn preset_columns(&self) -> ColumnSet {
        self.presets.iter().map(|preset| preset.column).collect()
    }

    /// The forced values for one caller, unless a claim is absent.
    pub(crate) fn forced(&self, filled: &Filled) -> Result<Vec<Assignment>, Hurdle> {
        let forced = |preset: &Preset| {
            let value = match &preset.value {
                PresetValue::Fixed(value) => value,
                PresetValue::Claim(slot) => filled.one(*slot).ok_or(Hurdle::NoClaim(*slot))?,
            };
            Ok(Assignment {
                column: preset.column,
                value: value.clone(),
            })
        };
        self.presets.iter().map(forced).collect()
    }
}

/// Whether every row that satisfies `rows` has this value in this column.
pub(crate) fn implies(rows: &Template, column: ColumnId, value: &PresetValue) -> bool {
    match (rows, value) {
        (Template::All(all), _) => all.iter().any(|one| implies(one, column, value)),
        (
            Template::Compare {
                column: compared,
                op: Comparison::Eq,
                slot,
            },
            PresetValue::Claim(claim),
        ) => *compared == column && slot == claim,
        (Template::Fixed(predicate), PresetValue::Fixed(value)) => fixes(predicate, column, value),
        (
            Template::Fixed(_)
            | Template::Compare { .. }
            | Template::In { .. }
            | Template::Caller { .. }
            | Template::Related { .. }
            | Template::Any(_),
            PresetValue::Fixed(_) | PresetValue::Claim(_),
        ) => false,
    }
}

fn fixes(predicate: &Predicate, column: ColumnId, value: &Value) -> bool {
    match predicate {
        Predicate::And(all) => all.iter().any(|one| fixes(one, column, value)),
        Predicate::Compare {
            column: compared,
            op: Comparison::Eq,
            value: fixed,
        } => *compared == column && fixed == value,
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. }
        | Predicate::Related { .. }
        | Predicate::Or(_)
        | Predicate::Not(_) => false,
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations([bool; 5]);

impl Operations {
    pub(crate) fn insert(&mut self, operation: Operation) {
        if let Some(bit) = self.0.get_mut(position(operation)) {
            *bit = true;
        }
    }

    /// Whether it is among them.
    pub fn contains(self, operation: Operation) -> bool {
        self.0.get(position(operation)).copied().unwrap_or(false)
    }
}

/// Where an operation stands in tables by operation.
pub(crate) fn position(operation: Operation) -> usize {
    match operation {
        Operation::Create => 0,
        Operation::Read => 1,
        Operation::List => 2,
        Operation::Update => 3,
        Operation::Delete => 4,
    }
}
