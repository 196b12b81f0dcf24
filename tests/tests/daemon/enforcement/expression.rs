//! The expressions of rules, and what they are of a row: true, false or neither.

use std::fmt;

use serde_json::{Value, json};

use super::model::{Caller, Kind, State};
use super::table::Row;
use crate::random::Random;

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Value(Value),
    UserId,
    Tenant,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Compare(&'static str, &'static str, Operand),
    In(&'static str, Vec<Value>),
    IsNull(&'static str),
    /// A field of the parent, of a child.
    OfParent(&'static str, Operand),
    /// The parent is among those for which this holds.
    AmongParents(Box<Expression>),
    HasRole(&'static str),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
}

/// Values that a field may have, so few that they meet often.
pub(super) fn value_of(field: &str, random: &mut Random) -> Value {
    let of = |values: &[&str], random: &mut Random| json!(values[random.below(values.len())]);
    match field {
        "owner" => of(&["u1", "u2", "u3", "u4", "u5"], random),
        "tenant" => of(&["t1", "t1", "t2"], random),
        "a" => json!(random.below(4)),
        "b" => of(&["x", "y", "xy", "z"], random),
        other => panic!("{other} has no values of its own"),
    }
}

const FIELDS: [&str; 4] = ["owner", "tenant", "a", "b"];

impl Operand {
    fn of(&self, caller: &Caller) -> Value {
        match self {
            Operand::Value(value) => value.clone(),
            Operand::UserId => json!(caller.id),
            Operand::Tenant => json!(caller.tenant),
        }
    }
}

impl Expression {
    pub(super) fn random(kind: Kind, depth: usize, random: &mut Random) -> Self {
        if depth > 0 && random.below(3) == 0 {
            let some = |random: &mut Random| -> Vec<Self> {
                (0..2 + random.below(2))
                    .map(|_| Self::random(kind, depth - 1, random))
                    .collect()
            };
            return match random.below(5) {
                0 | 1 => Expression::And(some(random)),
                2 | 3 => Expression::Or(some(random)),
                _ => Expression::Not(Box::new(Self::random(kind, depth - 1, random))),
            };
        }
        let field = FIELDS[random.below(FIELDS.len())];
        match random.below(12) {
            0..4 => Expression::Compare("owner", "=", Operand::UserId),
            4 | 5 => Expression::Compare("tenant", "=", Operand::Tenant),
            6 => {
                let operator = ["=", "<>", "<", "<=", ">", ">="][random.below(6)];
                Expression::Compare(field, operator, Operand::Value(value_of(field, random)))
            }
            7 => Expression::In(field, vec![value_of(field, random), value_of(field, random)]),
            8 => Expression::IsNull(field),
            9 if kind == Kind::Child => Expression::OfParent("owner", Operand::UserId),
            10 if kind == Kind::Child => {
                Expression::AmongParents(Box::new(Self::random(Kind::Parent, 1, random)))
            }
            11 => Expression::HasRole(["r2", "r3"][random.below(2)]),
            _ => Expression::Compare("a", ">", Operand::Value(json!(random.below(3)))),
        }
    }

    /// Whether the token's tenant is asked for.
    pub(super) fn asks_for_tenant(&self) -> bool {
        match self {
            Expression::Compare(_, _, operand) | Expression::OfParent(_, operand) => {
                *operand == Operand::Tenant
            }
            Expression::In(..) | Expression::IsNull(_) | Expression::HasRole(_) => false,
            Expression::AmongParents(inner) | Expression::Not(inner) => inner.asks_for_tenant(),
            Expression::And(parts) | Expression::Or(parts) => parts.iter().any(Self::asks_for_tenant),
        }
    }

    /// Whether it can only hold where the field equals this.
    pub(super) fn says(&self, field: &str, operand: &Operand) -> bool {
        match self {
            Expression::Compare(it, "=", other) => *it == field && other == operand,
            Expression::And(parts) => parts.iter().any(|part| part.says(field, operand)),
            _ => false,
        }
    }

    /// What it is for every row there could be, where the caller alone decides it.
    pub(super) fn constant(&self, caller: &Caller) -> Option<bool> {
        match self {
            Expression::HasRole(role) => Some(caller.has(role)),
            Expression::And(parts) => all(parts.iter().map(|part| part.constant(caller))),
            Expression::Or(parts) => any(parts.iter().map(|part| part.constant(caller))),
            Expression::Not(inner) => inner.constant(caller).map(|holds| !holds),
            _ => None,
        }
    }

    pub(super) fn of(&self, row: &Row, caller: &Caller, state: &State) -> Option<bool> {
        match self {
            Expression::Compare(field, operator, operand) => {
                compare(&row[field], operator, &operand.of(caller))
            }
            Expression::In(field, values) => any(values.iter().map(|value| compare(&row[field], "=", value))),
            Expression::IsNull(field) => Some(row[field].is_null()),
            Expression::OfParent(field, operand) => {
                let parent = state
                    .parents
                    .iter()
                    .find(|parent| parent["id"] == row["parentId"]);
                parent.and_then(|parent| compare(&parent[field], "=", &operand.of(caller)))
            }
            Expression::AmongParents(inner) => {
                let holds = |parent: &&Row| inner.of(parent, caller, state) == Some(true);
                let mut ids = state.parents.iter().filter(holds).map(|parent| &parent["id"]);
                (!row["parentId"].is_null()).then(|| ids.any(|id| *id == row["parentId"]))
            }
            Expression::HasRole(role) => Some(caller.has(role)),
            Expression::And(parts) => all(parts.iter().map(|part| part.of(row, caller, state))),
            Expression::Or(parts) => any(parts.iter().map(|part| part.of(row, caller, state))),
            Expression::Not(inner) => inner.of(row, caller, state).map(|holds| !holds),
        }
    }
}

pub(super) fn compare(left: &Value, operator: &str, right: &Value) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Number(left), Value::Number(right)) => left.as_i64().cmp(&right.as_i64()),
        _ => return None,
    };
    Some(match operator {
        "=" | "eq" => order == Equal,
        "<>" | "ne" => order != Equal,
        "<" | "lt" => order == Less,
        "<=" | "lte" => order != Greater,
        ">" | "gt" => order == Greater,
        ">=" | "gte" => order != Less,
        other => panic!("no operator is called {other}"),
    })
}

/// AND of three values.
pub(super) fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut whole = Some(true);
    for part in parts {
        whole = match (whole, part) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
    }
    whole
}

/// OR of three values.
pub(super) fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|part| part.map(|holds| !holds))).map(|holds| !holds)
}

impl fmt::Display for Operand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Value(Value::String(text)) => write!(out, "'{text}'"),
            Operand::Value(other) => write!(out, "{other}"),
            Operand::UserId => out.write_str("$user.id"),
            Operand::Tenant => out.write_str("$user.tenantId"),
        }
    }
}

/// As a rule writes it. `PARENT` stands for the parents' entity.
impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Expression], word: &str| {
            let parts: Vec<String> = parts.iter().map(|part| format!("({part})")).collect();
            parts.join(word)
        };
        match self {
            Expression::Compare(field, operator, operand) => write!(out, "{field} {operator} {operand}"),
            Expression::In(field, values) => {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| Operand::Value(value.clone()).to_string())
                    .collect();
                write!(out, "{field} IN ({})", values.join(", "))
            }
            Expression::IsNull(field) => write!(out, "{field} IS NULL"),
            Expression::OfParent(field, operand) => write!(out, "parent.{field} = {operand}"),
            Expression::AmongParents(inner) => {
                write!(out, "parentId IN (SELECT id FROM PARENT WHERE {inner})")
            }
            Expression::HasRole(role) => write!(out, "'{role}' IN $user.roles"),
            Expression::And(parts) => out.write_str(&joined(parts, " AND ")),
            Expression::Or(parts) => out.write_str(&joined(parts, " OR ")),
            Expression::Not(inner) => write!(out, "NOT ({inner})"),
        }
    }
}
