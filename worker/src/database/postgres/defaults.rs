//! What a column gets that no value is named for, from the expression that PostgreSQL's catalogue has for it.

use crate::database::catalog::Fill;

/// `generated` and `identity` as `pg_attribute` has them.
pub(super) fn fill(generated: &str, identity: &str, expression: Option<&str>) -> Fill {
    match (generated, identity, expression) {
        ("", "a", _) => Fill::OnlyCounter,
        ("", "d", _) => Fill::Counter,
        ("", _, None) => Fill::Nothing,
        ("", _, Some(sql)) if sql.starts_with("nextval(") => Fill::Counter,
        ("", _, Some(sql)) => literal(sql),
        (_, _, _) => Fill::Computed,
    }
}

/// A default that is a value; anything else is an expression. PostgreSQL writes the type behind it, and numbers with a type in
/// brackets: `'draft'::text`, `(0)::numeric(12,4)`.
fn literal(sql: &str) -> Fill {
    let number = |text: &str| {
        let is_digit = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        (is_digit && text.parse::<f64>().is_ok()).then(|| Fill::Literal(text.to_owned()))
    };
    let expression = || Fill::Expression(sql.to_owned());
    if let Some(inner) = sql.strip_prefix('\'') {
        return match quoted(inner) {
            Some((text, rest)) if is_cast(rest) => Fill::Literal(text),
            Some(_) | None => expression(),
        };
    }
    let (value, cast) = sql
        .find("::")
        .and_then(|at| sql.split_at_checked(at))
        .unwrap_or((sql, ""));
    if !is_cast(cast) {
        return expression();
    }
    let bare = value
        .strip_prefix('(')
        .and_then(|value| value.strip_suffix(')'))
        .unwrap_or(value);
    match value {
        "NULL" => Fill::Nothing,
        "true" | "false" => Fill::Literal(value.to_owned()),
        _ => number(bare).unwrap_or_else(expression),
    }
}

/// The text up to the closing quote, and what is behind it.
fn quoted(inner: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = inner;
    loop {
        let (before, after) = rest.split_once('\'')?;
        text.push_str(before);
        match after.strip_prefix('\'') {
            None => return Some((text, after)),
            Some(more) => {
                text.push('\'');
                rest = more;
            }
        }
    }
}

/// Nothing but a type, or nothing.
fn is_cast(rest: &str) -> bool {
    let is_of_a_name = |one: char| {
        one.is_alphanumeric() || [' ', '_', '"', '.', '(', ')', ',', '[', ']', ':'].contains(&one)
    };
    rest.is_empty() || (rest.starts_with("::") && rest.chars().all(is_of_a_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_a_value_only_where_nothing_is_done_to_it() {
        let value = |text: &str| Fill::Literal(text.to_owned());
        let other = |sql: &str| Fill::Expression(sql.to_owned());
        for (sql, expected) in [
            ("'it''s me'::text", value("it's me")),
            ("''::character varying(3)", value("")),
            ("'draft'::app.\"St\"", value("draft")),
            ("'-1'::integer", value("-1")),
            ("1.5", value("1.5")),
            ("(0)::numeric(12,4)", value("0")),
            ("false", value("false")),
            ("NULL::text", Fill::Nothing),
            ("nextval('t_id_seq'::regclass)", Fill::Counter),
            ("now()", other("now()")),
            ("CURRENT_TIMESTAMP", other("CURRENT_TIMESTAMP")),
            ("('a'::text || 'b'::text)", other("('a'::text || 'b'::text)")),
            ("'a'::text || 'b'::text", other("'a'::text || 'b'::text")),
            ("E'a\\\\b'::text", other("E'a\\\\b'::text")),
            ("(1 + 2)", other("(1 + 2)")),
            ("infinity", other("infinity")),
            ("'open", other("'open")),
        ] {
            assert_eq!(fill("", "", Some(sql)), expected, "{sql}");
        }
        assert_eq!(fill("s", "", Some("1")), Fill::Computed);
        assert_eq!(fill("", "a", None), Fill::OnlyCounter);
        assert_eq!(fill("", "d", None), Fill::Counter);
        assert_eq!(fill("", "", None), Fill::Nothing);
    }
}
