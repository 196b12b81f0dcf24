//! One text message: a request, or a bounded array of them.

use dbal_shared::json::Json;
use dbal_shared::limits::BATCH_CALLS;

use super::dialect::{Dialect, Id};
use super::request::RawRequest;
use crate::respond::{Kind, Refusal};

/// What a message holds. Each part is a request, or the reason why it is none.
#[derive(Debug)]
pub enum Message {
    /// One object.
    One(RawRequest),
    /// An array of 1 to [`BATCH_CALLS`].
    Batch(Vec<Result<RawRequest, Unanswerable>>),
}

/// What is no request, and how to say so.
#[derive(Debug)]
pub struct Unanswerable {
    /// The dialect to answer in.
    pub dialect: Dialect,
    /// The id, as far as one could be read; otherwise null.
    pub id: Id,
    /// Why.
    pub refusal: Refusal,
}

impl Message {
    /// Reads one text message. `agreed` is the dialect of the WebSocket subprotocol, if the client asked for one.
    pub fn parse(text: &str, agreed: Option<Dialect>) -> Result<Message, Unanswerable> {
        match serde_json::from_str::<Json>(text) {
            Ok(Json::List(items)) => batch(items, agreed),
            Ok(
                json @ (Json::Null
                | Json::Bool(_)
                | Json::Int(_)
                | Json::Unsigned(_)
                | Json::Float(_)
                | Json::Text(_)
                | Json::Object(_)),
            ) => RawRequest::parse(json, agreed).map(Message::One),
            Err(error) => Err(Unanswerable {
                dialect: agreed.unwrap_or_else(|| guess(text)),
                id: Id::null(),
                refusal: Refusal::parse(error.to_string(), error.line(), error.column()),
            }),
        }
    }
}

fn batch(items: Vec<Json>, agreed: Option<Dialect>) -> Result<Message, Unanswerable> {
    let refuse = |reason: String| Unanswerable {
        dialect: agreed.unwrap_or(Dialect::JsonRpc),
        id: Id::null(),
        refusal: Refusal::new(Kind::InvalidRequest, reason),
    };
    match items.len() {
        0 => Err(refuse("an empty batch".to_owned())),
        1..=BATCH_CALLS => Ok(Message::Batch(
            items
                .into_iter()
                .map(|item| RawRequest::parse(item, agreed))
                .collect(),
        )),
        many => Err(refuse(format!(
            "a batch of {many} requests; at most {BATCH_CALLS} are allowed"
        ))),
    }
}

/// What can't be read doesn't tell its dialect, but the member that tells the two apart may still stand in it.
fn guess(text: &str) -> Dialect {
    if text.contains("\"jsonrpc\"") {
        Dialect::JsonRpc
    } else {
        Dialect::Native
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Params;

    fn refused(text: &str) -> (Dialect, String, Kind, String) {
        let refused = Message::parse(text, None).unwrap_err();
        let reason = refused
            .refusal
            .details()
            .and_then(|details| details.reason.clone());
        (
            refused.dialect,
            refused.id.as_json().to_owned(),
            refused.refusal.kind(),
            reason.unwrap_or_default().into_owned(),
        )
    }

    fn one(text: &str) -> RawRequest {
        match Message::parse(text, None) {
            Ok(Message::One(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_existing_clients_request_is_read() {
        let request = one(
            r#"{"id":"req_1","method":"create","params":["User",{"a":1}],"auth":{"token":"t","user_id":"u"}}"#,
        );
        assert_eq!(request.dialect, Dialect::Native);
        assert_eq!(request.id.unwrap().as_json(), r#""req_1""#);
        assert_eq!(request.method, "create");
        assert!(matches!(&request.params, Params::Positional(params) if params.len() == 2));
        assert_eq!(request.auth.user_id.as_deref(), Some("u"));
        assert!(request.auth.token.is_some());
    }

    #[test]
    fn ids_come_back_as_they_were_sent() {
        for (sent, back) in [
            ("1", "1"),
            ("-7", "-7"),
            ("\"a\\\"b\\n\"", "\"a\\\"b\\n\""),
            ("\"ä\"", "\"ä\""),
            ("null", "null"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.5", "1.5"),
            ("\"\"", "\"\""),
        ] {
            let request = one(&format!(r#"{{"jsonrpc":"2.0","id":{sent},"method":"m"}}"#));
            assert_eq!(request.id.unwrap().as_json(), back);
        }
    }

    #[test]
    fn the_examples_of_the_json_rpc_specification_are_read_as_it_says() {
        // jsonrpc.org/specification §7
        let notification = one(r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#);
        assert!(notification.id.is_none());
        for (text, kind) in [
            (
                r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
                Kind::Parse,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
                Kind::InvalidRequest,
            ),
            (
                r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]"#,
                Kind::Parse,
            ),
            ("[]", Kind::InvalidRequest),
        ] {
            let (dialect, id, got, _) = refused(text);
            assert_eq!(
                (dialect, id.as_str(), got),
                (Dialect::JsonRpc, "null", kind),
                "{text}"
            );
        }
        let Ok(Message::Batch(items)) = Message::parse("[1,2,3]", None) else {
            panic!("a batch")
        };
        assert_eq!(items.len(), 3);
        for item in items {
            let item = item.unwrap_err();
            assert_eq!(
                (item.dialect, item.refusal.kind()),
                (Dialect::JsonRpc, Kind::InvalidRequest)
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        for (text, part) in [
            ("{\"id\":\"1\",\n \"method\":}", "at line 2 column 11"),
            (r#"{"id":"1","id":"2","method":"m"}"#, "`id` stands twice"),
            (r#"{"id":"1","method":"m","params":["\u0000"]}"#, "U+0000"),
            (r#"{"id":"1","method":"m","params":["\ud800"]}"#, "hex escape"),
            (r#"{"id":"1","method":"m","params":[1e999]}"#, "out of range"),
            (r#"{"id":"1","method":"m"} x"#, "trailing characters"),
            ("", "EOF"),
            (
                r#"{"id":"1","method":"m","params":7}"#,
                "`params` must be an array or an object",
            ),
            (r#"{"id":"1","method":7}"#, "`method` must be a string"),
            (r#"{"id":"1"}"#, "`method` is missing"),
            (
                r#"{"id":{},"method":"m"}"#,
                "`id` must be a string, a number or null",
            ),
            (r#"{"method":"m"}"#, "`id` is missing"),
            (r#"{"id":"1","method":"m","auth":7}"#, "`auth` must be an object"),
            (
                r#"{"id":"1","method":"m","auth":{"token":7}}"#,
                "`auth.token` must be a string",
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
                "`jsonrpc` must be \"2.0\"",
            ),
        ] {
            assert!(refused(text).3.contains(part), "{text}: {}", refused(text).3);
        }
        let deep = format!(
            r#"{{"id":"1","method":"m","params":{}{}}}"#,
            "[".repeat(40),
            "]".repeat(40)
        );
        assert!(refused(&deep).3.contains("nested deeper"));
    }

    #[test]
    fn a_readable_id_is_answered_even_when_the_rest_is_wrong() {
        assert_eq!(refused(r#"{"id":"1","method":7}"#).1, "\"1\"");
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":5,"method":"m","params":1}"#).1,
            "5"
        );
    }

    #[test]
    fn a_batch_is_bounded() {
        let batch = |many: usize| format!("[{}]", vec![r#"{"id":"1","method":"m"}"#; many].join(","));
        assert!(Message::parse(&batch(BATCH_CALLS), None).is_ok());
        assert!(refused(&batch(BATCH_CALLS + 1)).3.contains("at most 32"));
    }
}
