//! Formulas that are true or false: what is left of three-valued conditions once it is said which of true, false or unknown is meant.

use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Comparison, Link, Predicate};
use dbal_shared::value::Value;

use crate::expression::Claim;
use crate::slots::SlotId;
use crate::template::Template;

/// Something that is the case or is not.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// All of them; true when empty.
    All(Vec<Formula>),
    /// Any of them; false when empty.
    Any(Vec<Formula>),
    /// One statement.
    Is(Literal),
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Both sides have a value, and they compare so.
    Compare(Term, Comparison, Term),
    /// There is no value.
    IsNull(Variable),
    /// There is one.
    IsSet(Variable),
    /// The caller has this role, or has it not.
    HasRole(String, bool),
    /// Whether there is a linked row of which this is true.
    Linked {
        /// When.
        moment: Moment,
        /// How it is linked.
        link: Link,
        /// What is true of it.
        inner: Template,
        /// Whether there is one.
        exists: bool,
    },
    /// What is only known to be itself.
    Opaque {
        /// When.
        moment: Moment,
        /// What.
        what: Opaque,
        /// Whether it is spoken of being true, or of being false. It may be neither.
        aspect: Aspect,
        /// Whether that is the case.
        holds: bool,
    },
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// What differs from row to row, or from caller to caller.
    Variable(Variable),
    /// A fixed value, never null.
    Value(Value),
}

/// What differs from row to row, or from caller to caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Variable {
    /// A column of the row: of the written one where a row is written, and of both where the write leaves it alone.
    Column(ColumnId),
    /// A column of the row as it was before a write that may change it.
    Before(ColumnId),
    /// A claim of the caller, in the type in which it is wanted.
    Claim(Claim, Sort),
}

/// Types between which a claim is the same value. All that are told apart here may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// All kinds of text.
    Text,
    /// Whole numbers that are compared with literals.
    Number,
    /// 32 bit.
    Integer,
    /// 64 bit.
    Bigint,
    /// Floating point.
    Float,
    /// Exact.
    Decimal,
    /// True or false.
    Boolean,
    /// UUIDs.
    Uuid,
    /// Days.
    Date,
    /// Points in time.
    Datetime,
    /// JSON.
    Json,
    /// Octets.
    Bytes,
}

/// Before a write, or else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it is read, or as it is after the write.
    Now,
    /// As it was before the write.
    Before,
}

/// What is only known to be itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Opaque {
    /// A condition.
    Predicate(Predicate),
    /// Whether a column is among the caller's roles, or in another list.
    Member(ColumnId, SlotId),
    /// Whether a list of the caller's has this value.
    Listed(SlotId, Value),
}

/// Being true, or being false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Being true.
    True,
    /// Being false.
    False,
}

impl Formula {
    /// Always.
    pub const TRUE: Formula = Formula::All(Vec::new());
    /// Never.
    pub const FALSE: Formula = Formula::Any(Vec::new());

    /// Whether a fixed answer is the case.
    #[must_use]
    pub fn known(is_true: bool) -> Formula {
        if is_true { Formula::TRUE } else { Formula::FALSE }
    }

    /// There is a value.
    #[must_use]
    pub fn is_set(variable: Variable) -> Formula {
        Formula::Is(Literal::IsSet(variable))
    }

    /// There is none.
    #[must_use]
    pub fn is_null(variable: Variable) -> Formula {
        Formula::Is(Literal::IsNull(variable))
    }
}

impl Literal {
    /// Whether it speaks of the caller alone.
    pub(crate) fn is_about_caller(&self) -> bool {
        let is_claim = |term: &Term| match term {
            Term::Variable(Variable::Claim(..)) | Term::Value(_) => true,
            Term::Variable(Variable::Column(_) | Variable::Before(_)) => false,
        };
        match self {
            Literal::Compare(left, _, right) => is_claim(left) && is_claim(right),
            Literal::IsNull(variable) | Literal::IsSet(variable) => matches!(variable, Variable::Claim(..)),
            Literal::HasRole(..) => true,
            Literal::Linked { .. } | Literal::Opaque { .. } => false,
        }
    }
}
