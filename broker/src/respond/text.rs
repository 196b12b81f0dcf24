//! Answers as text, in the dialect of the question. Result JSON is spliced in as it came.

use dbal_shared::fault::Code;

use crate::rpc::{Dialect, Id};
use dbal_call::{Details, Kind, Refusal};

/// Room for everything of an answer but id and result.
const ENVELOPE_BYTES: usize = 48;

/// `{"id":…,"result":…}`. `json` must be one JSON value; it is not looked at.
pub fn result(dialect: Dialect, id: &Id, json: &str) -> String {
    let length = ENVELOPE_BYTES
        .saturating_add(id.as_json().len())
        .saturating_add(json.len());
    let mut text = String::with_capacity(length);
    open(dialect, id, &mut text);
    text.push_str(r#","result":"#);
    text.push_str(json);
    text.push('}');
    text
}

/// `{"id":…,"error":{…}}`
pub fn error(dialect: Dialect, id: &Id, refusal: &Refusal) -> String {
    let mut text = String::with_capacity(256);
    open(dialect, id, &mut text);
    text.push(',');
    push_error(dialect, refusal, &mut text);
    text
}

/// `{"result":…}`: a call of a `batch`, which needs no id.
pub fn member_result(json: &str) -> String {
    format!(r#"{{"result":{json}}}"#)
}

/// `{"error":{…}}`: the same for one that failed.
pub fn member_error(dialect: Dialect, refusal: &Refusal) -> String {
    let mut text = String::from("{");
    push_error(dialect, refusal, &mut text);
    text
}

/// `"error":{…}}`
fn push_error(dialect: Dialect, refusal: &Refusal, text: &mut String) {
    let (number, message, key) = match dialect {
        Dialect::Native => (
            i32::from(refusal.code().number()),
            refusal.code().message(),
            "details",
        ),
        Dialect::JsonRpc => (
            json_rpc_number(refusal.kind()),
            json_rpc_message(refusal.kind()),
            "data",
        ),
    };
    text.push_str(r#""error":{"code":"#);
    text.push_str(&number.to_string());
    text.push_str(r#","message":"#);
    push_quoted(message, text);
    if let Some(details) = refusal.details().and_then(details_json) {
        text.push_str(",\"");
        text.push_str(key);
        text.push_str("\":");
        text.push_str(&details);
    }
    text.push_str("}}");
}

/// `[…,…]`; none when every request was a notification (JSON-RPC 2.0 §6: then nothing at all is returned).
pub fn batch(answers: &[String]) -> Option<String> {
    (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
}

fn open(dialect: Dialect, id: &Id, text: &mut String) {
    text.push_str(match dialect {
        Dialect::Native => r#"{"id":"#,
        Dialect::JsonRpc => r#"{"jsonrpc":"2.0","id":"#,
    });
    text.push_str(id.as_json());
}

fn details_json(details: &Details) -> Option<String> {
    serde_json::to_string(details).ok()
}

/// The texts are our own and hold nothing that needs escaping; this keeps them honest if one ever does.
fn push_quoted(plain: &str, text: &mut String) {
    text.push_str(&serde_json::Value::from(plain).to_string());
}

/// JSON-RPC 2.0 §5.1
fn json_rpc_number(kind: Kind) -> i32 {
    match kind {
        Kind::Parse => -32_700,
        Kind::InvalidRequest => -32_600,
        Kind::UnknownMethod => -32_601,
        Kind::InvalidParams => -32_602,
        Kind::Code(code) => i32::from(code.number()),
    }
}

fn json_rpc_message(kind: Kind) -> &'static str {
    match kind {
        Kind::Parse => "Parse error",
        Kind::InvalidRequest => "Invalid Request",
        Kind::UnknownMethod => "Method not found",
        Kind::InvalidParams => "Invalid params",
        Kind::Code(code) => Code::message(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::FieldFault;
    use dbal_shared::json::Json;
    use std::time::Duration;

    /// What existing clients take; anything else they drop without a word.
    #[test]
    fn errors_look_as_they_always_did() {
        let id = Id::parse(&Json::Text("req_1".to_owned())).unwrap_or_else(Id::null);
        let fields = vec![FieldFault::text("a\"b", "is \\ wrong")];
        for (refusal, native, json_rpc) in [
            (
                Refusal::parse("expected value".to_owned(), 1, 2),
                r#"{"code":400,"message":"Malformed request","details":{"reason":"expected value","line":1,"column":2}}"#,
                r#"{"code":-32700,"message":"Parse error","data":{"reason":"expected value","line":1,"column":2}}"#,
            ),
            (
                Refusal::new(Kind::InvalidRequest, "x"),
                r#"{"code":400,"message":"Malformed request","details":{"reason":"x"}}"#,
                r#"{"code":-32600,"message":"Invalid Request","data":{"reason":"x"}}"#,
            ),
            (
                Refusal::new(Kind::UnknownMethod, "x"),
                r#"{"code":400,"message":"Malformed request","details":{"reason":"x"}}"#,
                r#"{"code":-32601,"message":"Method not found","data":{"reason":"x"}}"#,
            ),
            (
                Refusal::new(Kind::InvalidParams, "x"),
                r#"{"code":422,"message":"Validation failed","details":{"reason":"x"}}"#,
                r#"{"code":-32602,"message":"Invalid params","data":{"reason":"x"}}"#,
            ),
            (
                Refusal::invalid(fields),
                r#"{"code":422,"message":"Validation failed","details":{"fields":[{"field":"a\"b","error":"is \\ wrong"}]}}"#,
                r#"{"code":422,"message":"Validation failed","data":{"fields":[{"field":"a\"b","error":"is \\ wrong"}]}}"#,
            ),
            (
                Refusal::rate_limited(Duration::from_millis(1_200), "for the operator"),
                r#"{"code":429,"message":"Rate limit exceeded","details":{"retryAfter":2}}"#,
                r#"{"code":429,"message":"Rate limit exceeded","data":{"retryAfter":2}}"#,
            ),
            (
                Refusal::silent(Code::NotFound, "for the operator"),
                r#"{"code":404,"message":"Not found"}"#,
                r#"{"code":404,"message":"Not found"}"#,
            ),
            (
                Refusal::unavailable("for the operator"),
                r#"{"code":503,"message":"Database unavailable","details":{"retryable":true}}"#,
                r#"{"code":503,"message":"Database unavailable","data":{"retryable":true}}"#,
            ),
        ] {
            assert_eq!(
                error(Dialect::Native, &id, &refusal),
                format!(r#"{{"id":"req_1","error":{native}}}"#)
            );
            assert_eq!(
                error(Dialect::JsonRpc, &id, &refusal),
                format!(r#"{{"jsonrpc":"2.0","id":"req_1","error":{json_rpc}}}"#)
            );
        }
    }

    #[test]
    fn a_null_result_is_there_and_no_error_stands_beside_it() {
        assert_eq!(
            result(Dialect::Native, &Id::null(), "null"),
            r#"{"id":null,"result":null}"#
        );
    }

    #[test]
    fn a_batch_of_notifications_is_answered_with_nothing() {
        assert_eq!(batch(&[]), None);
        assert_eq!(batch(&["1".to_owned(), "2".to_owned()]).as_deref(), Some("[1,2]"));
    }

    #[test]
    fn every_code_has_its_json_rpc_twin() {
        for code in Code::ALL {
            assert_eq!(json_rpc_number(Kind::Code(code)), i32::from(code.number()));
        }
    }
}
