//! Expression text → tokens with their places.

use super::{Claim, Mistake};

/// A token and the byte offset at which it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: TokenKind,
}

/// The closed list of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    Word(String),
    Keyword(Keyword),
    Claim(Claim),
    Text(String),
    Int(i64),
    Symbol(&'static str),
    End,
}

/// Words with a meaning of their own; case does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    And,
    Or,
    Not,
    In,
    Is,
    Null,
    True,
    False,
    Select,
    From,
    Where,
}

impl Keyword {
    const ALL: [(&'static str, Keyword); 11] = [
        ("AND", Keyword::And),
        ("OR", Keyword::Or),
        ("NOT", Keyword::Not),
        ("IN", Keyword::In),
        ("IS", Keyword::Is),
        ("NULL", Keyword::Null),
        ("TRUE", Keyword::True),
        ("FALSE", Keyword::False),
        ("SELECT", Keyword::Select),
        ("FROM", Keyword::From),
        ("WHERE", Keyword::Where),
    ];
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 11] = ["<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", "."];

/// What people write who know another language.
const FOREIGN: [(&str, &str); 5] = [
    ("==", "equality is written `=`"),
    ("&&", "write AND"),
    ("||", "write OR"),
    ("!", "write NOT"),
    ("\"", "a text stands in single quotes: 'text'"),
];

/// All tokens, with [`TokenKind::End`] behind them.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Mistake> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let at = text.len().saturating_sub(rest.len());
        if rest.is_empty() {
            found.push(Token {
                at,
                kind: TokenKind::End,
            });
            return Ok(found);
        }
        let (kind, length) = token(rest, at)?;
        found.push(Token { at, kind });
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
}

/// The token that `rest` begins with, and its length in bytes.
fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), Mistake> {
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol))
        && !rest.starts_with("==")
    {
        return Ok((TokenKind::Symbol(symbol), symbol.len()));
    }
    if let Some((_, advice)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        return Err(Mistake::new(at, *advice));
    }
    match rest.chars().next() {
        Some('\'') => quoted(rest, at),
        Some('$') => claim(rest, at),
        Some('-' | '0'..='9') => int(rest, at),
        Some(first) if is_word(first) => {
            let word = leading(rest, is_word);
            let keyword = Keyword::ALL
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word));
            let kind = keyword.map_or_else(
                || TokenKind::Word(word.to_owned()),
                |(_, it)| TokenKind::Keyword(*it),
            );
            Ok((kind, word.len()))
        }
        Some(other) => Err(Mistake::new(
            at,
            format!("`{}` has no meaning here", other.escape_debug()),
        )),
        None => Ok((TokenKind::End, 0)),
    }
}

/// `'text'`, a quote within it doubled.
fn quoted(rest: &str, at: usize) -> Result<(TokenKind, usize), Mistake> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        if character != '\'' {
            text.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
            text.push('\'');
            characters.next();
        } else {
            return Ok((TokenKind::Text(text), offset.saturating_add(1)));
        }
    }
    Err(Mistake::new(at, "this text has no closing quote"))
}

/// `$user.name` or `$context.name`.
fn claim(rest: &str, at: usize) -> Result<(TokenKind, usize), Mistake> {
    let path = leading(rest, |character| {
        is_word(character) || matches!(character, '$' | '.')
    });
    path.strip_prefix('$')
        .and_then(|path| path.split_once('.'))
        .filter(|(_, name)| !name.is_empty() && name.chars().all(is_word))
        .and_then(|(scope, name)| Claim::of(scope, name))
        .map(|claim| (TokenKind::Claim(claim), path.len()))
        .ok_or_else(|| {
            Mistake::new(
                at,
                format!("`{path}` is unknown; there are $user.<claim> and $context.tenantId"),
            )
        })
}

fn int(rest: &str, at: usize) -> Result<(TokenKind, usize), Mistake> {
    let sign = usize::from(rest.starts_with('-'));
    let digits = leading(rest.get(sign..).unwrap_or_default(), |it| {
        it.is_alphanumeric() || it == '.'
    });
    let length = sign.saturating_add(digits.len());
    let number = rest.get(..length).unwrap_or_default();
    let value = number.parse().map_err(|_| {
        Mistake::new(
            at,
            format!("`{number}` is not a whole number of 64 bits; other numbers stand in quotes"),
        )
    })?;
    Ok((TokenKind::Int(value), length))
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    text.find(|character| !belongs(character))
        .map_or(text, |end| text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text)
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn tokens_know_their_places() {
        let at: Vec<usize> = tokens("  a<=$user.id  ")
            .unwrap()
            .iter()
            .map(|token| token.at)
            .collect();
        assert_eq!(at, [2, 3, 5, 15]);
    }

    #[test]
    fn a_doubled_quote_is_one() {
        assert_eq!(
            kinds("'it''s'"),
            [TokenKind::Text("it's".to_owned()), TokenKind::End]
        );
        assert_eq!(kinds("''"), [TokenKind::Text(String::new()), TokenKind::End]);
    }

    #[test]
    fn keywords_are_words_of_any_case_and_nothing_longer() {
        assert_eq!(
            kinds("and nOt island"),
            [
                TokenKind::Keyword(Keyword::And),
                TokenKind::Keyword(Keyword::Not),
                TokenKind::Word("island".to_owned()),
                TokenKind::End
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_said_where_it_stands() {
        for (text, at, part) in [
            ("a == 1", 2, "written `=`"),
            ("a && b", 2, "AND"),
            ("a = \"x\"", 4, "single quotes"),
            ("a = 'x", 4, "closing quote"),
            ("a = $usr.id", 4, "$user.<claim>"),
            ("$user.", 0, "`$user.`"),
            ("$user.a.b", 0, "`$user.a.b`"),
            ("$context.id", 0, "`$context.id`"),
            ("a = 1.5", 4, "in quotes"),
            ("a = 9223372036854775808", 4, "64 bits"),
            ("a = -", 4, "`-`"),
            ("a ; b", 2, "`;`"),
            ("ä = 1", 0, "`ä`"),
        ] {
            let mistake = tokens(text).unwrap_err();
            assert_eq!(mistake.at, at, "{text}");
            assert!(mistake.text.contains(part), "{text}: {}", mistake.text);
        }
    }
}
