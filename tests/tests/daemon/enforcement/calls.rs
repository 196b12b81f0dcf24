//! Random calls, and how a client writes them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::expression::{any, compare, value_of};
use super::model::{Kind, World};
use super::table::Row;
use crate::random::Random;

/// Values of a row.
pub(super) type Data = Vec<(&'static str, Value)>;

#[derive(Clone, Debug)]
pub(super) enum Filter {
    Compare(&'static str, &'static str, Value),
    In(&'static str, Vec<Value>),
    IsNull(&'static str, bool),
    Contains(&'static str),
    Linked(&'static str, Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}

#[derive(Clone, Debug)]
pub(super) struct Include {
    pub(super) filter: Option<Filter>,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Read {
        kind: Kind,
        id: Value,
        select: Option<Vec<&'static str>>,
        include: Option<Include>,
    },
    FindByField {
        kind: Kind,
        u: Value,
    },
    List {
        kind: Kind,
        filter: Option<Filter>,
        sort: Option<&'static str>,
        select: Option<Vec<&'static str>>,
        include: Option<Include>,
    },
    FindFirst {
        kind: Kind,
        filter: Option<Filter>,
    },
    Count {
        kind: Kind,
        filter: Option<Filter>,
    },
    Aggregate {
        kind: Kind,
        filter: Option<Filter>,
        group: Option<&'static str>,
    },
    Create {
        kind: Kind,
        data: Data,
    },
    CreateMany {
        kind: Kind,
        rows: Vec<Data>,
    },
    Update {
        kind: Kind,
        id: Value,
        data: Data,
    },
    UpdateByField {
        kind: Kind,
        u: Value,
        data: Data,
    },
    UpdateMany {
        kind: Kind,
        filter: Option<Filter>,
        data: Data,
    },
    Delete {
        kind: Kind,
        id: Value,
    },
    DeleteByField {
        kind: Kind,
        u: Value,
    },
    DeleteMany {
        kind: Kind,
        filter: Option<Filter>,
    },
    Upsert {
        kind: Kind,
        u: Value,
        create: Data,
        update: Data,
    },
    Batch(Vec<Call>),
    Transaction(Vec<Call>),
}

const PROBED: [&str; 4] = ["owner", "tenant", "a", "b"];
const OPERATORS: [&str; 6] = ["eq", "ne", "lt", "lte", "gt", "gte"];

impl Filter {
    fn random(kind: Kind, depth: usize, is_linking: bool, random: &mut Random) -> Self {
        if depth > 0 && random.below(3) == 0 {
            let some = |random: &mut Random| -> Vec<Self> {
                (0..2)
                    .map(|_| Self::random(kind, depth - 1, is_linking, random))
                    .collect()
            };
            return match random.below(3) {
                0 => Filter::And(some(random)),
                1 => Filter::Or(some(random)),
                _ => Filter::Not(Box::new(Self::random(kind, depth - 1, is_linking, random))),
            };
        }
        let field = PROBED[random.below(PROBED.len())];
        match random.below(9) {
            0 => Filter::In(field, vec![value_of(field, random), value_of(field, random)]),
            1 => Filter::IsNull(field, random.below(2) == 0),
            2 => Filter::Contains(["x", "y"][random.below(2)]),
            3 => Filter::Compare("u", "eq", json!(format!("n{}", random.below(8)))),
            4 | 5 if is_linking && depth > 0 => {
                let quantifier = ["some", "every", "none"][random.below(3)];
                Filter::Linked(
                    quantifier,
                    Box::new(Self::random(kind.other(), depth - 1, true, random)),
                )
            }
            _ => Filter::Compare(field, OPERATORS[random.below(6)], value_of(field, random)),
        }
    }

    /// The fields of its own entity that it speaks of.
    pub(super) fn fields(&self, kind: Kind) -> BTreeSet<&'static str> {
        match self {
            Filter::Compare(field, ..) | Filter::In(field, _) | Filter::IsNull(field, _) => {
                BTreeSet::from([*field])
            }
            Filter::Contains(_) => BTreeSet::from(["b"]),
            Filter::Linked(..) => BTreeSet::from([kind.relation().1]),
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().flat_map(|part| part.fields(kind)).collect()
            }
            Filter::Not(inner) => inner.fields(kind),
        }
    }

    /// What a condition on one field is of a row.
    pub(super) fn of(&self, row: &Row) -> Option<bool> {
        match self {
            Filter::Compare(field, operator, value) => compare(&row[field], operator, value),
            Filter::In(field, values) => any(values.iter().map(|value| compare(&row[field], "=", value))),
            Filter::IsNull(field, is_null) => Some(row[field].is_null() == *is_null),
            Filter::Contains(text) => row["b"].as_str().map(|value| value.contains(text)),
            other => panic!("{other:?} is more than one field"),
        }
    }

    fn written(&self, kind: Kind) -> Value {
        let each = |parts: &[Filter]| parts.iter().map(|part| part.written(kind)).collect::<Vec<_>>();
        match self {
            Filter::Compare(field, "eq", value) => json!({*field: value}),
            Filter::Compare(field, operator, value) => json!({*field: {*operator: value}}),
            Filter::In(field, values) => json!({*field: {"in": values}}),
            Filter::IsNull(field, is_null) => json!({*field: {"isNull": is_null}}),
            Filter::Contains(text) => json!({"b": {"contains": text}}),
            Filter::Linked(quantifier, inner) => {
                json!({kind.relation().0: {*quantifier: inner.written(kind.other())}})
            }
            Filter::And(parts) => json!({"AND": each(parts)}),
            Filter::Or(parts) => json!({"OR": each(parts)}),
            Filter::Not(inner) => json!({"NOT": inner.written(kind)}),
        }
    }
}

fn written_data(data: &Data) -> Value {
    let members: Map<String, Value> = data
        .iter()
        .map(|(field, value)| ((*field).to_owned(), value.clone()))
        .collect();
    Value::Object(members)
}

impl World {
    fn random_id(&self, kind: Kind, random: &mut Random) -> Value {
        let rows = self.state.rows(kind);
        if rows.is_empty() || random.below(10) == 0 {
            return json!("0199ffff-0000-7000-8000-000000000000");
        }
        rows[random.below(rows.len())]["id"].clone()
    }

    fn random_u(&self, kind: Kind, random: &mut Random) -> Value {
        let known: Vec<&Value> = self
            .state
            .rows(kind)
            .iter()
            .map(|row| &row["u"])
            .filter(|u| !u.is_null())
            .collect();
        if known.is_empty() || random.below(4) == 0 {
            return json!(format!("n{}", random.below(30)));
        }
        known[random.below(known.len())].clone()
    }

    fn random_data(&self, kind: Kind, random: &mut Random) -> Data {
        let mut data = Data::new();
        for field in kind.writable() {
            if random.below(3) > 0 {
                continue;
            }
            let value = match *field {
                _ if random.below(8) == 0 => Value::Null,
                "u" => self.random_u(kind, random),
                "parentId" if self.state.parents.is_empty() => Value::Null,
                "parentId" => self.state.parents[random.below(self.state.parents.len())]["id"].clone(),
                field => value_of(field, random),
            };
            data.push((field, value));
        }
        if data.is_empty() {
            data.push(("a", value_of("a", random)));
        }
        data
    }

    pub(super) fn random_call(&self, random: &mut Random) -> Call {
        match random.below(12) {
            0 => Call::Batch(self.several(random)),
            1 => Call::Transaction(self.several(random)),
            _ => self.random_one(random),
        }
    }

    /// What is created comes last: those before it would not know its id.
    fn several(&self, random: &mut Random) -> Vec<Call> {
        let is_create = |call: &Call| {
            matches!(
                call,
                Call::Create { .. } | Call::CreateMany { .. } | Call::Upsert { .. }
            )
        };
        let mut calls: Vec<Call> = (0..1 + random.below(3))
            .map(|_| self.random_one(random))
            .collect();
        calls.sort_by_key(is_create);
        let first = calls.iter().position(is_create).unwrap_or(calls.len());
        calls.truncate(first + 1);
        calls
    }

    fn random_one(&self, random: &mut Random) -> Call {
        let kind = if random.below(2) == 0 {
            Kind::Parent
        } else {
            Kind::Child
        };
        // A condition on linked rows that can't be false is no filter; which those are is not for the reference to say.
        let filter = |is_linking: bool, random: &mut Random| {
            (random.below(5) > 0).then(|| Filter::random(kind, 2, is_linking, random))
        };
        let select = |random: &mut Random| {
            (random.below(3) == 0).then(|| {
                let mut fields = kind.fields().to_vec();
                fields.retain(|_| random.below(2) == 0);
                if fields.is_empty() { vec!["id"] } else { fields }
            })
        };
        let include = |random: &mut Random| {
            (random.below(3) == 0).then(|| Include {
                filter: (random.below(2) == 0).then(|| Filter::random(kind.other(), 1, false, random)),
            })
        };
        match random.below(18) {
            0 | 1 => Call::Read {
                kind,
                id: self.random_id(kind, random),
                select: select(random),
                include: include(random),
            },
            2 => Call::FindByField {
                kind,
                u: self.random_u(kind, random),
            },
            3..6 => {
                let sort = (random.below(3) == 0).then(|| PROBED[random.below(PROBED.len())]);
                Call::List {
                    kind,
                    filter: filter(true, random),
                    sort,
                    select: select(random),
                    include: include(random),
                }
            }
            6 => Call::FindFirst {
                kind,
                filter: filter(true, random),
            },
            7 => Call::Count {
                kind,
                filter: filter(true, random),
            },
            8 => {
                let group = (random.below(2) == 0).then(|| PROBED[random.below(PROBED.len())]);
                Call::Aggregate {
                    kind,
                    filter: filter(true, random),
                    group,
                }
            }
            9 => Call::Create {
                kind,
                data: self.random_data(kind, random),
            },
            10 => {
                let rows = (0..1 + random.below(3))
                    .map(|_| self.random_data(kind, random))
                    .collect();
                Call::CreateMany { kind, rows }
            }
            11 | 12 => Call::Update {
                kind,
                id: self.random_id(kind, random),
                data: self.random_data(kind, random),
            },
            13 => Call::UpdateByField {
                kind,
                u: self.random_u(kind, random),
                data: self.random_data(kind, random),
            },
            14 => Call::UpdateMany {
                kind,
                filter: filter(false, random),
                data: self.random_data(kind, random),
            },
            15 => match random.below(3) {
                0 => Call::Delete {
                    kind,
                    id: self.random_id(kind, random),
                },
                1 => Call::DeleteByField {
                    kind,
                    u: self.random_u(kind, random),
                },
                _ => Call::DeleteMany {
                    kind,
                    filter: filter(false, random),
                },
            },
            _ => {
                let u = self.random_u(kind, random);
                let mut create = self.random_data(kind, random);
                let mut update = self.random_data(kind, random);
                create.retain(|(field, _)| *field != "u");
                create.push(("u", u.clone()));
                update.retain(|(field, _)| *field != "u");
                if update.is_empty() {
                    update.push(("b", value_of("b", random)));
                }
                Call::Upsert {
                    kind,
                    u,
                    create,
                    update,
                }
            }
        }
    }

    /// The method and its parameters.
    pub(super) fn written(&self, call: &Call) -> (String, Value) {
        let told = |kind: Kind, filter: &Option<Filter>| {
            filter.as_ref().map_or(json!({}), |filter| filter.written(kind))
        };
        let options = |kind: Kind, select: &Option<Vec<&'static str>>, include: &Option<Include>| {
            let mut options = Map::new();
            if let Some(select) = select {
                options.insert("select".to_owned(), json!(select));
            }
            if let Some(include) = include {
                let inner = match &include.filter {
                    Some(filter) => json!({"filter": filter.written(kind.other())}),
                    None => json!(true),
                };
                options.insert("include".to_owned(), json!({kind.relation().0: inner}));
            }
            options
        };
        let (method, params) = match call {
            Call::Read {
                kind,
                id,
                select,
                include,
            } => (
                "read",
                json!([self.entity(*kind), id, options(*kind, select, include)]),
            ),
            Call::FindByField { kind, u } => ("findByField", json!([self.entity(*kind), "u", u])),
            Call::List {
                kind,
                filter,
                sort,
                select,
                include,
            } => {
                let mut options = options(*kind, select, include);
                options.insert("filter".to_owned(), told(*kind, filter));
                options.insert("limit".to_owned(), json!(100));
                if let Some(sort) = sort {
                    options.insert("sort".to_owned(), json!({*sort: "asc"}));
                }
                ("list", json!([self.entity(*kind), options]))
            }
            Call::FindFirst { kind, filter } => {
                ("findFirst", json!([self.entity(*kind), told(*kind, filter)]))
            }
            Call::Count { kind, filter } => (
                "count",
                json!([self.entity(*kind), {"filter": told(*kind, filter)}]),
            ),
            Call::Aggregate { kind, filter, group } => {
                let mut options =
                    json!({"filter": told(*kind, filter), "count": true, "sum": ["a"], "limit": 100});
                if let Some(group) = group {
                    options["groupBy"] = json!([group]);
                }
                ("aggregate", json!([self.entity(*kind), options]))
            }
            Call::Create { kind, data } => ("create", json!([self.entity(*kind), written_data(data)])),
            Call::CreateMany { kind, rows } => (
                "createMany",
                json!([
                    self.entity(*kind),
                    rows.iter().map(written_data).collect::<Vec<_>>()
                ]),
            ),
            Call::Update { kind, id, data } => {
                ("update", json!([self.entity(*kind), id, written_data(data)]))
            }
            Call::UpdateByField { kind, u, data } => (
                "updateByField",
                json!([self.entity(*kind), "u", u, written_data(data)]),
            ),
            Call::UpdateMany { kind, filter, data } => (
                "updateMany",
                json!([self.entity(*kind), told(*kind, filter), written_data(data)]),
            ),
            Call::Delete { kind, id } => ("delete", json!([self.entity(*kind), id])),
            Call::DeleteByField { kind, u } => ("deleteByField", json!([self.entity(*kind), "u", u])),
            Call::DeleteMany { kind, filter } => {
                ("deleteMany", json!([self.entity(*kind), told(*kind, filter)]))
            }
            Call::Upsert {
                kind,
                u,
                create,
                update,
            } => (
                "upsert",
                json!([
                    self.entity(*kind),
                    "u",
                    u,
                    written_data(create),
                    written_data(update)
                ]),
            ),
            Call::Batch(calls) => ("batch", json!([self.written_calls(calls)])),
            Call::Transaction(calls) => ("transaction", json!([self.written_calls(calls)])),
        };
        (method.to_owned(), params)
    }

    fn written_calls(&self, calls: &[Call]) -> Vec<Value> {
        let written = calls.iter().map(|call| self.written(call));
        written
            .map(|(method, params)| json!({"method": method, "params": params}))
            .collect()
    }
}
