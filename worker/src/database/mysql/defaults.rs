//! What a column gets that no value is named for, from what information_schema says. The two servers say it differently:
//! MariaDB as SQL, MySQL values as they are, and which of them are SQL beside it.

use super::quoted::quoted;
use super::server::Kind;
use crate::database::catalog::Fill;

/// `extra` and `default` as `EXTRA` and `COLUMN_DEFAULT` of information_schema.
pub(super) fn fill(kind: Kind, extra: &str, default: Option<&str>) -> Fill {
    let extra = extra.to_ascii_lowercase();
    let is = |word: &str| extra.contains(word);
    if is("virtual generated") || is("stored generated") || is("persistent") {
        return Fill::Computed;
    }
    if is("auto_increment") {
        return Fill::Counter;
    }
    match (kind, default) {
        (_, None) => Fill::Nothing,
        (Kind::MariaDb, Some(sql)) => literal(sql),
        (Kind::MySql, Some(sql)) if is("default_generated") => generated(sql),
        (Kind::MySql, Some(value)) => Fill::Literal(bits(value).unwrap_or_else(|| value.to_owned())),
    }
}

/// MySQL puts backslashes before the quotes and backslashes of the SQL, once more than SQL has them, and before a text its character
/// set, which is the session's that made the table.
fn generated(escaped: &str) -> Fill {
    let sql = match quoted(&format!("'{escaped}'")) {
        Some((sql, "")) => sql,
        Some(_) | None => escaped.to_owned(),
    };
    let text = |set: &&str| match quoted(sql.strip_prefix(*set)?)? {
        (text, "") => Some(text),
        (_, _) => None,
    };
    match ["_utf8mb4", "_utf8mb3"].iter().find_map(text) {
        Some(text) => Fill::Literal(text),
        None => Fill::Expression(sql),
    }
}

fn literal(sql: &str) -> Fill {
    if sql.eq_ignore_ascii_case("NULL") {
        return Fill::Nothing;
    }
    let number = || {
        let is_digit = sql.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        (is_digit && sql.parse::<f64>().is_ok()).then(|| sql.to_owned())
    };
    let text = || match quoted(sql)? {
        (text, "") => Some(text),
        (_, _) => None,
    };
    let value = text().or_else(number).or_else(|| bits(sql));
    value.map_or_else(|| Fill::Expression(sql.to_owned()), Fill::Literal)
}

/// `b'101'` as a number.
fn bits(sql: &str) -> Option<String> {
    let digits = sql.strip_prefix("b'")?.strip_suffix('\'')?;
    u64::from_str_radix(digits, 2)
        .ok()
        .map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_a_value_only_where_nothing_is_done_to_it() {
        let value = |text: &str| Fill::Literal(text.to_owned());
        let other = |sql: &str| Fill::Expression(sql.to_owned());
        for (sql, expected) in [
            ("'it''s me'", value("it's me")),
            (r"'a\\b'", value(r"a\b")),
            ("''", value("")),
            ("1.50", value("1.50")),
            ("-1", value("-1")),
            ("b'1'", value("1")),
            ("b'101'", value("5")),
            ("NULL", Fill::Nothing),
            ("current_timestamp()", other("current_timestamp()")),
            ("(1 + 1)", other("(1 + 1)")),
            ("'a' + 'b'", other("'a' + 'b'")),
            ("infinity", other("infinity")),
            ("'open", other("'open")),
        ] {
            assert_eq!(fill(Kind::MariaDb, "", Some(sql)), expected, "{sql}");
        }
        for (extra, default, expected) in [
            ("", "it's me", value("it's me")),
            ("", "b'1'", value("1")),
            ("DEFAULT_GENERATED", r"_utf8mb3\'it\\\'s me\'", value("it's me")),
            (
                "DEFAULT_GENERATED",
                r"concat(_utf8mb4\'a\',1)",
                other("concat(_utf8mb4'a',1)"),
            ),
            (
                "DEFAULT_GENERATED",
                "_utf8mb4'a' + 'b'",
                other("_utf8mb4'a' + 'b'"),
            ),
            (
                "DEFAULT_GENERATED on update CURRENT_TIMESTAMP",
                "CURRENT_TIMESTAMP",
                other("CURRENT_TIMESTAMP"),
            ),
        ] {
            assert_eq!(fill(Kind::MySql, extra, Some(default)), expected, "{default}");
        }
        for kind in [Kind::MariaDb, Kind::MySql] {
            assert_eq!(fill(kind, "", None), Fill::Nothing);
            assert_eq!(fill(kind, "auto_increment", None), Fill::Counter);
            assert_eq!(fill(kind, "STORED GENERATED", None), Fill::Computed);
            assert_eq!(fill(kind, "VIRTUAL GENERATED INVISIBLE", None), Fill::Computed);
        }
    }
}
