//! Texts as the catalogue of MariaDB and MySQL writes them: in quotes, which are doubled inside, with backslashes before what
//! would not be seen.

/// The text up to the closing quote, and what is behind it. None where `sql` does not begin with such a text.
pub(super) fn quoted(sql: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = sql.strip_prefix('\'')?.chars();
    loop {
        match rest.next()? {
            '\'' => match rest.as_str().strip_prefix('\'') {
                None => return Some((text, rest.as_str())),
                Some(more) => {
                    text.push('\'');
                    rest = more.chars();
                }
            },
            '\\' => text.push(match rest.next()? {
                '0' => '\0',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'Z' => '\u{1a}',
                other => other,
            }),
            other => text.push(other),
        }
    }
}

/// The values of `enum('a','b')`; none where it is something else.
pub(super) fn values(column_type: &str) -> Option<Vec<String>> {
    let mut rest = column_type.strip_prefix("enum(")?;
    let mut values = Vec::new();
    loop {
        let (value, behind) = quoted(rest)?;
        values.push(value);
        rest = match behind.strip_prefix(',') {
            Some(more) => more,
            None => return behind.starts_with(')').then_some(values),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_of_values_are_read_as_the_server_writes_them() {
        for (sql, expected) in [
            ("'a' rest", Some(("a", " rest"))),
            (r"'it''s \\ \n\0'", Some(("it's \\ \n\0", ""))),
            (r"'it\'s'", Some(("it's", ""))),
            ("''", Some(("", ""))),
            ("'open", None),
            ("'open\\", None),
            ("plain", None),
        ] {
            let found = quoted(sql);
            let found = found.as_ref().map(|(text, rest)| (text.as_str(), *rest));
            assert_eq!(found, expected, "{sql}");
        }
        assert_eq!(values("enum('a,b','it''s',')') x").unwrap(), ["a,b", "it's", ")"]);
        for none in ["set('a')", "enum()", "enum('a'", "enum('a';'b')"] {
            assert_eq!(values(none), None, "{none}");
        }
    }
}
