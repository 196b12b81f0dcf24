//! Plans that are done together: each is decided as if it stood alone, and may use what earlier ones answer, as far as the
//! caller sees it.

use dbal_schema::{Column, ColumnType, Schema};
use dbal_shared::fault::Fault;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Action, Plan};
use dbal_shared::value::{Earlier, Value};

use crate::cost::Cost;
use crate::denied::Denied;
use crate::grant::Grant;
use crate::policy::Policy;
use crate::subject::Subject;

/// See [`Policy::decide_together`].
pub(crate) fn decide(
    policy: &Policy,
    subject: &Subject,
    plans: impl IntoIterator<Item = Plan>,
) -> Result<Vec<Grant>, (usize, Denied)> {
    let mut grants: Vec<Grant> = Vec::new();
    let mut sum = Cost::default();
    let max = policy.limits(subject).max_complexity;
    for (position, plan) in plans.into_iter().enumerate() {
        let (entity, operation) = (plan.entity, plan.action.operation());
        let grant =
            crate::decide::decide(policy, subject, plan, &grants).map_err(|denied| (position, denied))?;
        // Together they hold the database as long as one plan of their sum would.
        sum = sum.and(grant.cost());
        if sum.total() > max {
            let entity = policy.schema.entity(entity);
            return Err((position, Denied::too_complex(sum, max, operation, entity)));
        }
        grants.push(grant);
    }
    Ok(grants)
}

/// The calls before one in its transaction.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    schema: &'a Schema,
    grants: &'a [Grant],
}

impl<'a> Before<'a> {
    pub(crate) fn new(schema: &'a Schema, grants: &'a [Grant]) -> Self {
        Self { schema, grants }
    }

    /// What is wrong with a reference in the place of a value of `column`. A field that the earlier call hides has the
    /// answer of one that isn't there.
    pub(crate) fn fault(self, earlier: Earlier, column: &Column) -> Option<Fault> {
        match self.kind(earlier) {
            None => Some(Fault::WrongType {
                expected: "a field that an earlier call answers".to_owned(),
            }),
            Some(kind) if kind.is_like(column.kind) => None,
            Some(_) => column.fault_of_operand(&Value::Earlier(earlier)),
        }
    }

    /// The type of what it refers to, if it may be referred to.
    fn kind(self, earlier: Earlier) -> Option<ColumnType> {
        let Earlier { call, column } = earlier;
        let (entity, shown) = answered(self.grants.get(usize::from(call))?)?;
        if !shown.contains(&column) {
            return None;
        }
        let kind = self.schema.entity(entity)?.column(column)?.kind;
        // JSON has no form in which it could be compared, and would be stored in another text than it was read in.
        (kind != ColumnType::Json).then_some(kind)
    }
}

/// Columns that a call's one row shows whatever row it is.
fn answered(grant: &Grant) -> Option<(EntityId, Vec<ColumnId>)> {
    let terms = grant.terms();
    let Plan { entity, action } = &terms.plan;
    let projection = match action {
        Action::Read {
            target: _,
            projection,
            includes: _,
        }
        | Action::FindFirst {
            filter: _,
            order: _,
            projection,
            includes: _,
        }
        | Action::Create {
            values: _,
            projection,
        }
        | Action::Update {
            target: _,
            values: _,
            projection,
        }
        | Action::Upsert {
            target: _,
            create: _,
            update: _,
            projection,
        } => projection,
        Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::CreateMany { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => return None,
    };
    let masks = &terms.read.masks;
    let is_masked = |column: &ColumnId| masks.iter().any(|mask| mask.column == *column);
    let shown = projection.iter().copied().filter(|column| !is_masked(column));
    Some((*entity, shown.collect()))
}
