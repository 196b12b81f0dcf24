//! What a statement may consist of, read by a small tokenizer that knows nothing of the renderer: one statement, words of a list,
//! names of the schema, placeholders. No value of anybody has a place in it.

use std::collections::HashSet;

use dbal_schema::Schema;
use dbal_sql::dialect::{Dialect, Placeholder};
use dbal_sql::{NOT_PERMITTED, Statement, TOO_MANY_ROWS};

/// Every bare word that the renderer has for reads and writes: SQL's, functions', types', and our own aliases.
const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "IN",
    "EXISTS",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AS",
    "ON",
    "JOIN",
    "ORDER",
    "GROUP",
    "BY",
    "ASC",
    "DESC",
    "NULLS",
    "FIRST",
    "LAST",
    "LIMIT",
    "OFFSET",
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "INSERT",
    "INTO",
    "VALUES",
    "DEFAULT",
    "RETURNING",
    "UPDATE",
    "SET",
    "DELETE",
    "FOR",
    "UNION",
    "ALL",
    "COLLATE",
    "CAST",
    "ROW_NUMBER",
    "OVER",
    "PARTITION",
    "dbal_fold",
    "dbal_contains",
    "dbal_decimal",
    "dbal_time",
    "dbal_sum",
    "dbal_sum_of_decimals",
    "dbal_linked",
    "dbal_key",
    "dbal_nth",
    "dbal_rows",
    "dbal_1",
    "dbal_2",
    "dbal_3",
    "dbal_4",
    "dbal_5",
    "dbal_6",
    "dbal_7",
    "dbal_8",
    "substr",
    "length",
];
/// Further words of the dialects that only `plan_to_sql` renders.
const WORDS_ELSEWHERE: &[&str] = &[
    "lower",
    "strpos",
    "starts_with",
    "date_trunc",
    "right",
    "left",
    "random",
    "double",
    "precision",
    "text",
    "TEXT",
    "numeric",
    "bool",
    "uuid",
    "date",
    "timestamptz",
    "float8",
    "int8",
    "int",
    "json",
    "bytea",
    "ANY",
    "LOCATE",
    "LOWER",
    "LEFT",
    "RIGHT",
    "CHAR_LENGTH",
    "CONCAT",
    "TRUNCATE",
    "CONVERT",
    "USING",
    "utf8mb4",
    "utf8mb4_nopad_bin",
    "utf8mb4_0900_bin",
    "DECIMAL",
    "DATE",
    "DATETIME",
    "BINARY",
    "CHAR",
    "DOUBLE",
    "DUAL",
];
/// Orders of texts, which PostgreSQL wants in quotes.
const COLLATIONS: &[&str] = &["C", "und-x-icu"];
/// Numbers that stand in the renderer's own words; those from 65 on are MySQL's.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "18446744073709551615",
    "65",
    "30",
    "20",
    "10",
    "3",
    "36",
    "23",
];
/// Texts of our own: those by which a statement fails, how finely a time is cut, and what stands between the parts of a sum.
const TEXTS: &[&str] = &[NOT_PERMITTED, TOO_MANY_ROWS, "milliseconds", " "];
/// What begins a statement, and may stand nowhere else but in `FOR UPDATE`.
const VERBS: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Names of tables and columns.
pub struct Names(HashSet<String>);

impl Names {
    /// Those of a schema.
    pub fn of(schema: &Schema) -> Self {
        let mut names = HashSet::new();
        for entity in schema.entities() {
            names.insert(entity.table.as_str().to_owned());
            names.extend(entity.columns.iter().map(|column| column.sql.as_str().to_owned()));
        }
        Self(names)
    }
}

/// Says what is wrong with a statement.
pub fn check(statement: &Statement, dialect: &Dialect, names: &Names) -> Result<(), String> {
    check_text(statement.sql(), statement.parameters().len(), dialect, names)
        .map_err(|what| format!("{}: {what}: {}", dialect.name, statement.sql()))
}

/// The same of a text with so many parameters.
pub fn check_text(sql: &str, parameters: usize, dialect: &Dialect, names: &Names) -> Result<(), String> {
    let mut rest = sql;
    let mut placeholders = Vec::new();
    let mut depth: u32 = 0;
    let mut last_word = "";
    let mut words: u32 = 0;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            ' ' | ',' | '.' | '=' | '<' | '>' | '+' | '*' | ':' | '|' | '[' | ']' => 1,
            '-' if !rest.starts_with("--") => 1,
            '/' if !rest.starts_with("/*") => 1,
            '(' => {
                depth += 1;
                1
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or("a bracket closes nothing")?;
                1
            }
            quote if quote == dialect.quote => {
                let (name, taken) = quoted(rest, quote).ok_or("a name without end")?;
                let is_collation = last_word == "COLLATE" && COLLATIONS.contains(&name.as_str());
                if !is_collation && !names.0.contains(&name) {
                    return Err(format!("`{name}` is no name of the schema"));
                }
                taken
            }
            '\'' => {
                let (text, taken) = quoted(rest, '\'').ok_or("a text without end")?;
                if !TEXTS.contains(&text.as_str()) {
                    return Err(format!("the text `{text}`"));
                }
                taken
            }
            '?' if dialect.placeholder == Placeholder::Question => {
                placeholders.push(placeholders.len() + 1);
                1
            }
            '$' if dialect.placeholder == Placeholder::Numbered => {
                let digits = digits(&rest[1..]);
                placeholders.push(
                    rest[1..=digits]
                        .parse()
                        .map_err(|_| "a placeholder without number")?,
                );
                1 + digits
            }
            digit if digit.is_ascii_digit() => {
                let digits = digits(rest);
                if !NUMBERS.contains(&&rest[..digits]) {
                    return Err(format!("the number {}", &rest[..digits]));
                }
                digits
            }
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                let length = rest
                    .bytes()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                    .count();
                let word = &rest[..length];
                words += 1;
                check_word(word, words, last_word)?;
                last_word = word;
                length
            }
            other => return Err(format!("the character {other:?}")),
        };
        rest = &rest[taken..];
    }
    if depth != 0 {
        return Err("a bracket is not closed".to_owned());
    }
    if words == 0 {
        return Err("no words".to_owned());
    }
    let in_order = placeholders
        .iter()
        .enumerate()
        .all(|(nth, number)| *number == nth + 1);
    if !in_order || placeholders.len() != parameters {
        return Err(format!("{placeholders:?} for {parameters} values"));
    }
    Ok(())
}

fn check_word(word: &str, nth: u32, before: &str) -> Result<(), String> {
    if !WORDS.contains(&word) && !WORDS_ELSEWHERE.contains(&word) {
        return Err(format!("the word `{word}`"));
    }
    if nth == 1 {
        return if VERBS.contains(&word) {
            Ok(())
        } else {
            Err(format!("begins with `{word}`"))
        };
    }
    match word {
        "INSERT" | "DELETE" => Err(format!("`{word}` within a statement")),
        "UPDATE" if before != "FOR" => Err("`UPDATE` within a statement".to_owned()),
        _ => Ok(()),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// What stands between quotes at the beginning, doubled ones halved, and how long it is with its quotes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, found)) = chars.next() {
        if found != quote {
            inner.push(found);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inner.push(quote);
            chars.next();
        } else {
            return Some((inner, at + 1));
        }
    }
    None
}

/// A check that passes for everything is none: what must fail, fails. Run by the targets when they start.
pub fn must_be_able_to_fail(schema: &Schema) {
    let names = Names::of(schema);
    let table = schema.entities()[0].table.as_str();
    let good = format!("SELECT COUNT(*) FROM \"{table}\" WHERE (? = ?)");
    check_text(&good, 2, &dbal_sql::SQLITE, &names).expect("what may be said");
    for (bad, parameters) in [
        (format!("{good}; DELETE FROM \"{table}\""), 2),
        (format!("{good} -- "), 2),
        (format!("{good} /* */"), 2),
        (good.clone(), 1),
        (format!("SELECT 1 FROM \"{table}\" WHERE 'a' = 'a'"), 0),
        (format!("SELECT 7 FROM \"{table}\""), 0),
        ("SELECT 1 FROM \"sqlite_schema\"".to_owned(), 0),
        (format!("SELECT load_extension(?) FROM \"{table}\""), 1),
        (format!("DROP TABLE \"{table}\""), 0),
        (format!("SELECT (1 FROM \"{table}\""), 0),
        (format!("SELECT 1) FROM \"{table}\""), 0),
        (format!("SELECT 1 FROM \"{table}"), 0),
        (String::new(), 0),
    ] {
        assert!(
            check_text(&bad, parameters, &dbal_sql::SQLITE, &names).is_err(),
            "{bad}"
        );
    }
}
