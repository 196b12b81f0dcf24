//! What a write does, or why it does nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::calls::{Call, Data, Filter};
use super::expression::{Expression, Operand};
use super::model::{Caller, Expected, FRESH, Kind, World};
use super::rules::{Operation, Rule};
use super::seen::is_open;
use super::table::Row;

/// Codes, any of which may be told.
pub(super) type Refused = Vec<i64>;

type Forced = Option<(&'static str, Value)>;

/// The rules that let a write happen, and what they force.
struct Writers<'a> {
    rules: Vec<&'a Rule>,
    forced: Forced,
}

/// How the rows of a write are found.
enum Found<'a> {
    ById(&'a Value),
    ByU(&'a Value),
    ByFilter(Option<&'a Filter>),
}

impl Found<'_> {
    fn probed(&self, kind: Kind) -> BTreeSet<&'static str> {
        match self {
            Found::ById(_) | Found::ByFilter(None) => BTreeSet::new(),
            Found::ByU(_) => BTreeSet::from(["u"]),
            Found::ByFilter(Some(filter)) => filter.fields(kind),
        }
    }
}

fn constant(condition: Option<&Expression>, caller: &Caller) -> Option<bool> {
    condition.map_or(Some(true), |condition| condition.constant(caller))
}

/// "On create, null for a field that may be left out is the same as leaving it out."
fn said(data: &Data) -> Data {
    data.iter()
        .filter(|(_, value)| !value.is_null())
        .cloned()
        .collect()
}

impl World {
    pub(super) fn write(&mut self, caller: &Caller, call: &Call) -> Result<Expected, Refused> {
        match call {
            Call::Create { kind, data } => {
                self.check_known(*kind, Operation::Create, caller, std::slice::from_ref(data))?;
                let row = self.create(*kind, caller, &[said(data)])?;
                Ok(Expected::Result(
                    row.map_or(Value::Null, |row| self.answer(*kind, caller, &row)),
                ))
            }
            Call::CreateMany { kind, rows } => {
                self.check_known(*kind, Operation::Create, caller, rows)?;
                let rows: Vec<Data> = rows.iter().map(said).collect();
                self.create(*kind, caller, &rows)?;
                Ok(Expected::Result(json!(rows.len())))
            }
            Call::Update { kind, id, data } => self.update_one(*kind, caller, &Found::ById(id), data),
            Call::UpdateByField { kind, u, data } => self.update_one(*kind, caller, &Found::ByU(u), data),
            Call::UpdateMany { kind, filter, data } => {
                let changed = self.update(*kind, caller, &Found::ByFilter(filter.as_ref()), data)?;
                Ok(Expected::Result(json!(changed.len())))
            }
            Call::Delete { kind, id } => Ok(Expected::Result(json!(
                self.delete(*kind, caller, &Found::ById(id))? > 0
            ))),
            Call::DeleteByField { kind, u } => Ok(Expected::Result(json!(
                self.delete(*kind, caller, &Found::ByU(u))? > 0
            ))),
            Call::DeleteMany { kind, filter } => Ok(Expected::Result(json!(self.delete(
                *kind,
                caller,
                &Found::ByFilter(filter.as_ref())
            )?))),
            Call::Upsert {
                kind,
                u,
                create,
                update,
            } => self.upsert(*kind, caller, u, create, update),
            other => panic!("{other:?} is no write"),
        }
    }

    fn update_one(
        &mut self,
        kind: Kind,
        caller: &Caller,
        found: &Found<'_>,
        data: &Data,
    ) -> Result<Expected, Refused> {
        match self.update(kind, caller, found, data)?.first() {
            Some(row) => Ok(Expected::Result(self.answer(kind, caller, row))),
            None => Err(vec![404]),
        }
    }

    fn upsert(
        &mut self,
        kind: Kind,
        caller: &Caller,
        u: &Value,
        create: &Data,
        update: &Data,
    ) -> Result<Expected, Refused> {
        self.granted(kind, Operation::Create, caller)?;
        self.granted(kind, Operation::Update, caller)?;
        let found = Found::ByU(u);
        self.check_found(kind, caller, &found)?;
        let rows = &[said(create)];
        self.check_known(kind, Operation::Create, caller, std::slice::from_ref(create))?;
        self.check_known(kind, Operation::Update, caller, std::slice::from_ref(update))?;
        let writers = self.writers(kind, Operation::Create, caller, rows, false)?;
        self.check_creatable(kind, caller, &writers)?;
        let changed = self.update(kind, caller, &found, update)?;
        let row = match changed.first() {
            Some(row) => Some(row.clone()),
            None => self.create(kind, caller, rows)?,
        };
        Ok(Expected::Result(
            row.map_or(Value::Null, |row| self.answer(kind, caller, &row)),
        ))
    }

    /// What the caller is told of a row that was written.
    fn answer(&self, kind: Kind, caller: &Caller, row: &Row) -> Value {
        let sight = self.sight_for_writes(kind, caller);
        if sight.sees(row) {
            sight.told(row, &sight.readable())
        } else {
            Value::Null
        }
    }

    /// The fields by which rows are found must be ones that the caller may read.
    fn check_found(&self, kind: Kind, caller: &Caller, found: &Found<'_>) -> Result<(), Refused> {
        let sight = self.sight_for_writes(kind, caller);
        match found {
            Found::ById(_) | Found::ByFilter(None) => Ok(()),
            Found::ByU(_) => self.probed(&sight, caller, None, &["u"]).map(|_| ()),
            Found::ByFilter(Some(filter)) => self.probed(&sight, caller, Some(filter), &[]).map(|_| ()),
        }
    }

    /// Fields that the caller may neither read nor write look like ones that do not exist.
    fn check_known(
        &self,
        kind: Kind,
        operation: Operation,
        caller: &Caller,
        rows: &[Data],
    ) -> Result<(), Refused> {
        let mut known = self.sight_for_writes(kind, caller).readable();
        for rule in self.granted(kind, operation, caller)? {
            known.extend(&rule.write);
            known.extend(rule.preset());
        }
        let is_known = rows.iter().flatten().all(|(field, _)| known.contains(field));
        if is_known { Ok(()) } else { Err(vec![422]) }
    }

    /// "One single rule must cover all fields that are written. Rules that force different values don't mix."
    fn writers<'a>(
        &'a self,
        kind: Kind,
        operation: Operation,
        caller: &Caller,
        rows: &[Data],
        is_unfiltered: bool,
    ) -> Result<Writers<'a>, Refused> {
        let granted = self.granted(kind, operation, caller)?;
        self.check_known(kind, operation, caller, rows)?;
        let written: BTreeSet<&'static str> = rows.iter().flatten().map(|(field, _)| *field).collect();
        let mut writers: Vec<(&Rule, Forced)> = Vec::new();
        let mut is_close = false;
        for rule in &granted {
            let covered: BTreeSet<&str> = rule.write.union(&rule.preset()).copied().collect();
            if !written.is_subset(&covered) {
                continue;
            }
            let mut forced: Forced = rule.set.as_ref().map(|(field, operand)| {
                let value = match operand {
                    Operand::UserId => json!(caller.id),
                    Operand::Tenant => json!(caller.tenant),
                    Operand::Value(value) => value.clone(),
                };
                (*field, value)
            });
            if let Some((field, value)) = &forced
                && rows
                    .iter()
                    .flatten()
                    .any(|(it, other)| it == field && other != value)
            {
                is_close = true;
                continue;
            }
            if is_unfiltered && !rule.allows_unfiltered {
                is_close = true;
                continue;
            }
            if let (Some((field, _)), Some((_, operand))) = (&forced, &rule.set) {
                let is_given = rows.iter().all(|row| row.iter().any(|(it, _)| it == field));
                let is_implied = operation == Operation::Update
                    && rule.rows.as_ref().is_some_and(|rows| rows.says(field, operand));
                if is_given || is_implied || operation == Operation::Delete {
                    forced = None;
                }
            }
            writers.push((rule, forced));
        }
        let Some((_, forced)) = writers.first().cloned() else {
            let readable = self.sight_for_writes(kind, caller).readable();
            let covered: BTreeSet<&str> = granted
                .iter()
                .flat_map(|rule| rule.write.union(&rule.preset()).copied().collect::<Vec<_>>())
                .collect();
            let is_hidden = written
                .iter()
                .any(|field| !covered.contains(field) && !readable.contains(field));
            return Err(vec![if is_hidden && !is_close { 422 } else { 403 }]);
        };
        let rules = writers
            .into_iter()
            .filter(|(_, other)| *other == forced)
            .map(|(rule, _)| rule);
        Ok(Writers {
            rules: rules.collect(),
            forced,
        })
    }

    fn is_wall_shut(&self, kind: Kind, caller: &Caller) -> bool {
        let wall = self.wall_for(kind, caller);
        self.is_barred(kind, caller) || wall.is_some_and(|wall| wall.rows.constant(caller) == Some(false))
    }

    /// A create that no row could ever satisfy is refused as such.
    fn check_creatable(&self, kind: Kind, caller: &Caller, writers: &Writers<'_>) -> Result<(), Refused> {
        let is_shut = |rule: &&Rule| constant(rule.after(), caller) == Some(false);
        if self.is_wall_shut(kind, caller) || writers.rules.iter().all(is_shut) {
            Err(vec![403])
        } else {
            Ok(())
        }
    }

    fn within_walls(&self, kind: Kind, caller: &Caller, row: &Row) -> bool {
        !self.is_barred(kind, caller)
            && is_open(
                self.wall_for(kind, caller).map(|wall| &wall.rows),
                row,
                caller,
                &self.state,
            )
    }

    /// What the database itself refuses in these rows, as they would be beside all others.
    fn constraints(&self, kind: Kind, rows: &[Row]) -> Refused {
        let mut codes = Vec::new();
        let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
        let others = self
            .state
            .rows(kind)
            .iter()
            .filter(|row| !ids.contains(&&row["id"]));
        let mut all: Vec<&Value> = others
            .chain(rows)
            .map(|row| &row["u"])
            .filter(|u| !u.is_null())
            .collect();
        let count = all.len();
        all.sort_by_key(|u| u.to_string());
        all.dedup();
        if all.len() < count {
            codes.push(409);
        }
        let dangles = |row: &Row| {
            let parent = row.get("parentId").filter(|parent| !parent.is_null());
            parent.is_some_and(|parent| !self.state.parents.iter().any(|row| row["id"] == *parent))
        };
        if rows.iter().any(dangles) {
            codes.push(422);
        }
        codes
    }

    /// Creates all of them or none; gives back the last.
    fn create(&mut self, kind: Kind, caller: &Caller, rows: &[Data]) -> Result<Option<Row>, Refused> {
        let writers = self.writers(kind, Operation::Create, caller, rows, false)?;
        self.check_creatable(kind, caller, &writers)?;
        let fresh: Vec<Row> = rows
            .iter()
            .map(|data| {
                let mut row: Row = kind.fields().iter().map(|field| (*field, Value::Null)).collect();
                row.insert("id", json!(FRESH));
                if let Some((field, value)) = &writers.forced {
                    row.insert(field, value.clone());
                }
                row.extend(data.iter().cloned());
                row
            })
            .collect();
        let mut codes = self.constraints(kind, &fresh);
        let is_good = |row: &Row| {
            let satisfies = |rule: &&Rule| is_open(rule.after(), row, caller, &self.state);
            self.within_walls(kind, caller, row) && writers.rules.iter().any(satisfies)
        };
        if !fresh.iter().all(is_good) {
            codes.push(403);
        }
        if !codes.is_empty() {
            return Err(codes);
        }
        let last = fresh.last().cloned();
        self.state.rows_mut(kind).extend(fresh);
        Ok(last)
    }

    /// The rows that are found, seen by what they are found by, and reached by one of the rules.
    fn reached(&self, kind: Kind, caller: &Caller, found: &Found<'_>, writers: &Writers<'_>) -> Vec<Row> {
        let sight = self.sight_for_writes(kind, caller);
        let probed = found.probed(kind);
        let is_meant = |row: &&Row| match found {
            Found::ById(id) => row["id"] == **id,
            Found::ByU(u) => row["u"] == **u,
            Found::ByFilter(None) => true,
            Found::ByFilter(Some(filter)) => self.holds(filter, kind, row, caller) == Some(true),
        };
        let rows = self.state.rows(kind).iter().filter(is_meant);
        let rows = rows.filter(|row| probed.iter().all(|field| sight.shows(row, field)));
        let rows = rows.filter(|row| {
            let reaches = |rule: &&Rule| is_open(rule.rows.as_ref(), row, caller, &self.state);
            self.within_walls(kind, caller, row) && writers.rules.iter().any(reaches)
        });
        rows.cloned().collect()
    }

    /// Where no row at all could be reached, whatever it holds, the operation itself is refused.
    fn check_reachable(
        &self,
        kind: Kind,
        caller: &Caller,
        found: &Found<'_>,
        writers: &Writers<'_>,
        is_delete: bool,
    ) -> Result<(), Refused> {
        let is_shut = |rule: &&Rule| {
            constant(rule.rows.as_ref(), caller) == Some(false)
                || (!is_delete && constant(rule.after(), caller) == Some(false))
        };
        let reading = self.granted(kind, Operation::Read, caller).unwrap_or_default();
        let is_unseen = |field: &&str| {
            let showing = reading.iter().filter(|rule| rule.read.contains(*field));
            showing
                .map(|rule| constant(rule.rows.as_ref(), caller))
                .all(|it| it == Some(false))
        };
        let shut = self.is_wall_shut(kind, caller)
            || writers.rules.iter().all(is_shut)
            || found.probed(kind).iter().any(is_unseen);
        if shut { Err(vec![403]) } else { Ok(()) }
    }

    fn update(
        &mut self,
        kind: Kind,
        caller: &Caller,
        found: &Found<'_>,
        data: &Data,
    ) -> Result<Vec<Row>, Refused> {
        self.granted(kind, Operation::Update, caller)?;
        self.check_found(kind, caller, found)?;
        let is_unfiltered = matches!(found, Found::ByFilter(None));
        let writers = self.writers(
            kind,
            Operation::Update,
            caller,
            std::slice::from_ref(data),
            is_unfiltered,
        )?;
        self.check_reachable(kind, caller, found, &writers, false)?;
        // A rule that lets no row whatever stand afterwards reaches none.
        let mut writers = writers;
        writers
            .rules
            .retain(|rule| constant(rule.after(), caller) != Some(false));
        let before = self.reached(kind, caller, found, &writers);
        let changed = |row: &Row| {
            let mut row = row.clone();
            if let Some((field, value)) = &writers.forced {
                row.insert(field, value.clone());
            }
            row.extend(data.iter().cloned());
            row
        };
        let after: Vec<Row> = before.iter().map(changed).collect();
        let mut codes = self.constraints(kind, &after);
        let is_good = |(old, new): (&Row, &Row)| {
            // "A row that is reached by a rule must satisfy that rule's `check` afterwards."
            let allows = |rule: &&Rule| {
                is_open(rule.rows.as_ref(), old, caller, &self.state)
                    && is_open(rule.after(), new, caller, &self.state)
            };
            self.within_walls(kind, caller, new) && writers.rules.iter().any(allows)
        };
        if !before.iter().zip(&after).all(is_good) {
            codes.push(403);
        }
        if !codes.is_empty() {
            return Err(codes);
        }
        for row in self.state.rows_mut(kind) {
            if let Some(new) = after.iter().find(|new| new["id"] == row["id"]) {
                row.clone_from(new);
            }
        }
        Ok(after)
    }

    fn delete(&mut self, kind: Kind, caller: &Caller, found: &Found<'_>) -> Result<usize, Refused> {
        self.granted(kind, Operation::Delete, caller)?;
        self.check_found(kind, caller, found)?;
        let is_unfiltered = matches!(found, Found::ByFilter(None));
        let writers = self.writers(kind, Operation::Delete, caller, &[], is_unfiltered)?;
        self.check_reachable(kind, caller, found, &writers, true)?;
        let rows = self.reached(kind, caller, found, &writers);
        let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
        let is_referred = |child: &Row| ids.contains(&&child["parentId"]);
        if kind == Kind::Parent && self.state.children.iter().any(is_referred) {
            return Err(vec![422]);
        }
        self.state.rows_mut(kind).retain(|row| !ids.contains(&&row["id"]));
        Ok(rows.len())
    }
}
