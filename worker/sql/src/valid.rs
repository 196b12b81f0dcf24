//! The proof that a plan may be put into SQL: made of this process's own grant, with every ceiling checked once more.

use std::sync::Arc;

use dbal_policy::Grant;
use dbal_schema::{ColumnType, Entity, Schema, Ttl};
use dbal_shared::codec;
use dbal_shared::fault::Fault;
use dbal_shared::ids::{ColumnId, Digest, EntityId};
use dbal_shared::limits::{
    CURSOR_BYTES, GROUP_KEYS, IN_LIST_VALUES, MEASURES, OFFSET_ROWS, ROWS_PER_ANSWER, ROWS_PER_CREATE_MANY,
    SORT_KEYS,
};
use dbal_shared::plan::{
    Action, Assignment, Direction, Include, Measure, Operation, Page, Plan, SortKey, Target, Total,
};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::terms::{ReadTerms, Terms, WriteTerms};
use dbal_shared::value::Value;

use crate::fill::{self, Generate};
use crate::mentions;
use crate::operands::{Operands, fits, open_column};
use crate::place::{self, Places};
use crate::sql::SqlError;

/// A plan that may run: granted by this process's policy, within the ceilings of its schema, its rows complete.
/// It is made by [`ValidPlan::of_grant`], and for the worker itself by [`ValidPlan::of_our_own`], [`ValidPlan::of_expired`] and
/// [`ValidPlan::removal_of_expired`]; it can't be decoded from bytes.
#[derive(Clone, Debug)]
pub struct ValidPlan {
    schema: Arc<Schema>,
    /// Boxed, since plans are moved from queue to queue.
    terms: Box<Terms>,
    /// For lists whose pages may be continued.
    paging: Option<Paging>,
    /// Of the terms as they were granted; none where no caller asked.
    granted: Option<Digest>,
}

/// How a list goes on.
#[derive(Clone, Debug)]
struct Paging {
    places: Arc<dyn Places>,
    /// What its cursors are good for.
    binding: Vec<u8>,
    /// Where it begins; none for the first page.
    start: Option<Vec<Value>>,
    end: End,
}

/// Whether it is told where a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Told,
    Untold,
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
    /// A cursor that was not made with a key of ours, or for something else.
    #[error("an invalid cursor")]
    Cursor,
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
        let granted = grant.digest();
        let mut terms = grant.into_terms();
        let entity = schema.entity(terms.plan.entity).ok_or(Invalid::UnknownEntity)?;
        check_operation(entity, terms.plan.action.operation())?;
        check_action(&terms.plan.action, entity, schema)?;
        complete(&mut terms.plan.action, entity, generate);
        Ok(Self {
            schema: Arc::clone(schema),
            terms,
            paging: None,
            granted: Some(granted),
        })
    }

    /// The worker's own question, which no caller asked and whose answer no caller gets: some cells of the row that a unique
    /// column names, whatever rules and ceilings say.
    pub fn of_our_own(
        schema: &Arc<Schema>,
        entity: EntityId,
        target: Target,
        projection: Vec<ColumnId>,
    ) -> Result<Self, Invalid> {
        let about = schema.entity(entity).ok_or(Invalid::UnknownEntity)?;
        let key = about.column(target.column).ok_or(Invalid::UnknownColumn)?;
        if !about.is_unique(key.id) {
            return Err(Invalid::NotUnique);
        }
        if !fits(key.kind, &target.value) {
            return Err(Invalid::WrongType);
        }
        // Columns that are never exposed are not: the answer stays here.
        if projection.iter().any(|column| about.column(*column).is_none()) {
            return Err(Invalid::UnknownColumn);
        }
        let action = Action::Read {
            target,
            projection,
            includes: Vec::new(),
        };
        Ok(Self::ours(schema, entity, action))
    }

    /// The worker's own question: rows whose time is over, those that expired first, first.
    pub fn of_expired(schema: &Arc<Schema>, entity: EntityId, sought: Sought<'_>) -> Result<Self, Invalid> {
        let Sought {
            now_ms,
            limit,
            cursor,
            but,
            cells,
        } = sought;
        let about = schema.entity(entity).ok_or(Invalid::UnknownEntity)?;
        let (column, is_over) = expired(about, now_ms)?;
        let filter = if but.is_empty() {
            is_over
        } else {
            let named = among(about, but.to_vec(), &LEFT_OUT)?;
            Predicate::And(vec![is_over, Predicate::Not(Box::new(named))])
        };
        let action = Action::List {
            filter,
            order: vec![SortKey {
                column,
                direction: Direction::Ascending,
            }],
            page: Page { number: 1, limit },
            total: Total::Skipped,
            projection: match cells {
                ExpiredCells::Key => vec![about.key],
                ExpiredCells::KeyAndTime => vec![about.key, column],
            },
            includes: Vec::new(),
            cursor,
        };
        Ok(Self::ours(schema, entity, action))
    }

    /// The worker's own change: removes those of the rows with these keys whose time was over at `now_ms`, which no caller can make it
    /// do with others.
    pub fn removal_of_expired(
        schema: &Arc<Schema>,
        entity: EntityId,
        now_ms: i64,
        keys: Vec<Value>,
    ) -> Result<Self, Invalid> {
        let about = schema.entity(entity).ok_or(Invalid::UnknownEntity)?;
        let (_, is_over) = expired(about, now_ms)?;
        let named = among(about, keys, &REMOVED_TOGETHER)?;
        // Once more, since a row may have got another time since it was found.
        let filter = Predicate::And(vec![named, is_over]);
        Ok(Self::ours(schema, entity, Action::DeleteMany { filter }))
    }

    /// By the rights of the worker itself: everything that the action says.
    fn ours(schema: &Arc<Schema>, entity: EntityId, action: Action) -> Self {
        let write = if action.is_write() {
            vec![WriteTerms {
                before: Predicate::True,
                after: Predicate::True,
            }]
        } else {
            Vec::new()
        };
        Self {
            schema: Arc::clone(schema),
            terms: Box::new(Terms {
                plan: Plan { entity, action },
                read: ReadTerms {
                    rows: Predicate::True,
                    masks: Vec::new(),
                    includes: Vec::new(),
                },
                write,
                create: Predicate::False,
            }),
            paging: None,
            granted: None,
        }
    }

    /// Looks up where a list begins, and lets its end be told. Other plans stay as they are.
    pub fn with_places(self, places: &Arc<dyn Places>) -> Result<Self, Invalid> {
        self.placed(places, End::Told)
    }

    /// The same, but that nothing is read of a row to tell where the list ends.
    pub fn with_start(self, places: &Arc<dyn Places>) -> Result<Self, Invalid> {
        self.placed(places, End::Untold)
    }

    fn placed(mut self, places: &Arc<dyn Places>, end: End) -> Result<Self, Invalid> {
        let Plan { entity: id, action } = &self.terms.plan;
        let Action::List {
            filter,
            order,
            cursor,
            ..
        } = action
        else {
            return Ok(self);
        };
        let entity = self.schema.entity(*id).ok_or(Invalid::UnknownEntity)?;
        let binding = binding(&self.schema, *id, filter, order, &self.terms.read.rows)?;
        let start = match cursor {
            None => None,
            Some(cursor) => {
                let place = places.open(&binding, cursor).ok_or(Invalid::Cursor)?;
                let keys = place::complete(order, entity);
                let is_of_key = |(key, value): (&SortKey, &Value)| {
                    let column = entity.column(key.column);
                    column.is_some_and(|column| place::suits(column, value))
                };
                if keys.len() != place.len() || !keys.iter().zip(&place).all(is_of_key) {
                    return Err(Invalid::Cursor);
                }
                Some(place)
            }
        };
        self.paging = Some(Paging {
            places: Arc::clone(places),
            binding,
            start,
            end,
        });
        Ok(self)
    }

    /// The cursor of a row, by the values of its [`crate::steps::Select::marks`].
    pub fn place_of(&self, marks: &[Value]) -> Option<String> {
        let Paging {
            places,
            binding,
            start: _,
            end: _,
        } = self.paging.as_ref()?;
        places.seal(binding, marks)
    }

    /// Where a list begins; none for its first page.
    pub(crate) fn start(&self) -> Result<Option<&[Value]>, SqlError> {
        let start = self.paging.as_ref().and_then(|paging| paging.start.as_deref());
        let is_asked = matches!(self.action(), Action::List { cursor: Some(_), .. });
        // A cursor that nobody opened must not mean the first page.
        if is_asked && start.is_none() {
            return Err(SqlError::NoPlace);
        }
        Ok(start)
    }

    /// Columns that tell a row's place; none where nobody asks for it.
    pub(crate) fn marks(&self) -> Vec<ColumnId> {
        let told = self.paging.as_ref().filter(|paging| paging.end == End::Told);
        let (Action::List { order, .. }, Some(entity), Some(_)) = (self.action(), self.entity(), told) else {
            return Vec::new();
        };
        let keys = place::complete(order, entity);
        keys.iter().map(|key| key.column).collect()
    }

    /// SHA-256 of all that its answer depends on but the rows: what is asked for, the rows and columns that this caller may see,
    /// with the claims in them, and the place where a list begins. None for changes, and for questions that no caller asked.
    pub fn reading(&self) -> Option<Digest> {
        // INVARIANT: `of_grant` completes the rows of changes and alters nothing else, so this is what is read.
        self.granted.filter(|_| !self.action().is_write())
    }

    /// Every entity whose rows its answer depends on, its own first, each once: by includes, and by conditions on linked rows in filters,
    /// rules and masks.
    pub fn reads_of(&self) -> Vec<EntityId> {
        let mut all = Vec::with_capacity(1);
        all.push(self.terms.plan.entity);
        mentions::of_terms(&self.terms, &mut all);
        all
    }

    /// The schema that it was checked against.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The same, to be kept.
    pub(crate) fn shared_schema(&self) -> &Arc<Schema> {
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

/// Which rows the worker seeks whose time is over.
#[derive(Clone, Debug)]
pub struct Sought<'a> {
    /// When it was over, in Unix ms.
    pub now_ms: i64,
    /// At most so many.
    pub limit: u32,
    /// Where an earlier answer ended. It is good for no other `but`.
    pub cursor: Option<Vec<u8>>,
    /// Keys of rows that are left out.
    pub but: &'a [Value],
    /// What is read of each.
    pub cells: ExpiredCells,
}

/// What is read of a row whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiredCells {
    /// Where its time can't be read.
    Key,
    /// Both.
    KeyAndTime,
}

/// Numbers of keys that a removal of expired rows names.
const REMOVED_TOGETHER: [usize; 4] = [1, 16, 128, 500];
/// Numbers of keys that are left out.
const LEFT_OUT: [usize; 3] = [1, 8, 64];

/// The rows with these keys. Each number of placeholders is a statement that has to be prepared, so there are few.
fn among(entity: &Entity, mut keys: Vec<Value>, numbers: &[usize]) -> Result<Predicate, Invalid> {
    let key = entity.column(entity.key).ok_or(Invalid::UnknownColumn)?;
    if keys.len() > IN_LIST_VALUES {
        return Err(Invalid::TooLarge("values of a list"));
    }
    if !keys.iter().all(|value| fits(key.kind, value)) {
        return Err(Invalid::WrongType);
    }
    let places = numbers.iter().find(|places| keys.len() <= **places);
    if let (Some(places), Some(last)) = (places, keys.last().cloned()) {
        keys.resize(*places, last);
    }
    Ok(Predicate::In {
        column: key.id,
        values: keys,
    })
}

/// By what rows of the entity expire, and those whose time was over at `now_ms`; NULL is never over. Only of an entity that says so
/// itself.
fn expired(entity: &Entity, now_ms: i64) -> Result<(ColumnId, Predicate), Invalid> {
    let by = entity
        .expires_by()
        .ok_or(Invalid::Ceiling("rows that don't expire"))?;
    let column = by.id;
    let is_over = if by.kind == ColumnType::Bigint {
        Predicate::Between {
            column,
            low: Value::Int(Ttl::LEAST_MS),
            high: Value::Int(now_ms),
        }
    } else {
        Predicate::Compare {
            column,
            op: Comparison::Lte,
            value: Value::Timestamp(now_ms),
        }
    };
    Ok((column, is_over))
}

/// What a cursor is good for: this entity, this filter and this order, by these rules for this caller. Numbers of entities and
/// columns mean something in one schema only, and a cursor may outlive the process.
fn binding(
    schema: &Schema,
    entity: EntityId,
    filter: &Predicate,
    order: &[SortKey],
    rows: &Predicate,
) -> Result<Vec<u8>, Invalid> {
    let action = Action::List {
        filter: filter.clone(),
        order: order.to_vec(),
        page: Page { number: 1, limit: 1 },
        total: Total::Skipped,
        projection: Vec::new(),
        includes: Vec::new(),
        cursor: None,
    };
    let terms = Terms {
        plan: Plan { entity, action },
        read: ReadTerms {
            rows: rows.clone(),
            masks: Vec::new(),
            includes: Vec::new(),
        },
        write: Vec::new(),
        create: Predicate::False,
    };
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&schema.hash().0);
    codec::encode(&terms, &mut bytes).map_err(|_| Invalid::Cursor)?;
    Ok(bytes)
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
        Action::Read {
            target,
            projection,
            includes,
        } => {
            check_target(target, entity)?;
            check_projection(projection, entity)?;
            check_includes(includes, entity, &mut operands)
        }
        Action::FindFirst {
            filter,
            order,
            projection,
            includes,
        } => {
            operands.check(filter, entity)?;
            check_order(order, entity)?;
            check_projection(projection, entity)?;
            check_includes(includes, entity, &mut operands)
        }
        Action::List {
            filter,
            order,
            page,
            total: _,
            projection,
            includes,
            cursor,
        } => {
            if cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES) {
                return Err(Invalid::TooLarge("bytes of a cursor"));
            }
            if cursor.is_some() && page.number != 1 {
                return Err(Invalid::Contradiction("a cursor and a page"));
            }
            operands.check(filter, entity)?;
            check_order(order, entity)?;
            check_page(*page, entity)?;
            check_projection(projection, entity)?;
            check_includes(includes, entity, &mut operands)
        }
        Action::Count { filter } | Action::DeleteMany { filter } => operands.check(filter, entity),
        Action::Aggregate {
            filter,
            groups,
            count: _,
            measures,
            limit,
        } => {
            operands.check(filter, entity)?;
            check_groups(groups, measures, entity)?;
            check_limit(*limit, entity)
        }
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

/// Depth is bounded by `decide` and the decoder; the number is counted here again.
fn check_includes(includes: &[Include], entity: &Entity, operands: &mut Operands<'_>) -> Result<(), Invalid> {
    for include in includes {
        let Include {
            link,
            filter,
            order,
            limit,
            projection,
            includes,
        } = include;
        operands.include()?;
        let other = operands.linked(*link, entity)?;
        check_limit(*limit, other)?;
        operands.check(filter, other)?;
        check_order(order, other)?;
        check_projection(projection, other)?;
        check_includes(includes, other, operands)?;
    }
    Ok(())
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
    if page.number == 0 || page.limit == 0 {
        return Err(Invalid::Contradiction("a page or a limit of zero"));
    }
    if page.limit > most_rows(entity) {
        return Err(Invalid::TooLarge("rows"));
    }
    if page.offset() > u64::from(OFFSET_ROWS) {
        return Err(Invalid::TooLarge("rows before the page"));
    }
    Ok(())
}

fn check_limit(limit: u32, entity: &Entity) -> Result<(), Invalid> {
    if limit == 0 {
        Err(Invalid::Contradiction("a page or a limit of zero"))
    } else if limit > most_rows(entity) {
        Err(Invalid::TooLarge("rows"))
    } else {
        Ok(())
    }
}

fn check_groups(groups: &[ColumnId], measures: &[Measure], entity: &Entity) -> Result<(), Invalid> {
    if groups.len() > GROUP_KEYS || measures.len() > MEASURES {
        return Err(Invalid::TooLarge("groups or numbers"));
    }
    check_distinct(groups.iter().copied(), "a column that is grouped by twice")?;
    for column in groups {
        if !open_column(entity, *column)?.kind.is_comparable() {
            return Err(Invalid::WrongType);
        }
    }
    for Measure { function, column } in measures {
        if !open_column(entity, *column)?.kind.suits(*function) {
            return Err(Invalid::WrongType);
        }
    }
    Ok(())
}

fn most_rows(entity: &Entity) -> u32 {
    entity
        .max_rows
        .map_or(ROWS_PER_ANSWER, |most| most.min(ROWS_PER_ANSWER))
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
        | Action::Aggregate { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbal_schema::Source;

    const ENTITIES: &str = "
entity: Note
fields:
  id:     {type: uuid, primary: true, generated: true}
  title:  {type: string, required: true, max_length: 5}
  rank:   {type: integer, nullable: true}
  secret: {type: string, nullable: true, never_expose: true}
---
entity: Fixed
fields:
  id: {type: uuid, primary: true}
read_only: true
---
entity: Lease
fields: {id: {type: integer, primary: true}, until: {type: datetime, nullable: true, never_expose: true}}
ttl: {field: until, auto_delete: true}
---
entity: Passing
fields: {id: {type: string, primary: true}, until: {type: bigint, nullable: true}}
ttl: {field: until, auto_delete: true}
---
entity: Stays
fields: {id: {type: integer, primary: true}, until: {type: datetime, nullable: true}}
ttl: {field: until}
";

    const ID: ColumnId = ColumnId(0);
    const TITLE: ColumnId = ColumnId(1);
    const RANK: ColumnId = ColumnId(2);
    const SECRET: ColumnId = ColumnId(3);
    const NOWHERE: ColumnId = ColumnId(4);

    fn schema() -> Schema {
        let source = Source {
            name: "entities.yaml".to_owned(),
            text: ENTITIES.to_owned(),
        };
        Schema::parse(&[source]).unwrap().schema
    }

    /// What this process says of an action although its own policy granted it.
    fn check(action: &Action) -> Result<(), Invalid> {
        let schema = schema();
        check_action(action, schema.by_name("Note").unwrap(), &schema)
    }

    fn list(filter: Predicate, order: &[ColumnId], page: Page, projection: &[ColumnId]) -> Action {
        let ascending = |column: &ColumnId| SortKey {
            column: *column,
            direction: Direction::Ascending,
        };
        Action::List {
            filter,
            order: order.iter().map(ascending).collect(),
            page,
            total: Total::Counted,
            projection: projection.to_vec(),
            includes: Vec::new(),
            cursor: None,
        }
    }

    fn is(column: ColumnId, value: Value) -> Predicate {
        Predicate::Compare {
            column,
            op: Comparison::Eq,
            value,
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn assigned(values: &[(ColumnId, Value)]) -> Vec<Assignment> {
        let one = |(column, value): &(ColumnId, Value)| Assignment {
            column: *column,
            value: value.clone(),
        };
        values.iter().map(one).collect()
    }

    const FIRST: Page = Page { number: 1, limit: 10 };

    #[test]
    fn a_list_within_the_schema_and_the_limits_is_valid() {
        assert_eq!(
            check(&list(is(TITLE, text("a")), &[RANK], FIRST, &[ID, TITLE])),
            Ok(())
        );
    }

    #[test]
    fn a_column_that_is_never_exposed_is_refused_wherever_it_stands() {
        let ceiling = Err(Invalid::Ceiling("a column that is never exposed"));
        for action in [
            list(Predicate::True, &[], FIRST, &[SECRET]),
            list(Predicate::True, &[SECRET], FIRST, &[ID]),
            list(is(SECRET, text("a")), &[], FIRST, &[ID]),
            list(
                Predicate::Not(Box::new(Predicate::IsNull { column: SECRET })),
                &[],
                FIRST,
                &[ID],
            ),
        ] {
            assert_eq!(check(&action), ceiling, "{action:?}");
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_refused_wherever_it_stands() {
        for action in [
            list(Predicate::True, &[], FIRST, &[NOWHERE]),
            list(Predicate::True, &[NOWHERE], FIRST, &[ID]),
            list(Predicate::IsNull { column: NOWHERE }, &[], FIRST, &[ID]),
            Action::Create {
                values: assigned(&[(NOWHERE, Value::Null), (TITLE, text("a"))]),
                projection: vec![ID],
            },
        ] {
            assert_eq!(check(&action), Err(Invalid::UnknownColumn), "{action:?}");
        }
    }

    #[test]
    fn values_of_another_type_are_refused_wherever_they_stand() {
        let target = |column, value| Action::Delete {
            target: Target { column, value },
        };
        for filter in [
            is(RANK, text("1")),
            is(RANK, Value::Null),
            Predicate::In {
                column: RANK,
                values: vec![Value::Int(1), Value::Bool(true)],
            },
            Predicate::Between {
                column: TITLE,
                low: text("a"),
                high: Value::Int(1),
            },
            Predicate::CompareColumns {
                left: TITLE,
                op: Comparison::Eq,
                right: RANK,
            },
        ] {
            let action = list(filter, &[], FIRST, &[ID]);
            assert_eq!(check(&action), Err(Invalid::WrongType), "{action:?}");
        }
        assert_eq!(check(&target(ID, text("a"))), Err(Invalid::WrongType));
        assert_eq!(check(&target(TITLE, text("a"))), Err(Invalid::NotUnique));
    }

    #[test]
    fn more_than_the_limits_allow_is_refused() {
        let page = |number, limit| list(Predicate::True, &[], Page { number, limit }, &[ID]);
        assert_eq!(check(&page(1, ROWS_PER_ANSWER)), Ok(()));
        assert_eq!(
            check(&page(1, ROWS_PER_ANSWER + 1)),
            Err(Invalid::TooLarge("rows"))
        );
        assert_eq!(
            check(&page(u32::MAX, 10)),
            Err(Invalid::TooLarge("rows before the page"))
        );
        assert!(matches!(check(&page(0, 10)), Err(Invalid::Contradiction(_))));
        let many = Predicate::Or(vec![Predicate::True; 2_000]);
        assert_eq!(
            check(&Action::Count { filter: many }),
            Err(Invalid::TooLarge("conditions"))
        );
        let values = vec![Value::Int(1); 1_001];
        let long = Action::Count {
            filter: Predicate::In { column: RANK, values },
        };
        assert_eq!(check(&long), Err(Invalid::TooLarge("values of a list")));
        let rows = Action::CreateMany {
            rows: vec![Vec::new(); ROWS_PER_CREATE_MANY + 1],
        };
        assert_eq!(check(&rows), Err(Invalid::TooLarge("rows")));
    }

    #[test]
    fn plans_that_contradict_themselves_are_refused() {
        let upsert = |key: Value| Action::Upsert {
            target: Target {
                column: ID,
                value: Value::Uuid([1; 16]),
            },
            create: assigned(&[(ID, key), (TITLE, text("a"))]),
            update: assigned(&[(TITLE, text("b"))]),
            projection: vec![ID],
        };
        for action in [
            list(Predicate::True, &[], FIRST, &[ID, ID]),
            list(Predicate::True, &[RANK, RANK], FIRST, &[ID]),
            Action::UpdateMany {
                filter: Predicate::True,
                values: assigned(&[(RANK, Value::Int(1)), (RANK, Value::Int(2))]),
            },
            upsert(Value::Uuid([2; 16])),
        ] {
            assert!(
                matches!(check(&action), Err(Invalid::Contradiction(_))),
                "{action:?}"
            );
        }
        assert!(!matches!(
            check(&upsert(Value::Uuid([1; 16]))),
            Err(Invalid::Contradiction(_))
        ));
    }

    #[test]
    fn the_rules_of_fields_are_checked_again() {
        let create = |title: &str| Action::Create {
            values: assigned(&[(TITLE, text(title))]),
            projection: vec![ID],
        };
        assert_eq!(check(&create("short")), Ok(()));
        assert_eq!(
            check(&create("too long")),
            Err(Invalid::Fields(vec![(TITLE, Fault::TooLong { max: 5 })]))
        );
    }

    #[test]
    fn nobody_writes_a_read_only_entity() {
        let schema = schema();
        let fixed = schema.by_name("Fixed").unwrap();
        for operation in Operation::ALL {
            let is_read = matches!(operation, Operation::Read | Operation::List);
            assert_eq!(
                check_operation(fixed, operation).is_ok(),
                is_read,
                "{operation:?}"
            );
        }
    }

    #[test]
    fn only_rows_of_an_entity_that_says_so_are_removed_by_the_worker_itself() {
        const NOW: i64 = 1_700_000_000_000;
        let schema = Arc::new(schema());
        let id = |name: &str| schema.by_name(name).unwrap().id;
        let unread: Vec<Value> = (1..=8).map(Value::Int).collect();
        let sought = |but| Sought {
            now_ms: NOW,
            limit: 10,
            cursor: None,
            but,
            cells: ExpiredCells::KeyAndTime,
        };
        let removal =
            |name: &str, keys: Vec<Value>| ValidPlan::removal_of_expired(&schema, id(name), NOW, keys);
        for name in ["Note", "Fixed", "Stays"] {
            let found = ValidPlan::of_expired(&schema, id(name), sought(&[]));
            assert!(matches!(found, Err(Invalid::Ceiling(_))), "{name}");
            assert!(
                matches!(removal(name, Vec::new()), Err(Invalid::Ceiling(_))),
                "{name}"
            );
        }
        assert_eq!(removal("Lease", vec![text("a")]).unwrap_err(), Invalid::WrongType);
        let many = vec![Value::Int(1); IN_LIST_VALUES + 1];
        assert!(matches!(
            removal("Lease", many).unwrap_err(),
            Invalid::TooLarge(_)
        ));

        let statement = |plan: &ValidPlan| {
            let steps = crate::Steps::of_plan(plan, &crate::SQLITE).unwrap();
            if let crate::Steps::List { rows, .. } = steps {
                return rows.statement;
            }
            let crate::Steps::DeleteMany(bulk) = steps else {
                panic!("{steps:?}");
            };
            bulk.write
        };
        let one = statement(&removal("Lease", vec![Value::Int(1)]).unwrap());
        assert!(one.sql().contains("\"until\" <= ?"), "{}", one.sql());
        assert_eq!(one.parameters(), [Value::Int(1), Value::Timestamp(NOW)]);
        // Few texts, whatever the number of keys.
        let of = |count: i64| statement(&removal("Lease", (1..=count).map(Value::Int).collect()).unwrap());
        assert_eq!(of(2).sql(), of(16).sql());
        assert_eq!(of(9).parameters().len(), 17);
        let but = |count: usize| {
            let plan = ValidPlan::of_expired(&schema, id("Lease"), sought(&unread[..count]));
            statement(&plan.unwrap())
        };
        assert!(but(2).sql().contains("NOT ("), "{}", but(2).sql());
        assert_eq!(but(2).sql(), but(8).sql());
        assert!(!but(0).sql().contains("NOT ("), "{}", but(0).sql());
        // A number that can't be Unix ms is no time.
        let found = statement(&ValidPlan::of_expired(&schema, id("Passing"), sought(&[])).unwrap());
        assert!(
            found.sql().contains("\"until\" BETWEEN ? AND ?"),
            "{}",
            found.sql()
        );
        assert_eq!(
            found.parameters()[..2],
            [Value::Int(Ttl::LEAST_MS), Value::Int(NOW)]
        );
    }
}
