//! Whether a plan makes sense at all, whoever sent it: in the worker it comes from a broker that may be anybody's.

use dbal_schema::{Arity, Column, ColumnSet, ColumnType, Entity, Schema};
use dbal_shared::fault::Fault;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::limits::{
    CURSOR_BYTES, FRAME_DEPTH, GROUP_KEYS, IN_LIST_VALUES, INCLUDES, MEASURES, OFFSET_ROWS, PREDICATE_NODES,
    RELATION_DEPTH, RELATIONS, ROWS_PER_ANSWER, ROWS_PER_CREATE_MANY, SORT_KEYS,
};
use dbal_shared::plan::{Action, Assignment, Include, Measure, Page, SortKey, Target, Total};
use dbal_shared::predicate::{Link, Predicate};
use dbal_shared::value::Value;

use crate::denied::Reason;
use crate::operators;
use crate::together::Before;

// As the words below say.
const _: () = assert!(PREDICATE_NODES == 2_000 && RELATION_DEPTH == 3 && INCLUDES == 8 && RELATIONS == 16);

/// What a well-formed plan speaks of.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    /// Columns of filter, sort and target: whoever could use a hidden one there could guess its values.
    pub(crate) probed: ColumnSet,
    /// Whether one row is named, and not sought by a filter.
    pub(crate) target: Option<ColumnId>,
    /// Nodes of the filter and values in its lists.
    pub(crate) nodes: usize,
    /// What is wrong with single columns, wherever they stand.
    pub(crate) faults: Vec<(ColumnId, Fault)>,
    /// Linked rows that the plan speaks of, however deep.
    pub(crate) linked: Vec<Linked>,
    /// Columns that lead to included rows. They must be readable, but tell nothing of a row that is not shown.
    pub(crate) leading: ColumnSet,
    /// Included relations, however deep.
    pub(crate) includes: usize,
    /// Most rows that they bring along.
    pub(crate) included_rows: u64,
}

/// What a plan says of the rows of a linked entity.
#[derive(Debug)]
pub(crate) struct Linked {
    /// The column of the plan's own entity by which they are reached. What is wrong is told of it.
    pub(crate) through: ColumnId,
    /// The linked entity.
    pub(crate) entity: EntityId,
    /// Columns of it that the plan speaks of, but for those that it only shows, and the ones that link.
    pub(crate) probed: ColumnSet,
    /// What is wrong with single columns of it.
    pub(crate) faults: Vec<(ColumnId, Fault)>,
}

/// Looks through the whole plan. Faults of columns are collected, since hidden ones have to be disguised; what is wrong
/// with the plan itself ends it.
pub(crate) fn inspect(
    action: &Action,
    entity: &Entity,
    schema: &Schema,
    before: Before<'_>,
) -> Result<Inspected, Reason> {
    let mut inspection = Inspection::new(entity, schema, before);
    match action {
        Action::Read {
            target,
            projection,
            includes,
        } => {
            inspection.target(target);
            inspection.shown(projection, includes, 1)?;
        }
        Action::FindFirst {
            filter,
            order,
            projection,
            includes,
        } => {
            inspection.filter(filter)?;
            inspection.order(order)?;
            inspection.shown(projection, includes, 1)?;
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
            inspection.filter(filter)?;
            inspection.order(order)?;
            inspection.shown(projection, includes, page.limit)?;
            page_in_bounds(*page)?;
            cursor_in_bounds(cursor.as_deref(), *page)?;
        }
        Action::Count { filter } | Action::DeleteMany { filter } => inspection.filter(filter)?,
        Action::Aggregate {
            filter,
            groups,
            count,
            measures,
            limit,
        } => {
            inspection.filter(filter)?;
            inspection.groups(groups)?;
            inspection.measures(measures)?;
            if *count == Total::Skipped && measures.is_empty() && groups.is_empty() {
                return Err(Reason::Malformed("nothing is asked of the rows"));
            }
            if *limit == 0 {
                return Err(Reason::Malformed("pages and limits begin at 1"));
            }
        }
        Action::Create { values, projection } => {
            inspection.values(values);
            inspection.projection(projection)?;
        }
        Action::CreateMany { rows } => {
            if rows.len() > ROWS_PER_CREATE_MANY {
                return Err(Reason::TooLarge("too many rows in one createMany"));
            }
            for row in rows {
                inspection.values(row);
            }
        }
        Action::Update {
            target,
            values,
            projection,
        } => {
            inspection.target(target);
            inspection.values(values);
            inspection.projection(projection)?;
            names_a_field(values)?;
        }
        Action::UpdateMany { filter, values } => {
            inspection.filter(filter)?;
            inspection.values(values);
            names_a_field(values)?;
        }
        Action::Delete { target } => inspection.target(target),
        Action::Upsert {
            target,
            create,
            update,
            projection,
        } => {
            inspection.target(target);
            inspection.values(create);
            inspection.values(update);
            inspection.projection(projection)?;
            names_target(create, target)?;
        }
    }
    Ok(inspection.found)
}

struct Inspection<'a> {
    schema: &'a Schema,
    entity: &'a Entity,
    before: Before<'a>,
    /// Links between this entity and the plan's own.
    steps: usize,
    found: Inspected,
    faulty: ColumnSet,
    names_unknown: bool,
}

impl<'a> Inspection<'a> {
    fn new(entity: &'a Entity, schema: &'a Schema, before: Before<'a>) -> Self {
        Self {
            schema,
            entity,
            before,
            steps: 0,
            found: Inspected::default(),
            faulty: ColumnSet::new(),
            names_unknown: false,
        }
    }

    fn target(&mut self, target: &Target) {
        let Target { column, value } = target;
        let Some(found) = self.column(*column) else { return };
        self.found.probed.insert(*column);
        self.found.target = Some(*column);
        if self.entity.is_unique(*column) {
            self.operand(found, value);
        } else {
            self.fault(*column, wrong("a unique field"));
        }
    }

    fn projection(&mut self, projection: &[ColumnId]) -> Result<(), Reason> {
        let mut seen = ColumnSet::new();
        for column in projection {
            self.column(*column);
            once(&mut seen, *column, "a field is selected twice")?;
        }
        Ok(())
    }

    /// What a read answers of each of so many rows.
    fn shown(&mut self, projection: &[ColumnId], includes: &[Include], rows: u32) -> Result<(), Reason> {
        self.projection(projection)?;
        names_a_field(projection)?;
        self.includes(includes, u64::from(rows.min(ROWS_PER_ANSWER)))
    }

    fn includes(&mut self, includes: &[Include], rows: u64) -> Result<(), Reason> {
        for (nth, include) in includes.iter().enumerate() {
            let Include {
                link,
                filter,
                order,
                limit,
                projection,
                includes: further,
            } = include;
            if includes.iter().take(nth).any(|earlier| earlier.link == *link) {
                return Err(Reason::Malformed("a relation is included twice"));
            }
            if *limit == 0 {
                return Err(Reason::Malformed("pages and limits begin at 1"));
            }
            let Some((mut linked, arity)) = self.step(*link)? else {
                continue;
            };
            self.found.leading.insert(link.column);
            let each = match arity {
                Arity::One => 1,
                Arity::Many => u64::from((*limit).min(ROWS_PER_ANSWER)),
            };
            let rows = rows.saturating_mul(each);
            linked.filter(filter)?;
            linked.order(order)?;
            linked.projection(projection)?;
            names_a_field(projection)?;
            linked.includes(further, rows)?;
            let found = &mut linked.found;
            found.includes = found.includes.saturating_add(1);
            found.included_rows = found.included_rows.saturating_add(rows);
            self.absorb(*link, linked)?;
        }
        Ok(())
    }

    fn order(&mut self, order: &[SortKey]) -> Result<(), Reason> {
        if order.len() > SORT_KEYS {
            return Err(Reason::TooLarge("too many fields to sort by"));
        }
        let mut seen = ColumnSet::new();
        for SortKey { column, direction: _ } in order {
            let Some(found) = self.column(*column) else {
                continue;
            };
            self.found.probed.insert(*column);
            once(&mut seen, *column, "a field is sorted by twice")?;
            if !found.kind.is_sortable() {
                self.fault(*column, wrong("a field that can be sorted by"));
            }
        }
        Ok(())
    }

    /// Whoever learns of groups, or of numbers over them, learns of values.
    fn groups(&mut self, groups: &[ColumnId]) -> Result<(), Reason> {
        if groups.len() > GROUP_KEYS {
            return Err(Reason::TooLarge("too many fields to group by"));
        }
        let mut seen = ColumnSet::new();
        for column in groups {
            once(&mut seen, *column, "a field is grouped by twice")?;
            self.probe(*column, ColumnType::is_comparable, &[]);
        }
        Ok(())
    }

    fn measures(&mut self, measures: &[Measure]) -> Result<(), Reason> {
        if measures.len() > MEASURES {
            return Err(Reason::TooLarge("too many sums, averages, minima and maxima"));
        }
        for (nth, Measure { function, column }) in measures.iter().enumerate() {
            if measures
                .iter()
                .take(nth)
                .any(|earlier| earlier.function == *function && earlier.column == *column)
            {
                return Err(Reason::Malformed("the same is asked twice"));
            }
            self.probe(*column, |kind| kind.suits(*function), &[]);
        }
        Ok(())
    }

    fn values(&mut self, values: &[Assignment]) {
        let mut seen = ColumnSet::new();
        for Assignment { column, value } in values {
            let Some(found) = self.column(*column) else {
                continue;
            };
            if seen.contains(*column) {
                self.fault(*column, wrong("given once"));
            }
            seen.insert(*column);
            if *value == Value::Null {
                if !found.is_nullable {
                    self.fault(*column, Fault::Required);
                }
            } else {
                self.operand(found, value);
            }
        }
    }

    fn filter(&mut self, filter: &Predicate) -> Result<(), Reason> {
        self.predicate(filter, FRAME_DEPTH)
    }

    /// Depth is bounded by the decoder too; here it guards our own recursion.
    fn predicate(&mut self, predicate: &Predicate, depth: usize) -> Result<(), Reason> {
        let depth = depth
            .checked_sub(1)
            .ok_or(Reason::TooLarge("the filter is nested too deep"))?;
        self.weigh(1)?;
        match predicate {
            Predicate::True | Predicate::False => {}
            Predicate::Compare { column, op, value } => {
                self.probe(*column, |kind| operators::compares(kind, *op), &[value]);
            }
            Predicate::CompareColumns { left, op, right } => {
                self.probe(*left, |kind| operators::compares(kind, *op), &[]);
                self.probe(*right, |kind| operators::compares(kind, *op), &[]);
                if let (Some(one), Some(other)) = (self.column(*left), self.column(*right))
                    && !one.kind.is_like(other.kind)
                {
                    self.fault(*left, wrong("of the type that it is compared with"));
                }
            }
            Predicate::In { column, values } => {
                if values.len() > IN_LIST_VALUES {
                    return Err(Reason::TooLarge("too many values in a list"));
                }
                self.weigh(values.len())?;
                let values: Vec<&Value> = values.iter().collect();
                self.probe(*column, ColumnType::is_comparable, &values);
            }
            Predicate::Matches {
                column,
                position: _,
                text,
                case: _,
            } => {
                self.probe(*column, ColumnType::is_text, &[]);
                if text.contains('\0') {
                    self.fault(*column, wrong("text without the character U+0000"));
                }
            }
            Predicate::IsNull { column } => self.probe(*column, |_| true, &[]),
            Predicate::Between { column, low, high } => {
                self.probe(*column, ColumnType::is_ordered, &[low, high]);
            }
            Predicate::Related {
                link,
                quantifier: _,
                within,
                predicate,
            } => {
                if **within != Predicate::True {
                    return Err(Reason::Malformed(
                        "which linked rows count is not for the caller to say",
                    ));
                }
                if let Some((mut linked, _)) = self.step(*link)? {
                    self.found.probed.insert(link.column);
                    linked.predicate(predicate, depth)?;
                    self.absorb(*link, linked)?;
                }
            }
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().try_for_each(|part| self.predicate(part, depth))?;
            }
            Predicate::Not(inner) => self.predicate(inner, depth)?,
        }
        Ok(())
    }

    /// The other end of a link. None, and a fault, where no foreign key links so: a plan can't join what it likes.
    fn step(&mut self, link: Link) -> Result<Option<(Inspection<'a>, Arity)>, Reason> {
        if self.column(link.column).is_none() {
            return Ok(None);
        }
        let (Some(relation), Some(entity)) = (self.entity.relation(link), self.schema.entity(link.entity))
        else {
            self.fault(link.column, Fault::Unknown);
            return Ok(None);
        };
        let steps = self.steps.saturating_add(1);
        if steps > RELATION_DEPTH {
            return Err(Reason::TooLarge("relations are nested more than 3 deep"));
        }
        let mut linked = Self {
            steps,
            ..Self::new(entity, self.schema, self.before)
        };
        linked.found.nodes = self.found.nodes;
        linked.found.probed.insert(link.foreign);
        Ok(Some((linked, relation.arity)))
    }

    /// Takes in what was found at the other end.
    fn absorb(&mut self, link: Link, linked: Inspection<'a>) -> Result<(), Reason> {
        let Inspected {
            probed,
            target: _,
            nodes,
            faults,
            linked: further,
            leading,
            includes,
            included_rows,
        } = linked.found;
        let mine = &mut self.found;
        mine.nodes = nodes;
        mine.includes = mine.includes.saturating_add(includes);
        mine.included_rows = mine.included_rows.saturating_add(included_rows);
        let through = link.column;
        self.found.linked.push(Linked {
            through,
            entity: linked.entity.id,
            probed: probed.union(&leading),
            faults,
        });
        let further = further.into_iter().map(|one| Linked { through, ..one });
        self.found.linked.extend(further);
        if self.found.includes > INCLUDES {
            return Err(Reason::TooLarge("more than 8 relations are included"));
        }
        if self.found.linked.len().saturating_sub(self.found.includes) > RELATIONS {
            return Err(Reason::TooLarge(
                "the filter has conditions on more than 16 relations",
            ));
        }
        Ok(())
    }

    fn probe(&mut self, column: ColumnId, suits: impl Fn(ColumnType) -> bool, values: &[&Value]) {
        let Some(found) = self.column(column) else { return };
        self.found.probed.insert(column);
        if suits(found.kind) {
            for value in values {
                self.operand(found, value);
            }
        } else {
            self.fault(column, wrong("of a type that has this operator"));
        }
    }

    fn operand(&mut self, column: &Column, value: &Value) {
        let fault = if let Value::Earlier(earlier) = value {
            self.before.fault(*earlier, column)
        } else {
            column.fault_of_operand(value)
        };
        if let Some(fault) = fault {
            self.fault(column.id, fault);
        }
    }

    /// The column, or a fault.
    fn column(&mut self, column: ColumnId) -> Option<&'a Column> {
        let found = self.entity.column(column);
        if found.is_none() && !self.names_unknown {
            // One is enough: no honest broker names any, and a hostile one could name thousands.
            self.names_unknown = true;
            self.found.faults.push((column, Fault::Unknown));
        }
        found
    }

    /// The first fault of a column tells; that keeps the list no longer than the entity.
    fn fault(&mut self, column: ColumnId, fault: Fault) {
        if !self.faulty.contains(column) {
            self.faulty.insert(column);
            self.found.faults.push((column, fault));
        }
    }

    fn weigh(&mut self, nodes: usize) -> Result<(), Reason> {
        self.found.nodes = self.found.nodes.saturating_add(nodes);
        if self.found.nodes > PREDICATE_NODES {
            Err(Reason::TooLarge(
                "the filter has more than 2000 conditions and values in lists",
            ))
        } else {
            Ok(())
        }
    }
}

fn once(seen: &mut ColumnSet, column: ColumnId, text: &'static str) -> Result<(), Reason> {
    if seen.contains(column) {
        return Err(Reason::Malformed(text));
    }
    seen.insert(column);
    Ok(())
}

fn wrong(expected: &str) -> Fault {
    Fault::WrongType {
        expected: expected.to_owned(),
    }
}

fn names_a_field<T>(list: &[T]) -> Result<(), Reason> {
    if list.is_empty() {
        Err(Reason::Malformed("no field is named"))
    } else {
        Ok(())
    }
}

fn page_in_bounds(page: Page) -> Result<(), Reason> {
    let end = page.offset().saturating_add(u64::from(page.limit));
    if page.number == 0 || page.limit == 0 {
        Err(Reason::Malformed("pages and limits begin at 1"))
    } else if end > u64::from(OFFSET_ROWS) {
        Err(Reason::TooLarge("the page lies too far back"))
    } else {
        Ok(())
    }
}

/// What it means is for the worker to find out.
fn cursor_in_bounds(cursor: Option<&[u8]>, page: Page) -> Result<(), Reason> {
    match cursor {
        Some(cursor) if cursor.len() > CURSOR_BYTES => Err(Reason::TooLarge("the cursor is too long")),
        Some(_) if page.number != 1 => Err(Reason::Malformed("a cursor takes the place of a page")),
        Some(_) | None => Ok(()),
    }
}

/// INVARIANT: the worker looks for the existing row by the target, and would else create one that it does not find again.
fn names_target(create: &[Assignment], target: &Target) -> Result<(), Reason> {
    let names = |one: &Assignment| one.column == target.column && one.value == target.value;
    if create.iter().any(names) {
        Ok(())
    } else {
        Err(Reason::Malformed("a new row must have the value it is sought by"))
    }
}
