//! One request: its members, taken apart by name.

use dbal_shared::json::Json;
use dbal_shared::limits::TOKEN_BYTES;
use secrecy::SecretString;

use super::dialect::{Dialect, Id};
use super::message::Unanswerable;
use crate::call::Params;
use crate::respond::{Kind, Refusal};

/// Names of methods are short; a long one is noise in a log.
const METHOD_BYTES: usize = 64;

/// One request, believed in nothing but its shape.
#[derive(Debug)]
pub struct RawRequest {
    /// How it was asked and will be answered.
    pub dialect: Dialect,
    /// Its id; none for a notification, which gets no answer.
    pub id: Option<Id>,
    /// The method's name.
    pub method: String,
    /// Its parameters.
    pub params: Params,
    /// The caller's proof, where the request brings one.
    pub auth: Auth,
}

/// The `auth` member.
#[derive(Debug, Default)]
pub struct Auth {
    /// `auth.token`
    pub token: Option<SecretString>,
    /// `auth.user_id` or `auth.userId`: must be the proof's subject.
    pub user_id: Option<String>,
}

impl RawRequest {
    pub(super) fn parse(json: Json, agreed: Option<Dialect>) -> Result<Self, Unanswerable> {
        let Json::Object(members) = json else {
            return Err(Unanswerable {
                // Only JSON-RPC says what to do with a request that is no object (§6).
                dialect: agreed.unwrap_or(Dialect::JsonRpc),
                id: Id::null(),
                refusal: Refusal::new(
                    Kind::InvalidRequest,
                    format!("a request must be an object, not {}", json.kind()),
                ),
            });
        };
        let mut members = Members(members);
        let (dialect, version) = match members.take("jsonrpc") {
            Some(Json::Text(version)) if version == "2.0" => (Dialect::JsonRpc, Ok(())),
            Some(_) => (Dialect::JsonRpc, Err("`jsonrpc` must be \"2.0\"")),
            None => (Dialect::Native, Ok(())),
        };
        let (id, id_fault) = match members.take("id") {
            Some(json) => match Id::parse(&json) {
                Some(id) => (Some(id), None),
                None => (None, Some("`id` must be a string, a number or null")),
            },
            // A native client waits for every answer by its id, so a request without one is a mistake.
            None if dialect == Dialect::Native && !members.is_notification() => {
                (None, Some("`id` is missing"))
            }
            None => (None, None),
        };
        let rest = version
            .and(id_fault.map_or(Ok(()), Err))
            .and_then(|()| members.rest());
        match rest {
            Ok((method, params, auth)) => Ok(Self {
                dialect,
                id,
                method,
                params,
                auth,
            }),
            Err(reason) => Err(Unanswerable {
                dialect,
                id: id.unwrap_or_else(Id::null),
                refusal: Refusal::new(Kind::InvalidRequest, reason),
            }),
        }
    }
}

/// What is left of the request object. Members that are not ours are ignored: clients add their own.
struct Members(Vec<(String, Json)>);

impl Members {
    fn take(&mut self, name: &str) -> Option<Json> {
        let position = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(position).1)
    }

    /// Methods that begin with `$/` are notifications by their nature.
    fn is_notification(&self) -> bool {
        self.0.iter().any(|(key, value)| {
            key == "method" && value.as_text().is_some_and(|method| method.starts_with("$/"))
        })
    }

    fn rest(mut self) -> Result<(String, Params, Auth), &'static str> {
        let method = match self.take("method") {
            Some(Json::Text(method)) if method.len() <= METHOD_BYTES => method,
            Some(Json::Text(_)) => return Err("`method` is longer than any method's name"),
            Some(_) => return Err("`method` must be a string"),
            None => return Err("`method` is missing"),
        };
        let params = match self.take("params") {
            None | Some(Json::Null) => Params::Positional(Vec::new()),
            Some(Json::List(params)) => Params::Positional(params),
            Some(Json::Object(params)) => Params::Named(params),
            Some(_) => return Err("`params` must be an array or an object"),
        };
        let auth = match self.take("auth") {
            None | Some(Json::Null) => Auth::default(),
            Some(Json::Object(members)) => Members(members).auth()?,
            Some(_) => return Err("`auth` must be an object"),
        };
        Ok((method, params, auth))
    }

    fn auth(mut self) -> Result<Auth, &'static str> {
        let token = match self.take("token") {
            None | Some(Json::Null) => None,
            Some(Json::Text(token)) if token.len() <= TOKEN_BYTES => Some(SecretString::from(token)),
            Some(Json::Text(_)) => return Err("`auth.token` is too long"),
            Some(_) => return Err("`auth.token` must be a string"),
        };
        let user_id = match (self.take("user_id"), self.take("userId")) {
            (None | Some(Json::Null), None | Some(Json::Null)) => None,
            (Some(Json::Text(id)), None | Some(Json::Null))
            | (None | Some(Json::Null), Some(Json::Text(id))) => Some(id),
            (Some(Json::Text(one)), Some(Json::Text(other))) if one == other => Some(one),
            (Some(Json::Text(_)), Some(Json::Text(_))) => {
                return Err("`auth.user_id` and `auth.userId` differ");
            }
            _ => return Err("`auth.user_id` must be a string"),
        };
        Ok(Auth { token, user_id })
    }
}
