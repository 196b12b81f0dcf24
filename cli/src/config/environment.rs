//! `${NAME}` and `${NAME:-otherwise}` in the texts of an old configuration.

use secrecy::SecretString;

/// What a variable is set to; none where it is not set or is no text.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a text can't be completed. Names the variable, never what the text says besides.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unset {
    #[error(
        "`{key}` asks for ${{{name}}}, which is not set; set it for this command, or write `${{{name}:-otherwise}}`"
    )]
    Missing { key: &'static str, name: String },
    #[error("`{key}` has `${{` without `}}`; `$${{` stands for the characters themselves")]
    Open { key: &'static str },
    #[error("`{key}` has `${{…}}` with what is no variable's name: letters, digits and `_`, no digit first")]
    Name { key: &'static str },
}

/// The text with every variable in its place.
pub(super) fn expanded(
    key: &'static str,
    text: &str,
    variables: Variables<'_>,
) -> Result<SecretString, Unset> {
    let mut rest = text;
    let mut whole = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            whole.push_str(before);
            whole.push_str("${");
            rest = after;
            continue;
        }
        whole.push_str(before);
        let (inside, behind) = after.split_once('}').ok_or(Unset::Open { key })?;
        let (name, otherwise) = match inside.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(Unset::Name { key });
        }
        let value = variables(name).or_else(|| otherwise.map(str::to_owned));
        whole.push_str(&value.ok_or_else(|| Unset::Missing {
            key,
            name: name.to_owned(),
        })?);
        rest = behind;
    }
    whole.push_str(rest);
    Ok(whole.into())
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|one| one.is_ascii_alphanumeric() || one == '_')
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn of(text: &str) -> Result<String, Unset> {
        let variables = |name: &str| match name {
            "PASSWORD" => Some("a${b}\"c".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expanded("key", text, &variables).map(|text| text.expose_secret().to_owned())
    }

    #[test]
    fn a_variable_is_put_in_as_it_is_and_not_looked_at_again() {
        assert_eq!(of("<${PASSWORD}>").unwrap(), "<a${b}\"c>");
        assert_eq!(
            of("${EMPTY}${OTHER:-x}$5 $${PASSWORD}").unwrap(),
            "x$5 ${PASSWORD}"
        );
    }

    #[test]
    fn what_is_not_set_or_not_closed_is_named_without_the_rest_of_the_text() {
        let missing = of("secret ${NOT_SET} secret").unwrap_err();
        assert!(
            missing.to_string().starts_with("`key` asks for ${NOT_SET}"),
            "{missing}"
        );
        assert!(!missing.to_string().contains("secret"));
        assert_eq!(of("${PASSWORD"), Err(Unset::Open { key: "key" }));
        assert_eq!(of("${1A}"), Err(Unset::Name { key: "key" }));
        assert_eq!(of("${}"), Err(Unset::Name { key: "key" }));
    }
}
