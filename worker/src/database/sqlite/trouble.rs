//! SQLite's errors in the words that all adapters share.

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Advice;
use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::database::trouble::{Constraint, Trouble};

/// What an error of a statement about `entity` means.
pub(super) fn trouble(error: &rusqlite::Error, entity: &Entity) -> Trouble {
    match constraint(error, entity) {
        Some(constraint) => Trouble::Violation {
            constraint,
            detail: format!("SQLite: {error}"),
        },
        None => nobodys_fault(error),
    }
}

/// The same for statements that are about no row.
pub(super) fn nobodys_fault(error: &rusqlite::Error) -> Trouble {
    let (code, advice) = of_sqlite(error);
    Trouble::Database {
        code,
        advice,
        detail: format!("SQLite: {error}"),
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

/// Reads SQLite's error for a statement on `entity`'s table.
fn constraint(error: &rusqlite::Error, entity: &Entity) -> Option<Constraint> {
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return None;
    };
    let columns = || named_columns(message.as_deref().unwrap_or_default(), entity);
    match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Some(Constraint::Unique(columns()))
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => Some(Constraint::NotNull(columns())),
        // SQLite does RESTRICT by a trigger of its own.
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => Some(Constraint::ForeignKey),
        _ => None,
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
