//! The reference: what a call must be answered, by the words of docs/policy.md and docs/protocol.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::calls::{Call, Filter, Include};
use super::expression::{all, value_of};
use super::rules::{Operation, Rule, Wall};
use super::seen::Sight;
use super::table::Row;
use super::writing::Refused;
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Parent,
    Child,
}

impl Kind {
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Kind::Parent => &["id", "owner", "tenant", "a", "b", "u"],
            Kind::Child => &["id", "parentId", "owner", "tenant", "a", "b", "u"],
        }
    }

    /// All but the key, which the daemon makes.
    pub(super) fn writable(self) -> &'static [&'static str] {
        self.fields().split_first().expect("a key").1
    }

    pub(super) fn other(self) -> Self {
        match self {
            Kind::Parent => Kind::Child,
            Kind::Child => Kind::Parent,
        }
    }

    /// The name of its relation, the field that leads to it, and the one that it leads to.
    pub(super) fn relation(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Kind::Parent => ("children", "id", "parentId"),
            Kind::Child => ("parent", "parentId", "id"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) id: &'static str,
    pub(super) roles: Vec<&'static str>,
    pub(super) tenant: Option<&'static str>,
}

impl Caller {
    pub(super) fn has(&self, role: &'static str) -> bool {
        let inherits = role == "r1" && self.roles.contains(&"r2");
        role == "public" || inherits || self.roles.contains(&role)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) parents: Vec<Row>,
    pub(super) children: Vec<Row>,
}

impl State {
    pub(super) fn rows(&self, kind: Kind) -> &Vec<Row> {
        match kind {
            Kind::Parent => &self.parents,
            Kind::Child => &self.children,
        }
    }

    pub(super) fn rows_mut(&mut self, kind: Kind) -> &mut Vec<Row> {
        match kind {
            Kind::Parent => &mut self.parents,
            Kind::Child => &mut self.children,
        }
    }
}

/// What must come back.
#[derive(Debug)]
pub(super) enum Expected {
    /// One of these codes: where two things are wrong, either may be told.
    Refused(Vec<i64>),
    Result(Value),
    /// One of these: the call does not say which.
    OneOf(Vec<Value>),
    /// A batch's results and errors.
    Several(Vec<Expected>),
    /// A transaction's results.
    All(Vec<Expected>),
}

pub(super) struct World {
    number: usize,
    pub(super) is_inline: bool,
    pub(super) parent_rules: Vec<Rule>,
    pub(super) child_rules: Vec<Rule>,
    pub(super) parent_wall: Option<Wall>,
    pub(super) child_wall: Option<Wall>,
    pub(super) state: State,
}

/// The id of rows that the reference makes: which one the daemon chose is not known.
pub(super) const FRESH: &str = "fresh";

impl World {
    pub(super) fn random(number: usize, random: &mut Random) -> Self {
        let is_inline = number % 2 == 1;
        let wall = |kind, random: &mut Random| {
            (random.below(2) == 0).then(|| Wall {
                rows: super::expression::Expression::random(kind, 1, random),
                unless: (random.below(3) == 0).then_some("r3"),
            })
        };
        Self {
            number,
            is_inline,
            parent_rules: Rule::several(Kind::Parent, is_inline, random),
            child_rules: Rule::several(Kind::Child, is_inline, random),
            parent_wall: wall(Kind::Parent, random),
            child_wall: wall(Kind::Child, random),
            state: State::default(),
        }
    }

    pub(super) fn parent(&self) -> String {
        format!("Parent{}", self.number)
    }

    pub(super) fn child(&self) -> String {
        format!("Child{}", self.number)
    }

    pub(super) fn entity(&self, kind: Kind) -> String {
        match kind {
            Kind::Parent => self.parent(),
            Kind::Child => self.child(),
        }
    }

    pub(super) fn write_entities(&self, into: &mut String) {
        let (parent, child) = (self.parent(), self.child());
        let rest = "  owner: {type: string, nullable: true}\n  tenant: {type: string, nullable: true}\n  \
                    a: {type: integer, nullable: true}\n  b: {type: string, nullable: true}\n  \
                    u: {type: string, nullable: true, unique: true}\n";
        let key = "  id: {type: uuid, primary: true, generated: true}\n";
        let _ = write!(
            into,
            "---\nentity: {parent}\nfields:\n{key}{rest}{}",
            self.acl(Kind::Parent)
        );
        let _ = write!(
            into,
            "---\nentity: {child}\nfields:\n{key}  parentId: {{type: uuid, nullable: true, foreign_key: {{entity: {parent}, \
             field: id, relation: parent, inverse: children}}}}\n{rest}{}",
            self.acl(Kind::Child)
        );
    }

    pub(super) fn random_rows(&self, random: &mut Random) -> (Vec<Value>, Vec<Value>) {
        let id = |kind: usize, number: usize| {
            format!("0199c000-0000-7000-8{kind:03}-{:06x}{number:06x}", self.number)
        };
        let row = |kind, number, random: &mut Random| {
            let mut row = Map::new();
            row.insert("id".to_owned(), json!(id(kind, number)));
            for field in ["owner", "tenant", "a", "b"] {
                if random.below(6) > 0 {
                    row.insert(field.to_owned(), value_of(field, random));
                }
            }
            if random.below(2) == 0 {
                row.insert("u".to_owned(), json!(format!("n{number}")));
            }
            row
        };
        let parents: Vec<Value> = (0..6)
            .map(|number| Value::Object(row(0, number, random)))
            .collect();
        let children = (0..8).map(|number| {
            let mut child = row(1, number, random);
            if random.below(5) > 0 {
                child.insert("parentId".to_owned(), json!(id(0, random.below(6))));
            }
            Value::Object(child)
        });
        let children = children.collect();
        (parents, children)
    }

    pub(super) fn rules(&self, kind: Kind) -> &[Rule] {
        match kind {
            Kind::Parent => &self.parent_rules,
            Kind::Child => &self.child_rules,
        }
    }

    pub(super) fn wall(&self, kind: Kind) -> Option<&Wall> {
        match kind {
            Kind::Parent => self.parent_wall.as_ref(),
            Kind::Child => self.child_wall.as_ref(),
        }
    }

    /// What stands in the database after the call is what the reference has, but for the ids that the daemon chose.
    pub(super) fn adopt(&mut self, found: State) -> bool {
        let is_same = [Kind::Parent, Kind::Child].into_iter().all(|kind| {
            let known: BTreeSet<String> = self
                .state
                .rows(kind)
                .iter()
                .map(|row| row["id"].to_string())
                .collect();
            let told = |row: &Row| {
                let mut row = row.clone();
                if !known.contains(&row["id"].to_string()) {
                    row.insert("id", json!(FRESH));
                }
                format!("{row:?}")
            };
            let mut own: Vec<String> = self.state.rows(kind).iter().map(told).collect();
            let mut real: Vec<String> = found.rows(kind).iter().map(told).collect();
            own.sort();
            real.sort();
            own == real
        });
        if is_same {
            self.state = found;
        }
        is_same
    }

    /// What the call must be answered; what it changes is in `state` afterwards.
    pub(super) fn expect(&mut self, caller: &Caller, call: &Call) -> Expected {
        match call {
            Call::Batch(calls) => {
                Expected::Several(calls.iter().map(|call| self.expect(caller, call)).collect())
            }
            Call::Transaction(calls) => {
                let before = self.state.clone();
                let mut all = Vec::new();
                // Whoever may not do one of its calls does none of them: rights are checked before anything is done.
                let mut early = Vec::new();
                for call in calls {
                    match self.expect(caller, call) {
                        Expected::Refused(codes) => early.extend(codes),
                        other => all.push(other),
                    }
                }
                if early.is_empty() {
                    Expected::All(all)
                } else {
                    self.state = before;
                    Expected::Refused(early)
                }
            }
            one => self.expect_one(caller, one).unwrap_or_else(Expected::Refused),
        }
    }

    fn expect_one(&mut self, caller: &Caller, call: &Call) -> Result<Expected, Refused> {
        match call {
            Call::Read {
                kind,
                id,
                select,
                include,
            } => {
                let sight = self.sight(*kind, Operation::Read, caller)?;
                let probed = BTreeSet::from(["id"]);
                let shape = self.shape(&sight, caller, &probed, select.as_deref(), include.as_ref())?;
                let found = self.state.rows(*kind).iter().find(|row| row["id"] == *id);
                match found.filter(|row| sight.shows_all(row, &probed)) {
                    Some(row) => Ok(Expected::Result(shape(row))),
                    None => Err(vec![404]),
                }
            }
            Call::FindByField { kind, u } => {
                let sight = self.sight(*kind, Operation::List, caller)?;
                let probed = BTreeSet::from(["u"]);
                let shape = self.shape(&sight, caller, &probed, None, None)?;
                let found = self.state.rows(*kind).iter().find(|row| row["u"] == *u);
                let found = found.filter(|row| sight.shows_all(row, &probed));
                Ok(Expected::Result(found.map_or(Value::Null, shape)))
            }
            Call::List {
                kind,
                filter,
                sort,
                select,
                include,
            } => {
                let rows = self.listed(
                    *kind,
                    caller,
                    filter.as_ref(),
                    sort.as_slice(),
                    select.as_deref(),
                    include.as_ref(),
                )?;
                let total = rows.len();
                Ok(Expected::Result(
                    json!({"data": rows, "total": total, "page": 1, "limit": 100, "hasMore": false}),
                ))
            }
            Call::FindFirst { kind, filter } => {
                let rows = self.listed(*kind, caller, filter.as_ref(), &[], None, None)?;
                Ok(if rows.is_empty() {
                    Expected::Result(Value::Null)
                } else {
                    Expected::OneOf(rows)
                })
            }
            Call::Count { kind, filter } => {
                let sight = self.sight(*kind, Operation::List, caller)?;
                let probed = self.probed(&sight, caller, filter.as_ref(), &[])?;
                Ok(Expected::Result(json!(
                    self.found(&sight, caller, filter.as_ref(), &probed).len()
                )))
            }
            Call::Aggregate { kind, filter, group } => {
                let sight = self.sight(*kind, Operation::List, caller)?;
                let more: Vec<&str> = group.iter().copied().chain(["a"]).collect();
                let probed = self.probed(&sight, caller, filter.as_ref(), &more)?;
                let rows = self.found(&sight, caller, filter.as_ref(), &probed);
                let numbers = |rows: &[&Row]| {
                    let mut values = rows.iter().filter_map(|row| row["a"].as_i64()).peekable();
                    let sum = values.peek().is_some().then(|| values.sum::<i64>());
                    json!({"count": rows.len(), "sum": {"a": sum}})
                };
                let Some(group) = group else {
                    return Ok(Expected::Result(numbers(&rows)));
                };
                let values: BTreeMap<String, &Value> = rows
                    .iter()
                    .map(|row| (row[group].to_string(), &row[group]))
                    .collect();
                let groups = values.into_values().map(|value| {
                    let rows: Vec<&Row> = rows.iter().copied().filter(|row| row[group] == *value).collect();
                    let mut told = numbers(&rows);
                    told["group"] = json!({*group: value});
                    told
                });
                Ok(Expected::Result(
                    json!({"data": groups.collect::<Vec<_>>(), "limit": 100, "hasMore": false}),
                ))
            }
            other => self.write(caller, other),
        }
    }

    fn listed(
        &self,
        kind: Kind,
        caller: &Caller,
        filter: Option<&Filter>,
        sort: &[&'static str],
        select: Option<&[&'static str]>,
        include: Option<&Include>,
    ) -> Result<Vec<Value>, Refused> {
        let sight = self.sight(kind, Operation::List, caller)?;
        let probed = self.probed(&sight, caller, filter, sort)?;
        let shape = self.shape(&sight, caller, &probed, select, include)?;
        Ok(self
            .found(&sight, caller, filter, &probed)
            .into_iter()
            .map(shape)
            .collect())
    }

    /// Rows that a list finds: those for which the filter is true, among those that show all of these fields.
    pub(super) fn found<'a>(
        &'a self,
        sight: &Sight<'_>,
        caller: &Caller,
        filter: Option<&Filter>,
        probed: &BTreeSet<&'static str>,
    ) -> Vec<&'a Row> {
        let rows = self.state.rows(sight.kind).iter();
        let rows = rows.filter(|row| sight.shows_all(row, probed));
        rows.filter(|row| {
            filter.is_none_or(|filter| self.holds(filter, sight.kind, row, caller) == Some(true))
        })
        .collect()
    }

    /// Whether a filter is true of a row, for this caller.
    pub(super) fn holds(&self, filter: &Filter, kind: Kind, row: &Row, caller: &Caller) -> Option<bool> {
        match filter {
            Filter::Linked(quantifier, inner) => {
                let (_, column, foreign) = kind.relation();
                let Ok(sight) = self.sight(kind.other(), Operation::List, caller) else {
                    panic!("checked before");
                };
                let mut probed = inner.fields(kind.other());
                probed.insert(foreign);
                let linked = self.state.rows(kind.other()).iter();
                let mut linked = linked.filter(|other| {
                    !row[column].is_null() && other[foreign] == row[column] && sight.shows_all(other, &probed)
                });
                let holds = |other: &Row| self.holds(inner, kind.other(), other, caller) == Some(true);
                Some(match *quantifier {
                    "some" => linked.any(holds),
                    "none" => !linked.any(holds),
                    _ => linked.all(holds),
                })
            }
            Filter::And(parts) => all(parts.iter().map(|part| self.holds(part, kind, row, caller))),
            Filter::Or(parts) => {
                super::expression::any(parts.iter().map(|part| self.holds(part, kind, row, caller)))
            }
            Filter::Not(inner) => self.holds(inner, kind, row, caller).map(|holds| !holds),
            leaf => leaf.of(row),
        }
    }
}
