//! What a caller sees: rows, and fields in them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::calls::{Filter, Include};
use super::expression::Expression;
use super::model::{Caller, Kind, State, World};
use super::rules::{Operation, Rule, Wall};
use super::table::Row;
use super::writing::Refused;

/// What the rules of one operation show of one entity.
pub(super) struct Sight<'a> {
    pub(super) kind: Kind,
    rules: Vec<&'a Rule>,
    wall: Option<&'a Wall>,
    caller: &'a Caller,
    state: &'a State,
}

pub(super) fn is_open(condition: Option<&Expression>, row: &Row, caller: &Caller, state: &State) -> bool {
    condition.is_none_or(|condition| condition.of(row, caller, state) == Some(true))
}

impl World {
    /// Rules of this operation for this caller; an error where there is none.
    pub(super) fn granted(
        &self,
        kind: Kind,
        operation: Operation,
        caller: &Caller,
    ) -> Result<Vec<&Rule>, Refused> {
        let rules = || self.rules(kind).iter().filter(|rule| rule.is_for(caller));
        let granted: Vec<&Rule> = rules().filter(|rule| rule.grants(operation)).collect();
        if !granted.is_empty() {
            Ok(granted)
        } else if rules().count() == 0 {
            Err(vec![404])
        } else {
            Err(vec![403])
        }
    }

    pub(super) fn wall_for<'a>(&'a self, kind: Kind, caller: &Caller) -> Option<&'a Wall> {
        self.wall(kind)
            .filter(|wall| !wall.unless.is_some_and(|role| caller.has(role)))
    }

    /// A restriction that asks for what the caller lacks leaves no row.
    pub(super) fn is_barred(&self, kind: Kind, caller: &Caller) -> bool {
        self.wall_for(kind, caller)
            .is_some_and(|wall| caller.tenant.is_none() && wall.rows.asks_for_tenant())
    }

    /// What is seen by rules of an operation that must grant something.
    pub(super) fn sight<'a>(
        &'a self,
        kind: Kind,
        operation: Operation,
        caller: &'a Caller,
    ) -> Result<Sight<'a>, Refused> {
        Ok(self.sight_of(kind, self.granted(kind, operation, caller)?, caller))
    }

    /// What is seen by `read` rules, if there are any.
    pub(super) fn sight_for_writes<'a>(&'a self, kind: Kind, caller: &'a Caller) -> Sight<'a> {
        let rules = self.granted(kind, Operation::Read, caller).unwrap_or_default();
        self.sight_of(kind, rules, caller)
    }

    fn sight_of<'a>(&'a self, kind: Kind, rules: Vec<&'a Rule>, caller: &'a Caller) -> Sight<'a> {
        Sight {
            kind,
            rules,
            wall: self.wall_for(kind, caller),
            caller,
            state: &self.state,
        }
    }

    /// The fields that a filter and an order speak of; an error where one of them is hidden altogether.
    pub(super) fn probed(
        &self,
        sight: &Sight<'_>,
        caller: &Caller,
        filter: Option<&Filter>,
        more: &[&'static str],
    ) -> Result<BTreeSet<&'static str>, Refused> {
        let mut probed: BTreeSet<&'static str> = more.iter().copied().collect();
        if let Some(filter) = filter {
            probed.extend(filter.fields(sight.kind));
            self.check_linked(filter, sight.kind, caller)?;
        }
        if probed.is_subset(&sight.readable()) {
            Ok(probed)
        } else {
            Err(vec![422])
        }
    }

    fn check_linked(&self, filter: &Filter, kind: Kind, caller: &Caller) -> Result<(), Refused> {
        match filter {
            Filter::Linked(_, inner) => {
                let (_, _, foreign) = kind.relation();
                let sight = self
                    .sight(kind.other(), Operation::List, caller)
                    .map_err(|_| vec![422])?;
                self.probed(&sight, caller, Some(inner), &[foreign])?;
                Ok(())
            }
            Filter::And(parts) | Filter::Or(parts) => parts
                .iter()
                .try_for_each(|part| self.check_linked(part, kind, caller)),
            Filter::Not(inner) => self.check_linked(inner, kind, caller),
            _ => Ok(()),
        }
    }

    /// How rows look; an error where what is asked for is hidden altogether.
    pub(super) fn shape<'a>(
        &'a self,
        sight: &'a Sight<'a>,
        caller: &'a Caller,
        probed: &BTreeSet<&'static str>,
        select: Option<&[&'static str]>,
        include: Option<&'a Include>,
    ) -> Result<impl Fn(&Row) -> Value + 'a, Refused> {
        let readable = sight.readable();
        let wanted: BTreeSet<&'static str> = match select {
            Some(select) => select.iter().copied().collect(),
            None => readable.clone(),
        };
        if !wanted.is_subset(&readable) || !probed.is_subset(&readable) {
            return Err(vec![422]);
        }
        let (name, column, foreign) = sight.kind.relation();
        let mut linked = None;
        if let Some(Include { filter }) = include {
            let other = self
                .sight(sight.kind.other(), Operation::List, caller)
                .map_err(|_| vec![422])?;
            let probed = self.probed(&other, caller, filter.as_ref(), &[foreign])?;
            if !readable.contains(column) {
                return Err(vec![422]);
            }
            linked = Some((other, probed, filter.as_ref()));
        }
        Ok(move |row: &Row| {
            let mut told = sight.told(row, &wanted);
            if let Some((other, probed, filter)) = &linked
                && sight.shows(row, column)
            {
                let rows = self.found(other, caller, *filter, probed).into_iter();
                let rows = rows.filter(|linked| !row[column].is_null() && linked[foreign] == row[column]);
                let mut rows: Vec<Value> = rows.map(|row| other.told(row, &other.readable())).collect();
                let value = match sight.kind {
                    Kind::Parent => Value::Array(rows),
                    Kind::Child => rows.pop().unwrap_or(Value::Null),
                };
                told[name] = value;
            }
            told
        })
    }
}

impl Sight<'_> {
    /// Fields that some row may show.
    pub(super) fn readable(&self) -> BTreeSet<&'static str> {
        self.rules.iter().flat_map(|rule| &rule.read).copied().collect()
    }

    fn is_within_walls(&self, row: &Row) -> bool {
        let Some(wall) = self.wall else { return true };
        let asks = self.caller.tenant.is_none() && wall.rows.asks_for_tenant();
        !asks && is_open(Some(&wall.rows), row, self.caller, self.state)
    }

    fn reaching<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Rule> {
        self.rules
            .iter()
            .copied()
            .filter(|rule| is_open(rule.rows.as_ref(), row, self.caller, self.state))
    }

    /// Whether a row is seen, by whatever rule.
    pub(super) fn sees(&self, row: &Row) -> bool {
        self.is_within_walls(row) && self.reaching(row).next().is_some()
    }

    /// Whether a row shows this field.
    pub(super) fn shows(&self, row: &Row, field: &str) -> bool {
        self.is_within_walls(row) && self.reaching(row).any(|rule| rule.read.contains(field))
    }

    /// Whether a row is seen and shows all of these.
    pub(super) fn shows_all(&self, row: &Row, fields: &BTreeSet<&'static str>) -> bool {
        self.sees(row) && fields.iter().all(|field| self.shows(row, field))
    }

    /// The row as it is told.
    pub(super) fn told(&self, row: &Row, wanted: &BTreeSet<&'static str>) -> Value {
        let shown = wanted.iter().filter(|field| self.shows(row, field));
        let members: Map<String, Value> = shown
            .map(|field| ((*field).to_owned(), row[field].clone()))
            .collect();
        json!(members)
    }
}
