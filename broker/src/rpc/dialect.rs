//! The two dialects, and ids that go back as they came.

use dbal_shared::json::Json;

/// Numbers up to here are the same in every JSON library; larger ones would not come back as they were sent.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How a request is written, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// What existing clients send: no `jsonrpc` member, string ids, application codes.
    Native,
    /// JSON-RPC 2.0 to the letter (jsonrpc.org/specification).
    JsonRpc,
}

/// A request's id as JSON text, ready to be written into the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// The id of an answer to what had none that could be read.
    pub fn null() -> Self {
        Id("null".to_owned())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// A string, a number or null; nothing else is an id (§4).
    pub(crate) fn parse(json: &Json) -> Option<Id> {
        match json {
            Json::Null => Some(Id::null()),
            Json::Int(number) => Some(Id(number.to_string())),
            Json::Unsigned(number) => Some(Id(number.to_string())),
            Json::Float(number) if number.abs() < EXACT => Some(Id(number.to_string())),
            Json::Text(text) => serde_json::to_string(text).ok().map(Id),
            Json::Float(_) | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
        }
    }
}
