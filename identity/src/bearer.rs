//! Which kind of bearer token somebody shows: it decides who can check it, and never what it is worth.

use crate::api_key::MARK;

/// Kinds of bearer tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// `dbal_…`: the worker's file of API keys has its hash.
    ApiKey,
    /// Two dots: a JSON Web Token in its compact form (RFC 7519 §3).
    Jwt,
    /// Anything else: nothing can be told from it, somebody has to look it up.
    Opaque,
}

impl Bearer {
    /// The kind of a token. Each token has one, so that no two ways of checking can differ about it.
    pub fn of(token: &str) -> Self {
        if token.starts_with(MARK) {
            Self::ApiKey
        } else if token.bytes().filter(|byte| *byte == b'.').count() == 2 {
            Self::Jwt
        } else {
            Self::Opaque
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_kind_by_its_shape() {
        for (token, kind) in [
            ("dbal_a.b.c", Bearer::ApiKey),
            ("a.b.c", Bearer::Jwt),
            ("..", Bearer::Jwt),
            ("a.b", Bearer::Opaque),
            ("a.b.c.d.e", Bearer::Opaque),
            ("5f2b", Bearer::Opaque),
            ("", Bearer::Opaque),
            ("Dbal_x", Bearer::Opaque),
        ] {
            assert_eq!(Bearer::of(token), kind, "{token}");
        }
    }
}
