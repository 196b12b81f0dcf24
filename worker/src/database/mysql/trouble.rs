//! The server's errors in the words that all adapters share: a table of numbers.

use dbal_schema::{Column, Entity};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Advice;
use mysql_async::{DriverError, Error, ServerError};

use crate::database::trouble::{Constraint, Trouble};
use crate::database::unique::Unique;

/// What can be done about a statement that failed, as long as its transaction is not being committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Nothing: it would fail again.
    None,
    /// The same once more: the whole of it was rolled back, or will be.
    Again,
    /// The same on another connection: this one is gone, and with it what was not committed.
    Reconnect,
    /// The same on another server: this one takes no writes any more, and undid what there was.
    Elsewhere,
}

use Recovery::{Again, Elsewhere, None as Never, Reconnect};

/// Errors by number: code, advice, recovery. Those that are not here are faults of ours.
#[rustfmt::skip] // A table: one line for each number.
const ERRORS: &[(u16, Code, Advice, Recovery)] = &[
    (1020, Code::Unavailable, Advice::Retry, Again),     // ER_CHECKREAD: the row changed since it was read
    (1021, Code::Quota, Advice::Retry, Never),           // ER_DISK_FULL
    (1040, Code::Unavailable, Advice::Retry, Never),     // ER_CON_COUNT_ERROR: too many connections
    (1041, Code::Unavailable, Advice::Retry, Never),     // ER_OUT_OF_RESOURCES
    (1053, Code::Unavailable, Advice::Retry, Reconnect), // ER_SERVER_SHUTDOWN
    (1077, Code::Unavailable, Advice::Retry, Reconnect), // ER_NORMAL_SHUTDOWN
    (1079, Code::Unavailable, Advice::Retry, Reconnect), // ER_SHUTDOWN_COMPLETE
    (1114, Code::Quota, Advice::Retry, Never),           // ER_RECORD_FILE_FULL
    (1153, Code::TooLarge, Advice::Final, Reconnect),    // ER_NET_PACKET_TOO_LARGE: it ends the connection as well
    (1156, Code::Unavailable, Advice::Retry, Reconnect), // ER_NET_PACKETS_OUT_OF_ORDER
    (1158, Code::Unavailable, Advice::Retry, Reconnect), // ER_NET_READ_ERROR
    (1159, Code::Unavailable, Advice::Retry, Reconnect), // ER_NET_READ_INTERRUPTED
    (1160, Code::Unavailable, Advice::Retry, Reconnect), // ER_NET_ERROR_ON_WRITE
    (1161, Code::Unavailable, Advice::Retry, Reconnect), // ER_NET_WRITE_INTERRUPTED
    (1180, Code::Unavailable, Advice::OutcomeUnknown, Never), // ER_ERROR_DURING_COMMIT
    (1203, Code::Unavailable, Advice::Retry, Never),     // ER_TOO_MANY_USER_CONNECTIONS
    (1205, Code::Unavailable, Advice::Retry, Again),     // ER_LOCK_WAIT_TIMEOUT
    (1206, Code::Unavailable, Advice::Retry, Again),     // ER_LOCK_TABLE_FULL
    (1213, Code::Unavailable, Advice::Retry, Again),     // ER_LOCK_DEADLOCK
    (1226, Code::Unavailable, Advice::Retry, Never),     // ER_USER_LIMIT_REACHED
    (1264, Code::Invalid, Advice::Final, Never),         // ER_WARN_DATA_OUT_OF_RANGE
    (1265, Code::Invalid, Advice::Final, Never),         // WARN_DATA_TRUNCATED: not a value of the enum
    (1267, Code::Invalid, Advice::Final, Never),         // ER_CANT_AGGREGATE_2COLLATIONS (MariaDB): a letter that the column's character set has not; columns that don't agree are refused at start
    (1290, Code::Unavailable, Advice::Retry, Elsewhere), // ER_OPTION_PREVENTS_STATEMENT: read-only server
    (1292, Code::Invalid, Advice::Final, Never),         // ER_TRUNCATED_WRONG_VALUE
    (1317, Code::Timeout, Advice::Retry, Again),         // ER_QUERY_INTERRUPTED: KILL QUERY, ours or an operator's
    (1366, Code::Invalid, Advice::Final, Never),         // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
    (1406, Code::Invalid, Advice::Final, Never),         // ER_DATA_TOO_LONG
    (1412, Code::Unavailable, Advice::Retry, Again),     // ER_TABLE_DEF_CHANGED
    (1461, Code::Unavailable, Advice::Retry, Reconnect), // ER_MAX_PREPARED_STMT_COUNT_REACHED: those of a connection end with it
    (1615, Code::Unavailable, Advice::Retry, Again),     // ER_NEED_REPREPARE
    (1644, Code::Invalid, Advice::Final, Never),         // ER_SIGNAL_EXCEPTION: SIGNAL in a trigger
    (1690, Code::Invalid, Advice::Final, Never),         // ER_DATA_OUT_OF_RANGE
    (1792, Code::Unavailable, Advice::Retry, Never),     // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    (1836, Code::Unavailable, Advice::Retry, Elsewhere), // ER_READ_ONLY_MODE
    (1927, Code::Unavailable, Advice::Retry, Reconnect), // ER_CONNECTION_KILLED
    (1969, Code::Timeout, Advice::Retry, Never),         // ER_STATEMENT_TIMEOUT (MariaDB)
    (3024, Code::Timeout, Advice::Retry, Never),         // ER_QUERY_TIMEOUT (MySQL)
    (3819, Code::Invalid, Advice::Final, Never),         // ER_CHECK_CONSTRAINT_VIOLATED (MySQL)
    (3854, Code::Invalid, Advice::Final, Never),         // ER_CANNOT_CONVERT_STRING (MySQL): letters that the column's character set has not
    (3988, Code::Invalid, Advice::Final, Never),         // ER_IMPOSSIBLE_STRING_CONVERSION (MySQL): the same of a parameter
    (4025, Code::Invalid, Advice::Final, Never),         // ER_CONSTRAINT_FAILED (MariaDB)
    (4031, Code::Unavailable, Advice::Retry, Reconnect), // ER_CLIENT_INTERACTION_TIMEOUT (MySQL): it was idle for too long
];

/// ER_DATA_OUT_OF_RANGE: of what was computed.
const OUT_OF_RANGE: u16 = 1690;

/// ER_CHECKREAD and ER_LOCK_DEADLOCK: others were in its way.
const ROW_CHANGED: u16 = 1020;
const DEADLOCK: u16 = 1213;

/// ER_NO_DEFAULT_FOR_FIELD, ER_NET_PACKET_TOO_LARGE, ER_CLIENT_INTERACTION_TIMEOUT: said before anything is done.
const NO_DEFAULT: u16 = 1364;
const PACKET_TOO_LARGE: u16 = 1153;
const IDLE: u16 = 4031;

/// ER_QUERY_INTERRUPTED
const INTERRUPTED: u16 = 1317;

/// Whether a COMMIT that is answered so was not done. Of one that somebody interrupted nobody knows how far it came.
pub(super) fn is_no_commit(error: &Error) -> bool {
    let is_interrupted = matches!(
        error,
        Error::Server(ServerError {
            code: INTERRUPTED,
            ..
        })
    );
    match nobodys_fault(error).1 {
        Again | Elsewhere => !is_interrupted,
        Never | Reconnect => false,
    }
}

/// Whether a statement that is its own transaction was undone where it is answered so. What the server finds amiss before it commits
/// undoes the statement; of what it only says while it commits, or when it lets the connection go, nobody knows how far it came.
pub(super) fn is_undone(error: &Error) -> bool {
    let Error::Server(ServerError { code, state, .. }) = error else {
        return false;
    };
    if matches!(*code, NO_DEFAULT | PACKET_TOO_LARGE | IDLE) {
        return true;
    }
    match ERRORS.iter().find(|(number, ..)| number == code) {
        Some((_, _, advice, recovery)) => match recovery {
            Never | Again | Elsewhere => *advice != Advice::OutcomeUnknown,
            Reconnect => false,
        },
        // Classes of SQLSTATE: values, constraints, conflicts, syntax and rights, SIGNAL. What a commit says is of none of them.
        None => ["22", "23", "40", "42", "45"]
            .iter()
            .any(|class| state.starts_with(class)),
    }
}

/// What an error of a statement about `entity` means.
pub(super) fn trouble(error: &Error, entity: &Entity, keys: &Unique) -> (Trouble, Recovery) {
    if let Error::Server(server) = error
        && let Some(constraint) = constraint(server, entity, keys)
    {
        let violation = Trouble::Violation {
            constraint,
            detail: format!("server error {}", server.code),
        };
        return (violation, Recovery::None);
    }
    if let Error::Server(server) = error
        && let Some(column) = narrow_column(server, entity)
    {
        let expected = "a value that the database's own column can hold".to_owned();
        let fields = vec![(column, Fault::Format { expected })];
        return (Trouble::of_fields(entity, Code::Invalid, fields), Recovery::None);
    }
    nobodys_fault(error)
}

/// The same for statements that are about no row.
pub(super) fn nobodys_fault(error: &Error) -> (Trouble, Recovery) {
    let (code, advice, recovery) = match error {
        Error::Server(server) => ERRORS
            .iter()
            .find(|(number, ..)| *number == server.code)
            .map_or((Code::Internal, Advice::Final, Recovery::None), |found| {
                (found.1, found.2, found.3)
            }),
        Error::Driver(DriverError::PacketTooLarge) => (Code::TooLarge, Advice::Final, Recovery::Reconnect),
        // The connection is of no use any more.
        Error::Io(_) | Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            (Code::Unavailable, Advice::Retry, Recovery::Reconnect)
        }
    };
    let detail = described(error);
    let trouble = match error {
        Error::Server(ServerError {
            code: OUT_OF_RANGE, ..
        }) => Trouble::Overflow { detail },
        Error::Server(ServerError {
            code: ROW_CHANGED | DEADLOCK,
            ..
        }) => Trouble::Serialization { detail },
        Error::Server(_) | Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => {
            Trouble::Database { code, advice, detail }
        }
    };
    (trouble, recovery)
}

/// For the operator. The server quotes values in its messages, and the audit must have none: of those that are known to hold
/// none the text, of others the number.
pub(super) fn described(error: &Error) -> String {
    match error {
        Error::Server(ServerError {
            code,
            message,
            state: _,
        }) if matches!(
            code,
            1040..=1049 | 1142 | 1143 | 1146 | 1054 | 1205 | 1213 | 1227 | 1290 | 1836
        ) =>
        {
            format!("server error {code}: {message}")
        }
        Error::Server(ServerError { code, .. }) => format!("server error {code}"),
        Error::Driver(DriverError::UnexpectedPacket { .. }) => "unexpected packet".to_owned(),
        // "Input/output error: Input/output error: Connection refused"
        Error::Io(io) => first_cause(io),
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => error.to_string(),
    }
}

fn first_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), first_cause)
}

/// For the operator who has tables made: the server's words, but for those about values.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::Server(ServerError { code: 1062, .. }) => {
            "server error 1062: rows that are there agree in what is to be unique".to_owned()
        }
        Error::Server(ServerError { code, message, .. }) => format!("server error {code}: {message}"),
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => described(error),
    }
}

fn constraint(error: &ServerError, entity: &Entity, keys: &Unique) -> Option<Constraint> {
    match error.code {
        // ER_DUP_ENTRY, ER_DUP_UNIQUE, ER_DUP_ENTRY_WITH_KEY_NAME
        1062 | 1169 | 1586 => Some(Constraint::Unique(key_columns(&error.message, entity, keys))),
        // ER_BAD_NULL_ERROR, ER_NO_DEFAULT_FOR_FIELD
        1048 | 1364 => Some(Constraint::NotNull(named_column(&error.message, entity))),
        // ER_NO_REFERENCED_ROW, ER_ROW_IS_REFERENCED, and both with names
        1216 | 1217 | 1451 | 1452 => Some(Constraint::ForeignKey),
        _ => None,
    }
}

/// `Duplicate entry 'a-b' for key 'note_owner_slug'`; MySQL says `'Note.note_owner_slug'`. The value stands before it and may
/// hold anything, so the last quoted word counts.
fn key_columns(message: &str, entity: &Entity, keys: &Unique) -> Vec<ColumnId> {
    let quoted = message
        .strip_suffix('\'')
        .and_then(|rest| rest.rsplit_once('\''))
        .map_or("", |(_, name)| name);
    let own = quoted
        .strip_prefix(entity.table.as_str())
        .and_then(|rest| rest.strip_prefix('.'));
    keys.columns(entity.id, own.unwrap_or(quoted))
}

/// ER_WARN_DATA_OUT_OF_RANGE, WARN_DATA_TRUNCATED, ER_TRUNCATED_WRONG_VALUE, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_DATA_TOO_LONG: of a
/// value that was to be kept they name the column, ``… for column 'title' at row 1`` or ``… for column `db`.`note`.`title` at row 1``.
/// The value may stand before it and hold anything, so the last counts.
fn narrow_column(error: &ServerError, entity: &Entity) -> Option<ColumnId> {
    if !matches!(error.code, 1264 | 1265 | 1292 | 1366 | 1406) {
        return None;
    }
    let (_, named) = error.message.rsplit_once(" for column ")?;
    let (named, _) = named.rsplit_once(" at row ")?;
    let is_it = |column: &&Column| {
        let name = column.sql.as_str();
        let of_table = named.strip_suffix('`').and_then(|rest| rest.strip_suffix(name));
        named == format!("'{name}'") || of_table.is_some_and(|rest| rest.ends_with('`'))
    };
    let mut found = entity.columns.iter().filter(is_it);
    found.next().map(|column| column.id)
}

/// `Column 'title' cannot be null`
fn named_column(message: &str, entity: &Entity) -> Vec<ColumnId> {
    let name = message.split('\'').nth(1).unwrap_or_default();
    let named = entity.columns.iter().filter(|column| column.sql.as_str() == name);
    named.map(|column| column.id).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::server::ConnectError;
    use super::*;

    #[test]
    fn why_there_is_no_connection_is_said_once() {
        let refused = Error::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let denied = Error::Server(ServerError {
            code: 1045,
            message: "Access denied for user 'dbal'".to_owned(),
            state: "28000".to_owned(),
        });
        for (why, told) in [
            (refused, "db.example: connection refused"),
            (
                denied,
                "db.example: server error 1045: Access denied for user 'dbal'",
            ),
        ] {
            let host = "db.example".to_owned();
            assert_eq!(dbal_daemon::causes(&ConnectError::Server { host, why }), told);
        }
    }
}
