//! The proof that a plan may be put into SQL: made of this process's own grant, with every ceiling checked once more.

use std::sync::Arc;

use dbal_policy::Grant;
use dbal_schema::{Entity, Schema};
use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::{OFFSET_ROWS, ROWS_PER_ANSWER, ROWS_PER_CREATE_MANY, SORT_KEYS};
use dbal_shared::plan::{Action, Assignment, Operation, Page, SortKey, Target};
use dbal_shared::terms::Terms;

use crate::fill::{self, Generate};
use crate::operands::{Operands, fits, open_column};

/// A plan that may run: granted by this process's policy, within the ceilings of its schema, its rows complete.
/// It has no other constructor than [`ValidPlan::of_grant`], and it can't be decoded from bytes.
#[derive(Debug)]
pub struct ValidPlan {
    schema: Arc<Schema>,
    terms: Terms,
}

/// Why a granted plan may not run all the same.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// The plan names an entity that the schema has not.
    #[error("an entity that is not in the schema")]
    UnknownEntity,
    /// The plan names a column that the entity has not.
    #[error("a column that is not in the entity")]
    UnknownColumn,
    /// A value is not of its column's type.
    #[error("a value that is not of its column's type")]
    WrongType,
    /// A single row is named by a column that is not unique.
    #[error("a target that does not name one row")]
    NotUnique,
    /// A column stands twice where it may stand once, or an upsert disagrees with its target.
    #[error("a plan that contradicts itself: {0}")]
    Contradiction(&'static str),
    /// Something that no policy may grant.
    #[error("beyond a ceiling of the schema: {0}")]
    Ceiling(&'static str),
    /// More than the limits allow.
    #[error("too many {0}")]
    TooLarge(&'static str),
    /// Values that break the rules of their fields.
    #[error("{} values break the rules of their fields", .0.len())]
    Fields(Vec<(ColumnId, Fault)>),
}

impl ValidPlan {
    /// Checks the grant's plan against the schema and completes its rows with generated values and defaults.
    pub fn of_grant(
        grant: Grant,
        schema: &Arc<Schema>,
        generate: &mut dyn Generate,
    ) -> Result<Self, Invalid> {
        let mut terms = grant.into_terms();
        let entity = schema.entity(terms.plan.entity).ok_or(Invalid::UnknownEntity)?;
        check_operation(entity, terms.plan.action.operation())?;
        check_action(&terms.plan.action, entity, schema)?;
        complete(&mut terms.plan.action, entity, generate);
        Ok(Self {
            schema: Arc::clone(schema),
            terms,
        })
    }

    /// The schema that it was checked against.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its entity.
    pub fn entity(&self) -> Option<&Entity> {
        self.schema.entity(self.terms.plan.entity)
    }

    /// What is to be done, narrowed and complete.
    pub fn action(&self) -> &Action {
        &self.terms.plan.action
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }
}

fn check_operation(entity: &Entity, operation: Operation) -> Result<(), Invalid> {
    let is_write = match operation {
        Operation::Read | Operation::List => false,
        Operation::Create | Operation::Update | Operation::Delete => true,
    };
    if is_write && entity.is_read_only {
        return Err(Invalid::Ceiling("a read-only entity"));
    }
    if entity.system_only.contains(&operation) {
        return Err(Invalid::Ceiling("an operation for the system only"));
    }
    Ok(())
}

fn check_action(action: &Action, entity: &Entity, schema: &Schema) -> Result<(), Invalid> {
    let mut operands = Operands::new(schema);
    match action {
        Action::Read { target, projection } => {
            check_target(target, entity)?;
            check_projection(projection, entity)
        }
        Action::FindFirst {
            filter,
            order,
            projection,
        } => {
            operands.check(filter, entity)?;
            check_order(order, entity)?;
            check_projection(projection, entity)
        }
        Action::List {
            filter,
            order,
            page,
            total: _,
            projection,
        } => {
            operands.check(filter, entity)?;
            check_order(order, entity)?;
            check_page(*page, entity)?;
            check_projection(projection, entity)
        }
        Action::Count { filter } | Action::DeleteMany { filter } => operands.check(filter, entity),
        Action::Create { values, projection } => {
            check_new(values, entity)?;
            check_projection(projection, entity)
        }
        Action::CreateMany { rows } => {
            if rows.len() > ROWS_PER_CREATE_MANY {
                return Err(Invalid::TooLarge("rows"));
            }
            rows.iter().try_for_each(|row| check_new(row, entity))
        }
        Action::Update {
            target,
            values,
            projection,
        } => {
            check_target(target, entity)?;
            check_changes(values, entity)?;
            check_projection(projection, entity)
        }
        Action::UpdateMany { filter, values } => {
            operands.check(filter, entity)?;
            check_changes(values, entity)
        }
        Action::Delete { target } => check_target(target, entity),
        Action::Upsert {
            target,
            create,
            update,
            projection,
        } => {
            // An upsert is decided by the rules of both; so are its ceilings.
            check_operation(entity, Operation::Update)?;
            check_target(target, entity)?;
            let Target { column, value } = target;
            if !create
                .iter()
                .any(|new| new.column == *column && new.value == *value)
            {
                return Err(Invalid::Contradiction("an upsert whose new row has another key"));
            }
            check_new(create, entity)?;
            check_changes(update, entity)?;
            check_projection(projection, entity)
        }
    }
}

fn check_target(target: &Target, entity: &Entity) -> Result<(), Invalid> {
    let column = open_column(entity, target.column)?;
    if !entity.is_unique(column.id) {
        return Err(Invalid::NotUnique);
    }
    if fits(column.kind, &target.value) {
        Ok(())
    } else {
        Err(Invalid::WrongType)
    }
}

fn check_projection(projection: &[ColumnId], entity: &Entity) -> Result<(), Invalid> {
    check_distinct(projection.iter().copied(), "a column that is answered twice")?;
    projection
        .iter()
        .try_for_each(|column| open_column(entity, *column).map(|_| ()))
}

fn check_order(order: &[SortKey], entity: &Entity) -> Result<(), Invalid> {
    if order.len() > SORT_KEYS {
        return Err(Invalid::TooLarge("sort keys"));
    }
    check_distinct(
        order.iter().map(|key| key.column),
        "a column that is sorted by twice",
    )?;
    order
        .iter()
        .try_for_each(|key| open_column(entity, key.column).map(|_| ()))
}

fn check_page(page: Page, entity: &Entity) -> Result<(), Invalid> {
    let most = entity
        .max_rows
        .map_or(ROWS_PER_ANSWER, |most| most.min(ROWS_PER_ANSWER));
    if page.number == 0 || page.limit == 0 {
        return Err(Invalid::Contradiction("a page or a limit of zero"));
    }
    if page.limit > most {
        return Err(Invalid::TooLarge("rows"));
    }
    if page.offset() > u64::from(OFFSET_ROWS) {
        return Err(Invalid::TooLarge("rows before the page"));
    }
    Ok(())
}

fn check_new(values: &[Assignment], entity: &Entity) -> Result<(), Invalid> {
    check_assignments(values, entity)?;
    some_faults(entity.faults_of_create(values))
}

fn check_changes(values: &[Assignment], entity: &Entity) -> Result<(), Invalid> {
    check_assignments(values, entity)?;
    some_faults(entity.faults_of_update(values))
}

fn check_assignments(values: &[Assignment], entity: &Entity) -> Result<(), Invalid> {
    check_distinct(
        values.iter().map(|one| one.column),
        "a column that is written twice",
    )?;
    values.iter().try_for_each(|one| {
        entity
            .column(one.column)
            .map(|_| ())
            .ok_or(Invalid::UnknownColumn)
    })
}

fn some_faults(faults: Vec<(ColumnId, Fault)>) -> Result<(), Invalid> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Invalid::Fields(faults))
    }
}

fn check_distinct(columns: impl Iterator<Item = ColumnId>, twice: &'static str) -> Result<(), Invalid> {
    let mut seen = dbal_schema::ColumnSet::new();
    for column in columns {
        if seen.contains(column) {
            return Err(Invalid::Contradiction(twice));
        }
        seen.insert(column);
    }
    Ok(())
}

fn complete(action: &mut Action, entity: &Entity, generate: &mut dyn Generate) {
    match action {
        Action::Create {
            values,
            projection: _,
        } => *values = fill::new_row(entity, values, generate),
        Action::CreateMany { rows } => {
            for row in rows {
                *row = fill::new_row(entity, row, generate);
            }
        }
        Action::Update {
            target: _,
            values,
            projection: _,
        }
        | Action::UpdateMany { filter: _, values } => {
            *values = fill::changes(entity, values, generate);
        }
        Action::Upsert {
            target: _,
            create,
            update,
            projection: _,
        } => {
            *create = fill::new_row(entity, create, generate);
            *update = fill::changes(entity, update, generate);
        }
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => {}
    }
}
