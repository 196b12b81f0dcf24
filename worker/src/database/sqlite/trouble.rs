//! What goes wrong in SQLite, and what of it the client is told: a code and fields, never SQL, never a value.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Advice;
use dbal_sql::SqlError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::values;
use crate::job::Refusal;

/// Why a plan gave no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
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
        code: Code,
        fields: Vec<(ColumnId, Fault)>,
        described: String,
    },
    /// The plan can't be put into SQL.
    #[error("not renderable: {0}")]
    Sql(#[from] SqlError),
    /// The plan's column or entity is gone; a valid plan has none such.
    #[error("a column of the plan is not in the schema")]
    NotInSchema,
    /// A stored value is not of its declared type.
    #[error("column `{column}`")]
    WrongType {
        column: String,
        #[source]
        source: values::WrongType,
    },
    /// SQLite says so.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
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
            Trouble::Sql(SqlError::NotInSchema) | Trouble::NotInSchema | Trouble::WrongType { .. } => {
                (Code::Internal, Advice::Final)
            }
            Trouble::Sqlite(error) => of_sqlite(&error),
        };
        Refusal::new(code, advice, detail)
    }
}

/// Code and advice for an error that is nobody's fault.
pub(super) fn of_sqlite(error: &rusqlite::Error) -> (Code, Advice) {
    match error.sqlite_error_code() {
        // The progress handler: the deadline passed, or nobody waits.
        Some(ErrorCode::OperationInterrupted) => (Code::Timeout, Advice::Retry),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure,
        ) => (Code::Unavailable, Advice::Retry),
        Some(ErrorCode::DiskFull) => (Code::Quota, Advice::Retry),
        Some(ErrorCode::TooBig) => (Code::TooLarge, Advice::Final),
        Some(_) | None => (Code::Internal, Advice::Final),
    }
}

/// Which constraint failed.
#[derive(Debug, PartialEq)]
pub(super) enum Constraint {
    /// Another row has these values.
    Unique(Vec<ColumnId>),
    /// These columns can't be NULL.
    NotNull(Vec<ColumnId>),
    /// A reference leads nowhere, or is still needed.
    ForeignKey,
}

impl Constraint {
    /// Reads SQLite's error for a statement on `entity`'s table.
    pub(super) fn of_error(error: &rusqlite::Error, entity: &Entity) -> Option<Self> {
        let rusqlite::Error::SqliteFailure(failure, message) = error else {
            return None;
        };
        let columns = || named_columns(message.as_deref().unwrap_or_default(), entity);
        match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => Some(Constraint::Unique(columns())),
            ffi::SQLITE_CONSTRAINT_NOTNULL => Some(Constraint::NotNull(columns())),
            // SQLite does RESTRICT by a trigger of its own.
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => {
                Some(Constraint::ForeignKey)
            }
            _ => None,
        }
    }
}

/// SQLite names the columns: `UNIQUE constraint failed: Note.ownerId, Note.slug`. Where it names an index of expressions
/// instead, no column is found, and the answer names none.
fn named_columns(message: &str, entity: &Entity) -> Vec<ColumnId> {
    let names: Vec<&str> = message
        .split_once(": ")
        .map_or("", |(_, names)| names)
        .split(", ")
        .collect();
    let table = entity.table.as_str();
    let is_named = |column: &str| {
        names.iter().any(|name| {
            name.strip_prefix(table)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| rest == column)
        })
    };
    entity
        .columns
        .iter()
        .filter(|column| is_named(column.sql.as_str()))
        .map(|column| column.id)
        .collect()
}
