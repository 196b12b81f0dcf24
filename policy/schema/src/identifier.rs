//! Names that may stand in SQL. Only this crate makes one, so only schema files name tables and columns.

use std::fmt;

/// Longest identifier in bytes: PostgreSQL's NAMEDATALEN − 1, the strictest of the databases; a longer one would be cut
/// there and could then name another table.
pub const IDENTIFIER_BYTES: usize = 63;

/// A table's or column's name in the database: not empty, at most [`IDENTIFIER_BYTES`] bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// The name, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(name: &str) -> Result<Self, IdentifierError> {
        if name.is_empty() {
            return Err(IdentifierError::Empty);
        }
        if name.len() > IDENTIFIER_BYTES {
            return Err(IdentifierError::TooLong { bytes: name.len() });
        }
        // NUL would end the name early in C; other control characters only serve to deceive whoever reads a log.
        if name.chars().any(char::is_control) {
            return Err(IdentifierError::ControlCharacter);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a name can't stand in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentifierError {
    #[error("a name in the database can't be empty")]
    Empty,
    #[error("a name in the database has at most {IDENTIFIER_BYTES} bytes, this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("a name in the database can't hold control characters")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_would_cut_or_misread_is_refused() {
        assert_eq!(Identifier::parse(""), Err(IdentifierError::Empty));
        assert_eq!(Identifier::parse("a\0b"), Err(IdentifierError::ControlCharacter));
        assert_eq!(Identifier::parse("a\nb"), Err(IdentifierError::ControlCharacter));
        assert!(Identifier::parse(&"x".repeat(63)).is_ok());
        assert_eq!(
            Identifier::parse(&"x".repeat(64)),
            Err(IdentifierError::TooLong { bytes: 64 })
        );
        assert_eq!(
            Identifier::parse("order by \"1\"").unwrap().as_str(),
            "order by \"1\""
        );
    }
}
