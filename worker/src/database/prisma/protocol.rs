//! What is said to the bridge and what it says back, as JSON (`clients/prisma-bridge/README.md`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use super::exchange::Answered;

/// Most bytes of a request's body: what the bridge itself bounds it by.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of a statement, likewise.
const SQL_BYTES: usize = 1024 * 1024;

/// What is wanted of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Its rows.
    Query,
    /// How many rows it changed.
    NonQuery,
}

/// A parameter. Numbers, too, go as text: JSON's would lose digits, and PostgreSQL reads each in the type that stands beside it.
#[derive(Debug, PartialEq)]
pub(super) enum Parameter {
    Null,
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Base64 {
            #[serde(rename = "$bytes")]
            bytes: String,
        }

        match self {
            Parameter::Null => out.serialize_unit(),
            Parameter::Bool(value) => out.serialize_bool(*value),
            Parameter::Text(text) => out.serialize_str(text),
            Parameter::Bytes(bytes) => {
                let bytes = STANDARD.encode(bytes);
                Base64 { bytes }.serialize(out)
            }
        }
    }
}

/// The body of a request; none where the bridge would not take it.
pub(super) fn body(sql: &str, parameters: &[Parameter], kind: Kind) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Request<'a> {
        sql: &'a str,
        params: &'a [Parameter],
        r#type: Kind,
    }

    if sql.len() > SQL_BYTES {
        return None;
    }
    let request = Request {
        sql,
        params: parameters,
        r#type: kind,
    };
    let body = serde_json::to_vec(&request).ok()?;
    (body.len() <= BODY_BYTES).then_some(body)
}

/// An answer.
#[derive(Debug)]
pub(super) enum Told {
    /// The rows of a query.
    Rows(Vec<Part>),
    /// How many rows were changed.
    Affected(u64),
    /// It was not done, or not as asked.
    Refused(Refused),
    /// Nothing that a bridge says.
    Other {
        /// HTTP's status.
        status: u16,
    },
}

/// A row of statements that went as one ([`dbal_sql::as_json`]).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Which statement it is of.
    pub(super) n: usize,
    /// The row itself.
    pub(super) r: String,
}

/// Why a statement has no result.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refused {
    /// The bridge's own word.
    pub(super) code: String,
    /// The database's.
    #[serde(default)]
    pub(super) sqlstate: Option<String>,
    /// The database's text. For nobody but the log.
    #[serde(default)]
    pub(super) message: Option<String>,
    /// Which constraint failed, as far as Prisma knows.
    #[serde(default)]
    pub(super) constraint: Option<Named>,
    /// The table that it is about.
    #[serde(default)]
    pub(super) table: Option<String>,
    /// `none` where the statement did not run, `unknown` where nobody knows.
    #[serde(default)]
    pub(super) outcome: Option<String>,
}

/// A constraint, by what Prisma knows of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Named {
    /// The name of the index or constraint.
    #[serde(default)]
    pub(super) index: Option<String>,
    /// Its columns.
    #[serde(default)]
    pub(super) fields: Vec<String>,
}

/// Reads an answer. What is not said as it should be is [`Told::Other`].
pub(super) fn read(answered: &Answered, kind: Kind) -> Told {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rows {
        rows: Vec<Part>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Affected {
        affected: u64,
    }
    #[derive(Deserialize)]
    struct Error {
        error: Refused,
    }

    let Answered { status, body } = answered;
    let told = match (status, kind) {
        (200, Kind::Query) => serde_json::from_slice(body).map(|Rows { rows }| Told::Rows(rows)),
        (200, Kind::NonQuery) => {
            serde_json::from_slice(body).map(|Affected { affected }| Told::Affected(affected))
        }
        (400..=599, _) => serde_json::from_slice(body).map(|Error { error }| Told::Refused(error)),
        (_, _) => return Told::Other { status: *status },
    };
    told.unwrap_or(Told::Other { status: *status })
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn told(status: u16, body: &str, kind: Kind) -> Told {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read(&Answered { status, body }, kind)
    }

    #[test]
    fn a_request_is_what_the_bridge_reads() {
        let parameters = [
            Parameter::Null,
            Parameter::Bool(true),
            Parameter::Text("9007199254740993".to_owned()),
            Parameter::Bytes(vec![0, 255]),
        ];
        let body = body("SELECT $1", &parameters, Kind::Query).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"sql":"SELECT $1","params":[null,true,"9007199254740993",{"$bytes":"AP8="}],"type":"query"}"#
        );
    }

    #[test]
    fn what_the_bridge_would_not_take_is_not_sent() {
        let most = "x".repeat(SQL_BYTES);
        assert!(body(&most, &[], Kind::NonQuery).is_some());
        assert!(body(&format!("{most}x"), &[], Kind::NonQuery).is_none());
        let long = [Parameter::Text("x".repeat(BODY_BYTES))];
        assert!(body("SELECT $1", &long, Kind::Query).is_none());
    }

    #[test]
    fn what_is_not_said_as_it_should_be_is_no_answer() {
        for (status, body, kind) in [
            (200, "", Kind::Query),
            (200, "{}", Kind::Query),
            (200, "<html>", Kind::Query),
            (200, r#"{"affected":1}"#, Kind::Query),
            (200, r#"{"rows":[]}"#, Kind::NonQuery),
            (200, r#"{"rows":[],"more":1}"#, Kind::Query),
            (200, r#"{"rows":[{"n":0}]}"#, Kind::Query),
            (200, r#"{"rows":[{"n":-1,"r":""}]}"#, Kind::Query),
            (200, r#"{"rows":[{"n":0,"r":"{}"}]"#, Kind::Query),
            (200, r#"{"affected":-1}"#, Kind::NonQuery),
            (200, r#"{"error":{"code":"busy"}}"#, Kind::Query),
            (204, "", Kind::NonQuery),
            (301, r#"{"rows":[]}"#, Kind::Query),
            (502, "Bad Gateway", Kind::Query),
            (503, "{}", Kind::Query),
            (503, r#"{"error":"busy"}"#, Kind::Query),
        ] {
            let told = told(status, body, kind);
            assert!(matches!(told, Told::Other { .. }), "{status} {body}: {told:?}");
        }
        assert!(matches!(
            told(200, r#"{"affected":3}"#, Kind::NonQuery),
            Told::Affected(3)
        ));
        let refused = r#"{"error":{"code":"statement_failed","sqlstate":"23505","constraint":{"index":"i"},"other":1}}"#;
        assert!(matches!(told(422, refused, Kind::Query), Told::Refused(_)));
    }
}
