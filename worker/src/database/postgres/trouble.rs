//! PostgreSQL's errors in the words that all adapters share: a table from SQLSTATE (PostgreSQL, appendix A) to what the client
//! is told.

use std::error::Error as _;
use std::fmt::Write;

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use super::values::Unfit;
use crate::database::trouble::{Constraint, Trouble};
use crate::database::unique::Unique;

/// What an error says of the connection and of trying once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database) enum Mishap {
    /// The connection is gone.
    Lost,
    /// The connection is good, the statement was not done, and another attempt may succeed.
    Transient,
    /// As transient, on another connection: this one holds what is out of date or leads to the wrong server.
    Outdated,
    /// It waited for a lock for longer than it was to (`lock_timeout`), and another attempt may not.
    Waited,
    /// Another attempt gives the same.
    None,
}

use Mishap::{Lost, None as Same, Outdated, Transient, Waited};

/// SQLSTATEs, or the classes (two characters) that they begin with. The first that fits counts. Whatever is not in the table
/// is an error of ours.
#[rustfmt::skip] // A table: one line for each state.
const STATES: &[(&str, Code, Advice, Mishap)] = &[
    ("08", Code::Unavailable, Advice::Retry, Lost),        // connection exception
    ("0A000", Code::Internal, Advice::Retry, Outdated),    // cached plan must not change result type: a table was altered
    ("22", Code::Invalid, Advice::Final, Same),            // data exception: too long, out of range, not an enum's label
    ("23505", Code::Conflict, Advice::Final, Same),        // a unique constraint that is looked at no sooner than at COMMIT
    ("23", Code::Invalid, Advice::Final, Same),            // CHECK, EXCLUDE; the rest is a `Constraint`
    ("25006", Code::Unavailable, Advice::Retry, Outdated), // read-only: a replica, or a primary that was demoted
    ("25P03", Code::Unavailable, Advice::Retry, Lost),     // idle in transaction for too long
    ("26", Code::Internal, Advice::Retry, Outdated),       // prepared statement gone: DEALLOCATE, a pooler between
    ("28", Code::Unavailable, Advice::Retry, Lost),        // password or role not accepted (any more)
    ("40001", Code::Unavailable, Advice::Retry, Transient),// serialization failure
    ("40P01", Code::Unavailable, Advice::Retry, Transient),// deadlock
    ("40", Code::Unavailable, Advice::Retry, Transient),   // other rollbacks by the server
    ("53100", Code::Quota, Advice::Retry, Same),           // disk full
    ("53300", Code::Unavailable, Advice::Retry, Lost),     // too many connections
    ("53", Code::Unavailable, Advice::Retry, Same),        // out of memory
    ("54", Code::TooLarge, Advice::Final, Same),           // statement too complex, too many columns
    ("55P03", Code::Unavailable, Advice::Retry, Waited),   // lock not available in time
    ("57014", Code::Timeout, Advice::Retry, Transient),    // cancelled
    ("57", Code::Unavailable, Advice::Retry, Lost),        // shutting down, starting up, database dropped
    ("58", Code::Unavailable, Advice::Retry, Same),        // I/O error of the server
    ("P0001", Code::Invalid, Advice::Final, Same),         // RAISE EXCEPTION in a trigger
];

/// `numeric_value_out_of_range`: what was computed, or what a trigger or a cast made of a value.
pub(in crate::database) const OUT_OF_RANGE: &str = "22003";

/// What an error of a statement about `entity` means.
pub(super) fn trouble(error: &Error, entity: &Entity, unique: &Unique) -> (Trouble, Mishap) {
    match error
        .as_db_error()
        .and_then(|error| constraint(error, entity, unique))
    {
        Some(constraint) => {
            let violation = Trouble::Violation {
                constraint,
                detail: detail(error),
            };
            (violation, Same)
        }
        None => nobodys_fault(error),
    }
}

/// The same for statements that are about no row.
pub(super) fn nobodys_fault(error: &Error) -> (Trouble, Mishap) {
    if error.as_db_error().map(|error| error.code().code()) == Some(OUT_OF_RANGE) {
        let detail = detail(error);
        return (Trouble::Overflow { detail }, Same);
    }
    let (code, advice, mishap) = meaning(error);
    if is_contention(error) {
        let detail = detail(error);
        return (Trouble::Serialization { detail }, mishap);
    }
    let trouble = Trouble::Database {
        code,
        advice,
        detail: detail(error),
    };
    (trouble, mishap)
}

/// Whether the server, having answered so, did not commit. What it says while it ends may come after the commit.
pub(super) fn is_rolled_back(error: &Error) -> bool {
    let severity = error.as_db_error().and_then(DbError::parsed_severity);
    severity == Some(Severity::Error)
}

/// Whether others were in its way, and the server undid it for that: a serialization failure, a deadlock.
fn is_contention(error: &Error) -> bool {
    error.code().is_some_and(|state| state.code().starts_with("40"))
}

/// Whether this warning says of a commit that no standby may have it: the wait for one was cancelled (PostgreSQL, 27.2.8). Its
/// words are in the server's language and its SQLSTATE is that of many others, so it is told by where it comes from.
pub(super) fn is_no_replication(notice: &DbError) -> bool {
    notice.routine() == Some("SyncRepWaitForLSN")
}

/// Whether the driver did not even send the statement.
pub(super) fn is_not_sent(error: &Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<Unfit>)
}

/// Whether it divided by zero, as [`dbal_sql::POSTGRES_ALONE`] has it do.
pub(super) fn is_division(error: &Error) -> bool {
    error.code().is_some_and(|state| state.code() == "22012")
}

fn meaning(error: &Error) -> (Code, Advice, Mishap) {
    if let Some(error) = error.as_db_error() {
        return of_state(error.code().code());
    }
    if is_not_sent(error) {
        return (Code::Invalid, Advice::Final, Same);
    }
    let is_io = error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    if error.is_closed() || is_io {
        return (Code::Unavailable, Advice::Retry, Lost);
    }
    (Code::Internal, Advice::Final, Same)
}

/// What a state means.
pub(in crate::database) fn of_state(state: &str) -> (Code, Advice, Mishap) {
    STATES
        .iter()
        .find(|(begin, _, _, _)| state.starts_with(begin))
        .map_or(
            (Code::Internal, Advice::Final, Same),
            |(_, code, advice, mishap)| (*code, *advice, *mishap),
        )
}

fn constraint(error: &DbError, entity: &Entity, unique: &Unique) -> Option<Constraint> {
    let is_of_entity = error.table() == Some(entity.table.as_str());
    match error.code().code() {
        "23505" => {
            let columns = error.constraint().filter(|_| is_of_entity);
            Some(Constraint::Unique(
                columns
                    .map(|name| unique.columns(entity.id, name))
                    .unwrap_or_default(),
            ))
        }
        "23502" => {
            let is_named = |column: &&dbal_schema::Column| error.column() == Some(column.sql.as_str());
            let named = entity.columns.iter().filter(|_| is_of_entity).filter(is_named);
            Some(Constraint::NotNull(named.map(|column| column.id).collect()))
        }
        "23503" | "23001" => Some(Constraint::ForeignKey),
        _ => None,
    }
}

/// Whether the message of such an error may quote values.
pub(in crate::database) fn quotes_values(state: &str) -> bool {
    ["22", "23", "P0"].iter().any(|class| state.starts_with(class))
}

/// The server's words, for the operator; where they may quote values, only what they are about.
fn detail(error: &Error) -> String {
    let Some(error) = error.as_db_error() else {
        return format!("PostgreSQL: {}", dbal_daemon::causes(error));
    };
    let state = error.code().code();
    let message = if quotes_values(state) { "" } else { error.message() };
    let mut text = format!("PostgreSQL: {state} {message}");
    for (what, name) in [
        ("table", error.table()),
        ("column", error.column()),
        ("constraint", error.constraint()),
    ] {
        if let Some(name) = name {
            // Writing into a string can't fail.
            let _ = write!(text, " ({what} {name})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_the_meaning_of_its_first_line_and_unknown_ones_are_ours() {
        for (state, expected) in [
            ("08006", (Code::Unavailable, Advice::Retry, Lost)),
            ("25006", (Code::Unavailable, Advice::Retry, Outdated)),
            ("40P01", (Code::Unavailable, Advice::Retry, Transient)),
            ("53100", (Code::Quota, Advice::Retry, Same)),
            ("53200", (Code::Unavailable, Advice::Retry, Same)),
            ("57014", (Code::Timeout, Advice::Retry, Transient)),
            ("57P01", (Code::Unavailable, Advice::Retry, Lost)),
            ("42P01", (Code::Internal, Advice::Final, Same)),
            ("XX000", (Code::Internal, Advice::Final, Same)),
        ] {
            assert_eq!(of_state(state), expected, "{state}");
        }
        // A class before one of its states would hide it.
        for (nth, (state, ..)) in STATES.iter().enumerate() {
            let found = STATES.iter().position(|(begin, ..)| state.starts_with(begin));
            assert_eq!(found, Some(nth), "{state}");
        }
    }
}
