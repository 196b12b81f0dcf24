//! What the bridge refuses in the words that all adapters share: its own codes here, PostgreSQL's states by the table of the adapter
//! for PostgreSQL. The database's texts go to the log at most.

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Advice;
use dbal_sql::{NOT_PERMITTED, TOO_MANY_ROWS};

use super::protocol::{Named, Refused};
use super::tables::Tables;
use crate::database::postgres::trouble::{Mishap, OUT_OF_RANGE, of_state, quotes_values};
use crate::database::trouble::{Constraint, Trouble};

/// Whether a statement is known to have changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It did not run, or was undone.
    None,
    /// Nobody knows.
    Unknown,
}

/// Whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Another {
    /// Soon.
    Helps,
    /// It gives the same.
    Same,
}

use Another::{Helps, Same};
use Effect::{None as Nothing, Unknown};

/// The bridge's own codes. The states of the database stand before them where there is one.
#[rustfmt::skip] // A table: one line for each code.
const CODES: &[(&str, Code, Advice, Effect, Another)] = &[
    ("unauthorized",           Code::Unavailable, Advice::Retry, Nothing, Same),  // another token; an operator's matter, as a password is
    ("invalid",                Code::Internal,    Advice::Final, Nothing, Same),
    ("not_found",              Code::Internal,    Advice::Final, Nothing, Same),
    ("method_not_allowed",     Code::Internal,    Advice::Final, Nothing, Same),
    ("unsupported_media_type", Code::Internal,    Advice::Final, Nothing, Same),
    ("too_large",              Code::TooLarge,    Advice::Final, Nothing, Same),
    ("answer_too_large",       Code::TooLarge,    Advice::Final, Unknown, Same),  // it was run
    ("busy",                   Code::Unavailable, Advice::Retry, Nothing, Helps),
    ("unreachable",            Code::Unavailable, Advice::Retry, Unknown, Helps), // the database, perhaps in the middle
    ("timeout",                Code::Timeout,     Advice::Retry, Unknown, Same),
    ("internal",               Code::Internal,    Advice::Final, Unknown, Same),
];

/// States after which a statement may have been done: the server was ending, or the connection broke.
const UNSURE: [&str; 2] = ["08", "57P"];
/// Others were in its way, and the database undid it for that: a serialization failure, a deadlock.
const CONTENTION: &str = "40";
/// No such boolean: what [`dbal_sql::BRIDGED_POSTGRES`] fails by.
const NOT_A_BOOLEAN: &str = "22P02";

/// What a refusal of a statement about `entity` means.
pub(super) fn trouble(refused: &Refused, entity: &Entity, tables: &Tables) -> (Trouble, Effect, Another) {
    match refused.sqlstate.as_deref() {
        Some(state) => of_database(refused, state, entity, tables),
        None => of_bridge(refused),
    }
}

fn of_bridge(refused: &Refused) -> (Trouble, Effect, Another) {
    let known = CODES.iter().find(|(code, ..)| *code == refused.code);
    let (code, advice, effect, another) = known.map_or(
        (Code::Internal, Advice::Final, Unknown, Same),
        |(_, code, advice, effect, another)| (*code, *advice, *effect, *another),
    );
    let effect = match refused.outcome.as_deref() {
        Some("none") => Nothing,
        Some("unknown") => Unknown,
        Some(_) | None => effect,
    };
    // A stranger's word is not written into our log.
    let name = known.map_or("an unknown code", |(name, ..)| *name);
    let detail = format!("the bridge: {name}");
    (Trouble::Database { code, advice, detail }, effect, another)
}

fn of_database(
    refused: &Refused,
    state: &str,
    entity: &Entity,
    tables: &Tables,
) -> (Trouble, Effect, Another) {
    let message = refused.message.as_deref().unwrap_or_default();
    if state == NOT_A_BOOLEAN && message.contains(NOT_PERMITTED) {
        return (Trouble::NotPermitted, Nothing, Same);
    }
    if state == NOT_A_BOOLEAN && message.contains(TOO_MANY_ROWS) {
        return (Trouble::TooManyRows, Nothing, Same);
    }
    let detail = detail(refused, state);
    if let Some(constraint) = constraint(refused, state, entity, tables) {
        return (Trouble::Violation { constraint, detail }, Nothing, Same);
    }
    if state == OUT_OF_RANGE {
        return (Trouble::Overflow { detail }, Nothing, Same);
    }
    if state.starts_with(CONTENTION) {
        return (Trouble::Serialization { detail }, Nothing, Helps);
    }
    let (code, advice, mishap) = of_state(state);
    let effect = if UNSURE.iter().any(|class| state.starts_with(class)) {
        Unknown
    } else {
        Nothing
    };
    let another = match mishap {
        Mishap::Lost | Mishap::Transient | Mishap::Waited | Mishap::Outdated => Helps,
        Mishap::None => Same,
    };
    (Trouble::Database { code, advice, detail }, effect, another)
}

fn constraint(refused: &Refused, state: &str, entity: &Entity, tables: &Tables) -> Option<Constraint> {
    match state {
        "23505" => {
            let is_of_entity = refused
                .table
                .as_deref()
                .is_none_or(|table| table == entity.table.as_str());
            let named = refused.constraint.as_ref().filter(|_| is_of_entity);
            let columns = named.map_or_else(Vec::new, |Named { index, fields }| match index {
                Some(index) => tables.unique.columns(entity.id, index),
                None => own_columns(entity, fields.iter().map(String::as_str)),
            });
            Some(Constraint::Unique(columns))
        }
        "23502" => {
            // Prisma knows no column here; PostgreSQL's message quotes it, in every language, beside the table.
            let message = refused.message.as_deref().unwrap_or_default();
            let quoted = message.split('"').skip(1).step_by(2);
            Some(Constraint::NotNull(own_columns(entity, quoted.take(1))))
        }
        "23503" | "23001" => Some(Constraint::ForeignKey),
        _ => None,
    }
}

fn own_columns<'a>(entity: &Entity, names: impl Iterator<Item = &'a str>) -> Vec<ColumnId> {
    let id = |name: &str| {
        let name = name.trim_matches('"');
        let mut columns = entity.columns.iter();
        columns
            .find(|column| column.sql.as_str() == name)
            .map(|column| column.id)
    };
    names.filter_map(id).collect()
}

/// The database's words, for the operator; where they may quote values, only what they are about.
fn detail(refused: &Refused, state: &str) -> String {
    let is_state = state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let state = if is_state { state } else { "?" };
    let mut text = format!("PostgreSQL, by the bridge: {state}");
    if !quotes_values(state)
        && let Some(message) = &refused.message
    {
        text.push(' ');
        text.push_str(crate::ledger::cut(message, 512));
    }
    if let Some(Named {
        index: Some(index), ..
    }) = &refused.constraint
    {
        text.push_str(" (constraint ");
        text.push_str(crate::ledger::cut(index, 128));
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn refused(code: &str, sqlstate: Option<&str>, message: &str) -> Refused {
        Refused {
            code: code.to_owned(),
            sqlstate: sqlstate.map(str::to_owned),
            message: Some(message.to_owned()),
            ..Refused::default()
        }
    }

    fn meant(refused: &Refused) -> (Code, Advice, Effect) {
        let fixture = Fixture::new();
        let entity = fixture.entity("Note");
        let (trouble, effect, _) = trouble(refused, entity, &Tables::default());
        let failure = trouble.into_refusal().failure;
        (failure.code, failure.advice, effect)
    }

    #[test]
    fn each_refusal_has_a_code_and_says_whether_anything_was_done() {
        for (code, state, expected) in [
            ("busy", None, (Code::Unavailable, Advice::Retry, Nothing)),
            ("unauthorized", None, (Code::Unavailable, Advice::Retry, Nothing)),
            ("unreachable", None, (Code::Unavailable, Advice::Retry, Unknown)),
            ("timeout", None, (Code::Timeout, Advice::Retry, Unknown)),
            ("timeout", Some("57014"), (Code::Timeout, Advice::Retry, Nothing)),
            ("answer_too_large", None, (Code::TooLarge, Advice::Final, Unknown)),
            ("no such word", None, (Code::Internal, Advice::Final, Unknown)),
            (
                "statement_failed",
                Some("57P01"),
                (Code::Unavailable, Advice::Retry, Unknown),
            ),
            (
                "statement_failed",
                Some("08006"),
                (Code::Unavailable, Advice::Retry, Unknown),
            ),
            (
                "statement_failed",
                Some("40001"),
                (Code::Unavailable, Advice::Retry, Nothing),
            ),
            (
                "statement_failed",
                Some("53100"),
                (Code::Quota, Advice::Retry, Nothing),
            ),
            (
                "statement_failed",
                Some("22003"),
                (Code::Invalid, Advice::Final, Nothing),
            ),
            (
                "statement_failed",
                Some("22P02"),
                (Code::Invalid, Advice::Final, Nothing),
            ),
            (
                "statement_failed",
                Some("22012"),
                (Code::Invalid, Advice::Final, Nothing),
            ),
            (
                "statement_failed",
                Some("42P01"),
                (Code::Internal, Advice::Final, Nothing),
            ),
        ] {
            assert_eq!(meant(&refused(code, state, "x")), expected, "{code} {state:?}");
        }
        let own = |text: &str| {
            let message = format!("invalid input syntax for type boolean: \"{text}\"");
            meant(&refused("statement_failed", Some("22P02"), &message)).0
        };
        assert_eq!(
            (own(NOT_PERMITTED), own(TOO_MANY_ROWS)),
            (Code::Forbidden, Code::TooLarge)
        );
    }

    #[test]
    fn a_value_that_the_database_quotes_is_not_told_and_a_strangers_word_neither() {
        let fixture = Fixture::new();
        let (entity, tables) = (fixture.entity("Note"), Tables::default());
        for refused in [
            refused("statement_failed", Some("22P02"), "bad \"secret\""),
            refused("statement_failed", Some("23514"), "row secret"),
            refused("secret", None, "secret"),
            refused("statement_failed", Some("secret"), ""),
        ] {
            let (trouble, _, _) = trouble(&refused, entity, &tables);
            let detail = trouble.into_refusal().detail;
            assert!(!detail.contains("secret"), "{detail}");
        }
    }

    #[test]
    fn a_missing_value_names_its_column_whatever_the_language() {
        let fixture = Fixture::new();
        let entity = fixture.entity("Note");
        let refused = refused(
            "statement_failed",
            Some("23502"),
            "NULL-Wert in Spalte »\"slug\" von \"Note\"« …",
        );
        let found = constraint(&refused, "23502", entity, &Tables::default());
        assert_eq!(
            found,
            Some(Constraint::NotNull(vec![fixture.column("Note", "slug")]))
        );
    }
}
