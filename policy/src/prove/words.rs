//! A case that nothing contradicts, told to people.

use dbal_schema::{Entity, Schema};
use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use crate::expression::Claim;
use crate::prove::formula::{Aspect, Literal, Opaque, Term, Variable};

/// Statements that are told; more would bury the one that matters.
const TOLD: usize = 6;

/// `state = 'draft' and not ownerId = $user.id`, of a row of `entity`. Nothing where there is nothing to say: any row.
pub fn words(literals: &[Literal], entity: &Entity, schema: &Schema) -> String {
    let mut told: Vec<String> = Vec::new();
    for literal in literals {
        // That a value is there is said by what it compares to.
        let is_needless = matches!(literal, Literal::IsSet(_) | Literal::HasRole(_, true));
        if let Some(text) = statement(literal, entity, schema).filter(|_| !is_needless) {
            told.push(text);
        }
    }
    if told.len() > TOLD {
        told.truncate(TOLD);
        told.push("…".to_owned());
    }
    told.join(" and ")
}

fn statement(literal: &Literal, entity: &Entity, schema: &Schema) -> Option<String> {
    Some(match literal {
        Literal::Compare(left, op, right) => {
            format!("{} {} {}", term(left, entity), sign(*op), term(right, entity))
        }
        Literal::IsNull(Variable::Claim(name, _)) => format!("a caller without {}", claim(name)),
        Literal::IsNull(one) => format!("{} IS NULL", variable(one, entity)),
        Literal::IsSet(one) => format!("{} IS NOT NULL", variable(one, entity)),
        Literal::HasRole(role, true) => format!("a caller who is {role}"),
        Literal::HasRole(role, false) => format!("a caller who is not {role}"),
        Literal::Linked { link, exists, .. } => {
            let linked = schema
                .entity(link.entity)
                .map_or("linked", |entity| entity.name.as_str());
            let what = if *exists {
                "with a certain"
            } else {
                "without a certain"
            };
            format!("{what} {linked} row")
        }
        Literal::Opaque {
            what: Opaque::Member(column, _),
            aspect: Aspect::True,
            holds,
            ..
        } => {
            let not = if *holds { "" } else { "NOT " };
            format!(
                "{} {not}IN a list of the caller",
                variable(&Variable::Column(*column), entity)
            )
        }
        Literal::Opaque { .. } => return None,
    })
}

fn term(term: &Term, entity: &Entity) -> String {
    match term {
        Term::Variable(one) => variable(one, entity),
        Term::Value(fixed) => value(fixed),
    }
}

fn variable(variable: &Variable, entity: &Entity) -> String {
    let name = |column| {
        entity
            .column(column)
            .map_or_else(|| "?".to_owned(), |found| found.name.clone())
    };
    match variable {
        Variable::Column(column) => name(*column),
        Variable::Before(column) => format!("the former {}", name(*column)),
        Variable::Claim(name, _) => claim(name),
    }
}

fn claim(claim: &Claim) -> String {
    let name = match claim {
        Claim::Id => "id",
        Claim::Role => "role",
        Claim::Roles => "roles",
        Claim::Level => "level",
        Claim::Tenant => "tenantId",
        Claim::Named(name) => name,
    };
    format!("$user.{name}")
}

fn value(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Int(number) => number.to_string(),
        Value::Decimal(number) => number.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Uuid(bytes) => format!("'{}'", uuid(*bytes)),
        Value::Date(days) => format!("day {days}"),
        Value::Timestamp(ms) => format!("time {ms} ms"),
        Value::Null => "NULL".to_owned(),
        Value::Json(_) | Value::Bytes(_) | Value::Earlier(_) => "a value".to_owned(),
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn sign(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => "=",
        Comparison::Ne => "<>",
        Comparison::Lt => "<",
        Comparison::Lte => "<=",
        Comparison::Gt => ">",
        Comparison::Gte => ">=",
    }
}
