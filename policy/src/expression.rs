//! The language of `rows:` and `check:`: text → tree. What names mean is judged in `row_filter`.

pub(crate) mod token;
pub(crate) mod parse;

use std::fmt;

use dbal_shared::predicate::Comparison;

pub(crate) use parse::parse;

/// Longest expression, in bytes. Real ones stay below 200.
pub(crate) const LENGTH: usize = 4_096;
/// Deepest nesting of parentheses and NOT. Real ones stay below 4.
pub(crate) const NESTING: usize = 24;

/// What is wrong with an expression, and where: a byte offset into its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl Mistake {
    pub(crate) fn new(at: usize, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
        }
    }
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Constant(bool),
    Compare {
        left: Operand,
        op: Comparison,
        right: Operand,
    },
    In {
        left: Operand,
        list: Vec<Operand>,
    },
    InSelect {
        left: Operand,
        select: Select,
    },
    IsNull(Operand),
}

/// `SELECT column FROM entity WHERE filter`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) column: Name,
    pub(crate) entity: Name,
    pub(crate) filter: Option<Box<Expression>>,
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) kind: OperandKind,
}

/// What stands on one side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OperandKind {
    /// A field of the row.
    Field(String),
    /// A field of the row that this one refers to.
    Related {
        relation: String,
        field: String,
    },
    /// Something about the caller.
    Caller(Claim),
    Text(String),
    Int(i64),
    Bool(bool),
    Null,
}

/// What an expression may ask of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// `$user.id`: the proof's subject.
    Id,
    /// `$user.role`: the caller's role of the highest level.
    Role,
    /// `$user.roles`: all roles, inherited ones included. Only in `IN`.
    Roles,
    /// `$user.level`: the level of `$user.role`.
    Level,
    /// `$user.tenantId` and `$context.tenantId`.
    Tenant,
    /// `$user.<name>`: a further claim of the proof.
    Named(String),
}

impl fmt::Display for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::Id => out.write_str("$user.id"),
            Claim::Role => out.write_str("$user.role"),
            Claim::Roles => out.write_str("$user.roles"),
            Claim::Level => out.write_str("$user.level"),
            Claim::Tenant => out.write_str("$user.tenantId"),
            Claim::Named(name) => write!(out, "$user.{name}"),
        }
    }
}

impl Claim {
    /// The claim that `$scope.name` means.
    pub(crate) fn of(scope: &str, name: &str) -> Option<Claim> {
        match (scope, name) {
            ("context" | "user", "tenantId") => Some(Claim::Tenant),
            ("user", "id") => Some(Claim::Id),
            ("user", "role") => Some(Claim::Role),
            ("user", "roles") => Some(Claim::Roles),
            ("user", "level") => Some(Claim::Level),
            ("user", name) => Some(Claim::Named(name.to_owned())),
            _ => None,
        }
    }
}
