//! What goes wrong while a plan runs, and what of it the client is told: a code and fields, never SQL, never a value.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Advice;
use dbal_sql::SqlError;

use crate::job::Refusal;

/// Why a plan gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No such row in reach.
    #[error("no such row in reach")]
    NotFound,
    /// The row may not be written so.
    #[error("the row as it would be is not permitted")]
    NotPermitted,
    /// Too many rows for one call.
    #[error("more rows than one call may change")]
    TooManyRows,
    /// Too much JSON for one answer.
    #[error("more JSON than one answer may hold")]
    AnswerTooLarge,
    /// Single fields are wrong.
    #[error("{described}")]
    Fields {
        /// The client's code.
        code: Code,
        /// What is wrong with which.
        fields: Vec<(ColumnId, Fault)>,
        /// For the operator.
        described: String,
    },
    /// A constraint of the database failed.
    #[error("{detail}")]
    Violation {
        /// Which, as far as the database says.
        constraint: Constraint,
        /// The database's words, for the operator.
        detail: String,
    },
    /// A number that the database computed is beyond its type.
    #[error("{detail}")]
    Overflow {
        /// The database's words, for the operator.
        detail: String,
    },
    /// The plan can't be put into SQL.
    #[error("not renderable: {0}")]
    Sql(#[from] SqlError),
    /// The plan's column or entity is gone; a valid plan has none such.
    #[error("a column of the plan is not in the schema")]
    NotInSchema,
    /// A stored value is not of its declared type.
    #[error("column `{column}`: the database holds a value that is not of the declared type")]
    WrongType {
        /// The field's name.
        column: String,
    },
    /// Refused in words that are settled already: a call of a transaction, or its deadline.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
    /// Others that ran beside it were in its way: after a rollback the same may succeed. Adapters run the task again while
    /// its deadline lets them.
    #[error("{detail}")]
    Serialization {
        /// The database's words, for the operator.
        detail: String,
    },
    /// The database says so.
    #[error("{detail}")]
    Database {
        /// The client's code.
        code: Code,
        /// What the client may conclude.
        advice: Advice,
        /// The database's words, for the operator.
        detail: String,
    },
}

/// Which constraint failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Another row has these values. No columns where the database does not name any of ours.
    Unique(Vec<ColumnId>),
    /// These columns can't be NULL.
    NotNull(Vec<ColumnId>),
    /// A reference leads nowhere, or is still needed.
    ForeignKey,
}

impl Trouble {
    /// These fields are wrong, each in its own way.
    pub(super) fn of_fields(entity: &Entity, code: Code, fields: Vec<(ColumnId, Fault)>) -> Self {
        let described = entity.describe(&fields);
        Trouble::Fields {
            code,
            fields,
            described,
        }
    }

    /// The same, said of one call of a transaction, where it is that call's own.
    pub(super) fn at(self, call: usize) -> Self {
        if self.is_of_the_whole() {
            self
        } else {
            Trouble::Refused(Box::new(self.into_refusal().at(call)))
        }
    }

    /// Whether it is no one call's fault: others are in the way, the deadline, a full disk, a database that is away.
    pub(super) fn is_of_the_whole(&self) -> bool {
        match self {
            Trouble::Serialization { detail: _ } => true,
            Trouble::Database {
                code: _,
                advice,
                detail: _,
            } => *advice != Advice::Final,
            Trouble::NotFound
            | Trouble::NotPermitted
            | Trouble::TooManyRows
            | Trouble::AnswerTooLarge
            | Trouble::Fields { .. }
            | Trouble::Violation { .. }
            | Trouble::Overflow { detail: _ }
            | Trouble::Sql(_)
            | Trouble::NotInSchema
            | Trouble::WrongType { .. }
            | Trouble::Refused(_) => false,
        }
    }

    /// What broker and audit are told. Faults of our own are logged where they are found.
    pub(super) fn into_refusal(self) -> Refusal {
        let detail = self.to_string();
        let (code, advice) = match self {
            Trouble::NotFound => (Code::NotFound, Advice::Final),
            Trouble::NotPermitted => (Code::Forbidden, Advice::Final),
            Trouble::TooManyRows
            | Trouble::AnswerTooLarge
            | Trouble::Sql(SqlError::TooManyParameters { .. } | SqlError::TooManyRelations { .. }) => {
                (Code::TooLarge, Advice::Final)
            }
            Trouble::Fields {
                code,
                fields,
                described: _,
            } => {
                return Refusal::of_fields(code, fields, Advice::Final, detail);
            }
            Trouble::Overflow { detail: _ } => (Code::Invalid, Advice::Final),
            // INVARIANT: `write` turns violations into fields; one that a read meets is none that we know of.
            Trouble::Violation { .. }
            | Trouble::Sql(SqlError::NotInSchema | SqlError::NoPlace | SqlError::Incomparable)
            | Trouble::NotInSchema
            | Trouble::WrongType { .. } => (Code::Internal, Advice::Final),
            Trouble::Refused(refusal) => return *refusal,
            Trouble::Serialization { detail: _ } => (Code::Unavailable, Advice::Retry),
            Trouble::Database {
                code,
                advice,
                detail: _,
            } => (code, advice),
        };
        Refusal::new(code, advice, detail)
    }
}
