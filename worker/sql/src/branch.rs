//! Linked rows that an answer brings along: for each relation one statement, whatever the number of rows above it.

use dbal_schema::{Arity, Entity, Relation};
use dbal_shared::plan::{Action, Include};
use dbal_shared::terms::ReadTerms;
use dbal_shared::value::Value;

use crate::dialect::Dialect;
use crate::select;
use crate::sql::SqlError;
use crate::steps::{Part, Select};
use crate::valid::ValidPlan;

/// A relation to follow from rows that have been read. The nth branch begins at the nth of [`Select::links`], of a
/// branch's own rows at the one after: their first leads back.
#[derive(Clone, Copy)]
pub struct Branch<'p> {
    part: Part<'p>,
    include: &'p Include,
    relation: &'p Relation,
}

impl<'p> Branch<'p> {
    /// What a plan's rows bring along.
    pub fn of_plan(plan: &'p ValidPlan, dialect: &'static Dialect) -> Result<Vec<Self>, SqlError> {
        let includes: &[Include] = match plan.action() {
            Action::Read { includes, .. }
            | Action::FindFirst { includes, .. }
            | Action::List { includes, .. } => includes,
            Action::Count { .. }
            | Action::Aggregate { .. }
            | Action::Create { .. }
            | Action::CreateMany { .. }
            | Action::Update { .. }
            | Action::UpdateMany { .. }
            | Action::Delete { .. }
            | Action::DeleteMany { .. }
            | Action::Upsert { .. } => &[],
        };
        let part = Part {
            plan,
            entity: plan.entity().ok_or(SqlError::NotInSchema)?,
            dialect,
            read: &plan.terms().read,
        };
        Self::from_rows(part, includes)
    }

    /// What its own rows bring along in turn.
    pub fn branches(&self) -> Result<Vec<Self>, SqlError> {
        Self::from_rows(self.part, &self.include.includes)
    }

    fn from_rows(from: Part<'p>, includes: &'p [Include]) -> Result<Vec<Self>, SqlError> {
        let ReadTerms {
            rows: _,
            masks: _,
            includes: terms,
        } = from.read;
        // INVARIANT: `decide` makes terms for each include; rows without terms would be shown without rules.
        if terms.len() != includes.len() {
            return Err(SqlError::NotInSchema);
        }
        let branch = |(include, read): (&'p Include, &'p ReadTerms)| {
            let schema = from.plan.schema();
            let entity = schema.entity(include.link.entity).ok_or(SqlError::NotInSchema)?;
            Ok(Self {
                part: Part { entity, read, ..from },
                include,
                relation: from.entity.relation(include.link).ok_or(SqlError::NotInSchema)?,
            })
        };
        includes.iter().zip(terms).map(branch).collect()
    }

    /// Name in the answer.
    pub fn name(&self) -> &'p str {
        &self.relation.name
    }

    /// Whether it is one object or a list.
    pub fn arity(&self) -> Arity {
        self.relation.arity
    }

    /// Entity of its rows.
    pub fn entity(&self) -> &'p Entity {
        self.part.entity
    }

    /// Its rows for all rows above that have one of these values, none of them null.
    pub fn of_keys(&self, keys: &[Value]) -> Result<Select, SqlError> {
        select::included(self.part, self.include, self.relation.arity, keys)
    }
}
