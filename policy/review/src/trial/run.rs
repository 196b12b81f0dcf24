//! One call on rows in memory: read, decided and done as the daemons do it, as far as a policy has a say.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use dbal_call::{Method, Params, Wanted, interpret};
use dbal_policy::{Grant, Policy, order};
use dbal_schema::{Column, ColumnSet, Entity, json_text};
use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Direction, Plan, SortKey, Target};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::terms::{ReadTerms, Terms};
use dbal_shared::value::Value;
use serde_json::Value as Shown;

use super::memory::{Memory, Row};

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Got {
    /// The error's number; nothing where it was answered.
    pub(super) code: Option<u16>,
    /// Rows that were answered: fields by name, without those that are hidden in them.
    pub(super) rows: Vec<BTreeMap<String, Shown>>,
    /// The field that is the key.
    pub(super) key: String,
    /// Rows that were found or changed, all pages of them.
    pub(super) count: u64,
    /// Whether it named or filtered rows and found none.
    pub(super) is_missed: bool,
    /// Whether the order of the rows was asked for.
    pub(super) is_sorted: bool,
    /// Rules that granted, or why it was refused.
    pub(super) because: String,
}

pub(super) fn run(
    policy: &Policy,
    memory: &Memory,
    principal: &Principal,
    method: Method,
    params: &Params,
) -> Got {
    let subject = policy.subject(principal);
    let call = match interpret(method, params, policy, &subject) {
        Ok(call) => call,
        Err(refusal) => return Got::refused(refusal.code(), refusal.operator()),
    };
    let Wanted::One(plan) = call.wanted else {
        return Got::refused(Code::Unsupported, "several calls at once are not run in memory");
    };
    if let Some(what) = beyond(&plan.action) {
        return Got::refused(Code::Unsupported, &format!("{what} is not run in memory"));
    }
    let grant = match policy.decide(&subject, plan) {
        Ok(grant) => grant,
        Err(denied) => {
            let rule = denied
                .rule()
                .map_or_else(String::new, |rule| format!(" (rule `{rule}`)"));
            return Got::refused(denied.client().0, &format!("{}{rule}", denied.operator()));
        }
    };
    let because = granted(&grant);
    let Terms {
        plan: Plan { entity, action },
        read,
        write,
        create,
    } = *grant.into_terms();
    let Some(entity) = policy.schema().entity(entity) else {
        return Got::refused(Code::Internal, "no such entity");
    };
    let trial = Trial {
        memory,
        entity,
        read,
        ways: write.into_iter().map(|way| (way.before, way.after)).collect(),
        create,
    };
    Got {
        key: entity
            .column(entity.key)
            .map_or_else(String::new, |column| column.name.clone()),
        because,
        ..trial.act(action)
    }
}

/// What a call asks for that only a database answers.
fn beyond(action: &Action) -> Option<&'static str> {
    match action {
        Action::Read { includes, .. } | Action::FindFirst { includes, .. } if !includes.is_empty() => {
            Some("`include`")
        }
        Action::List { includes, .. } if !includes.is_empty() => Some("`include`"),
        Action::List { cursor: Some(_), .. } => Some("`cursor`"),
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::Update { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => None,
    }
}

fn granted(grant: &Grant) -> String {
    let mut rules: Vec<&str> = grant.rules().collect();
    rules.dedup();
    format!("granted by {}", rules.join(", "))
}

impl Got {
    fn refused(code: Code, because: &str) -> Self {
        Self {
            code: Some(code.number()),
            because: because.to_owned(),
            ..Self::default()
        }
    }

    fn changed(count: usize) -> Self {
        Self {
            count: u64::try_from(count).unwrap_or(u64::MAX),
            is_missed: count == 0,
            ..Self::default()
        }
    }
}

struct Trial<'a> {
    memory: &'a Memory,
    entity: &'a Entity,
    read: ReadTerms,
    /// Conditions before and after a change, of which one pair must hold.
    ways: Vec<(Predicate, Predicate)>,
    create: Predicate,
}

impl Trial<'_> {
    fn act(&self, action: Action) -> Got {
        match action {
            Action::Read {
                target,
                projection,
                includes: _,
            } => self.page(&named(&target), &[], 0..1, &projection),
            Action::FindFirst {
                filter,
                order,
                projection,
                includes: _,
            } => self.page(&filter, &order, 0..1, &projection),
            Action::List {
                filter,
                order,
                page,
                total: _,
                projection,
                includes: _,
                cursor: _,
            } => {
                let from = usize::try_from(page.offset()).unwrap_or(usize::MAX);
                let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
                self.page(&filter, &order, from..from.saturating_add(limit), &projection)
            }
            Action::Count { filter } | Action::Aggregate { filter, .. } => Got {
                is_missed: false,
                ..Got::changed(self.found(&filter).len())
            },
            Action::Create { values, projection } => self.create(&[values], &projection),
            Action::CreateMany { rows } => self.create(&rows, &[]),
            Action::Update {
                target,
                values,
                projection,
            } => match self.target(&target) {
                Some(row) => self.update(&[row], &values, &projection),
                None => Got::refused(Code::NotFound, "no such row within reach"),
            },
            Action::UpdateMany { filter, values } => {
                let rows = self.reached(&filter);
                if rows.is_empty() {
                    return Got::changed(0);
                }
                self.update(&rows, &values, &[])
            }
            Action::Delete { target } => Got::changed(self.reached(&named(&target)).len()),
            Action::DeleteMany { filter } => Got::changed(self.reached(&filter).len()),
            Action::Upsert {
                target,
                create,
                update,
                projection,
            } => {
                let exists = self
                    .all()
                    .iter()
                    .any(|row| self.memory.holds(&named(&target), row));
                match self.target(&target) {
                    Some(row) => self.update(&[row], &update, &projection),
                    None if exists => Got::refused(Code::Conflict, "the row exists, out of reach"),
                    None => self.create(&[create], &projection),
                }
            }
        }
    }

    fn all(&self) -> &[Row] {
        self.memory.rows(self.entity.id)
    }

    /// Rows that a read finds.
    fn found(&self, filter: &Predicate) -> Vec<&Row> {
        let shown = self
            .all()
            .iter()
            .filter(|row| self.memory.holds(&self.read.rows, row));
        shown.filter(|row| self.memory.holds(filter, row)).collect()
    }

    /// Rows that a write finds.
    fn reached(&self, filter: &Predicate) -> Vec<&Row> {
        let found = self.all().iter().filter(|row| self.memory.holds(filter, row));
        found
            .filter(|row| self.ways.iter().any(|(before, _)| self.memory.holds(before, row)))
            .collect()
    }

    fn target(&self, target: &Target) -> Option<&Row> {
        self.reached(&named(target)).into_iter().next()
    }

    fn page(
        &self,
        filter: &Predicate,
        order: &[SortKey],
        range: std::ops::Range<usize>,
        projection: &[ColumnId],
    ) -> Got {
        let mut rows = self.found(filter);
        rows.sort_by(|one, other| self.ordered(order, one, other));
        let page = rows.iter().skip(range.start).take(range.len());
        Got {
            rows: page.map(|row| self.shown(row, projection)).collect(),
            is_missed: rows.is_empty(),
            is_sorted: !order.is_empty(),
            ..Got::changed(rows.len())
        }
    }

    /// By the sort keys, then by the key. NULL is the smallest.
    fn ordered(&self, keys: &[SortKey], one: &Row, other: &Row) -> Ordering {
        let by = |column: ColumnId| {
            let nth = usize::from(column.0);
            match (one.get(nth), other.get(nth)) {
                (Some(Value::Null), Some(Value::Null)) => Ordering::Equal,
                (Some(Value::Null), _) => Ordering::Less,
                (_, Some(Value::Null)) => Ordering::Greater,
                (Some(one), Some(other)) => order(one, other).unwrap_or(Ordering::Equal),
                (None, _) | (_, None) => Ordering::Equal,
            }
        };
        keys.iter()
            .map(|key| match key.direction {
                Direction::Ascending => by(key.column),
                Direction::Descending => by(key.column).reverse(),
            })
            .find(|order| order.is_ne())
            .unwrap_or_else(|| by(self.entity.key))
    }

    /// The fields that are shown in this row.
    fn shown(&self, row: &Row, projection: &[ColumnId]) -> BTreeMap<String, Shown> {
        let is_shown = |column: &&ColumnId| {
            let mask = self.read.masks.iter().find(|mask| mask.column == **column);
            mask.is_none_or(|mask| self.memory.holds(&mask.shown_when, row))
        };
        let columns = projection.iter().filter(is_shown);
        columns
            .filter_map(|column| Some((self.entity.column(*column)?, row.get(usize::from(column.0))?)))
            .map(|(column, value)| (column.name.clone(), json(column, value)))
            .collect()
    }

    fn create(&self, rows: &[Vec<Assignment>], projection: &[ColumnId]) -> Got {
        let mut made: Vec<Row> = Vec::new();
        for values in rows {
            let faults = self.entity.faults_of_create(values);
            if !faults.is_empty() {
                return Got::refused(Code::Invalid, &self.entity.describe(&faults));
            }
            let row = with(Memory::blank(self.entity), values);
            if !self.memory.holds(&self.create, &row) {
                return Got::refused(Code::Forbidden, "a row that no rule lets the caller make");
            }
            if self.collides(&row, self.all().iter().chain(&made)) {
                return Got::refused(Code::Conflict, "a unique value is taken");
            }
            made.push(row);
        }
        self.written(&made, projection)
    }

    fn update(&self, rows: &[&Row], values: &[Assignment], projection: &[ColumnId]) -> Got {
        let faults = self.entity.faults_of_update(values);
        if !faults.is_empty() {
            return Got::refused(Code::Invalid, &self.entity.describe(&faults));
        }
        let mut after: Vec<Row> = Vec::new();
        for row in rows {
            let new = with((*row).clone(), values);
            let is_allowed = self
                .ways
                .iter()
                .any(|(before, check)| self.memory.holds(before, row) && self.memory.holds(check, &new));
            if !is_allowed {
                return Got::refused(
                    Code::Forbidden,
                    "the row would be what no rule lets the caller make of it",
                );
            }
            let others = self.all().iter().filter(|other| !std::ptr::eq(*other, *row));
            if self.collides(&new, others.chain(&after)) {
                return Got::refused(Code::Conflict, "a unique value is taken");
            }
            after.push(new);
        }
        self.written(&after, projection)
    }

    /// The answer to a write shows of the written rows what `read` shows of them.
    fn written(&self, rows: &[Row], projection: &[ColumnId]) -> Got {
        let seen = rows.iter().filter(|row| self.memory.holds(&self.read.rows, row));
        Got {
            rows: seen.map(|row| self.shown(row, projection)).collect(),
            ..Got::changed(rows.len())
        }
    }

    fn collides<'r>(&self, row: &Row, others: impl Iterator<Item = &'r Row>) -> bool {
        let unique: ColumnSet = self
            .entity
            .columns
            .iter()
            .map(|column| column.id)
            .filter(|column| self.entity.is_unique(*column))
            .collect();
        let mut others = others;
        others.any(|other| {
            unique.iter().any(|column| {
                let nth = usize::from(column.0);
                row.get(nth).is_some_and(|value| *value != Value::Null) && row.get(nth) == other.get(nth)
            })
        })
    }
}

fn named(target: &Target) -> Predicate {
    let Target { column, value } = target;
    if *value == Value::Null {
        return Predicate::IsNull { column: *column };
    }
    Predicate::Compare {
        column: *column,
        op: dbal_shared::predicate::Comparison::Eq,
        value: value.clone(),
    }
}

fn with(mut row: Row, values: &[Assignment]) -> Row {
    for Assignment { column, value } in values {
        if let Some(place) = row.get_mut(usize::from(column.0)) {
            *place = value.clone();
        }
    }
    row
}

/// A value as the daemon answers it.
fn json(column: &Column, value: &Value) -> Shown {
    let mut text = String::new();
    json_text::push_value(column, value, &mut text);
    serde_json::from_str(&text).unwrap_or(Shown::Null)
}
