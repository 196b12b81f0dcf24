//! Parameters by position or by name, brought into one form.

use dbal_shared::json::Json;
use dbal_shared::trace::Trace;

use super::meta::{self, Meta};
use super::method::Method;
use crate::Params;
use crate::refusal::{FieldFault, Kind, Refusal};

/// Named parameters of every method that say something about the call itself.
const META: &str = "_meta";
/// Options of what writes.
const OF_WRITE: &[&str] = &["idempotencyKey", "meta"];
/// The two forms of `upsert`.
const UPSERT: &str = "entity, filter, createData, updateData or entity, uniqueField, uniqueValue, createData, updateData (, options)";

/// The trace that a call belongs to: also of one that is refused before its options are looked at.
pub fn trace(method: Method, params: &Params) -> Option<Trace> {
    Arguments { method, params }.trace()
}

/// The parameters of one call.
pub(super) struct Arguments<'a> {
    method: Method,
    params: &'a Params,
}

impl<'a> Arguments<'a> {
    /// Refuses parameters that the method doesn't have.
    pub(super) fn new(method: Method, params: &'a Params) -> Result<Self, Refusal> {
        let names = method.parameters();
        let arguments = Self { method, params };
        match params {
            // `upsert` counts by itself: its forms have different lengths.
            Params::Positional(values) if method != Method::Upsert && values.len() > names.len() => {
                Err(arguments.fault(&format!("too many: {} were given", values.len())))
            }
            Params::Positional(_) => Ok(arguments),
            Params::Named(members) => {
                let unknown = members
                    .iter()
                    .find(|(name, _)| name != META && !names.contains(&name.as_str()));
                match unknown {
                    Some((name, _)) => Err(arguments.fault(&format!("unknown parameter `{}`", shown(name)))),
                    None => Ok(arguments),
                }
            }
        }
    }

    /// What the caller said about the call in `params._meta`.
    pub(super) fn meta(&self) -> Result<Meta, Refusal> {
        let found = match self.params {
            Params::Positional(_) => None,
            Params::Named(members) => member(members, META),
        };
        Meta::parse(found, "params._meta")
    }

    /// What a write's `options` say about the call: nothing else is in them.
    pub(super) fn options_of_write(&self) -> Result<Meta, Refusal> {
        let members = match self.options() {
            None | Some(Json::Null) => return Ok(Meta::default()),
            Some(Json::Object(members)) => members,
            Some(_) => return Err(self.fault("`options` must be an object")),
        };
        let mut meta = Meta::default();
        for (name, value) in members {
            match (name.as_str(), value) {
                (_, Json::Null) => {}
                ("idempotencyKey", key) => {
                    meta.name(Some(meta::once(key, "options.idempotencyKey".to_owned())?))?;
                }
                ("meta", value) => meta.complete(Meta::parse(Some(value), "options.meta")?)?,
                _ => {
                    let fault = FieldFault::unknown_option(shown(name), OF_WRITE);
                    return Err(Refusal::invalid(vec![fault]));
                }
            }
        }
        Ok(meta)
    }

    /// The trace that the call belongs to, in either place where one may name it, as far as it can be read.
    pub(super) fn trace(&self) -> Option<Trace> {
        let of = |meta: &Json| within(meta, "traceparent")?.as_text().and_then(Trace::parse);
        let of_params = match self.params {
            Params::Positional(_) => None,
            Params::Named(members) => member(members, META).and_then(of),
        };
        of_params.or_else(|| within(self.options()?, "meta").and_then(of))
    }

    fn options(&self) -> Option<&'a Json> {
        match self.params {
            // Behind the last parameter of either form.
            Params::Positional(values) if self.method == Method::Upsert => match values.get(1) {
                Some(Json::Object(_)) => values.get(4),
                _ => values.get(5),
            },
            Params::Positional(_) | Params::Named(_) => self.raw("options"),
        }
    }

    /// The parameter, if it was given and isn't null.
    pub(super) fn optional(&self, name: &'static str) -> Option<&'a Json> {
        self.raw(name).filter(|value| **value != Json::Null)
    }

    /// The parameter, which must be there and not null.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a Json, Refusal> {
        self.optional(name)
            .ok_or_else(|| self.fault(&format!("`{name}` is missing")))
    }

    /// The parameter, where null means NULL.
    pub(super) fn nullable(&self, name: &'static str) -> Result<&'a Json, Refusal> {
        self.raw(name)
            .ok_or_else(|| self.fault(&format!("`{name}` is missing")))
    }

    /// The parameter, which must be a string.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Refusal> {
        let value = self.required(name)?;
        value
            .as_text()
            .ok_or_else(|| self.fault(&format!("`{name}` must be a string, not {}", value.kind())))
    }

    /// The parameter, which must be an object.
    pub(super) fn object(&self, name: &'static str) -> Result<&'a Json, Refusal> {
        let value = self.required(name)?;
        if matches!(value, Json::Object(_)) {
            Ok(value)
        } else {
            Err(self.fault(&format!("`{name}` must be an object, not {}", value.kind())))
        }
    }

    /// The positional parameters, if they came so.
    pub(super) fn positional(&self) -> Option<&'a [Json]> {
        match self.params {
            Params::Positional(values) => Some(values),
            Params::Named(_) => None,
        }
    }

    /// Says what is wrong with the parameters, and what they should be.
    pub(super) fn fault(&self, what: &str) -> Refusal {
        let expected = if self.method == Method::Upsert {
            UPSERT.to_owned()
        } else if self.method.parameters().is_empty() {
            "no parameters".to_owned()
        } else {
            self.method.parameters().join(", ")
        };
        Refusal::new(
            Kind::InvalidParams,
            format!("{what}; `{}` takes {expected}", self.method.name()),
        )
    }

    fn raw(&self, name: &'static str) -> Option<&'a Json> {
        match self.params {
            Params::Positional(values) => {
                let position = self.method.parameters().iter().position(|known| *known == name)?;
                values.get(position)
            }
            Params::Named(members) => member(members, name),
        }
    }
}

fn within<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    if let Json::Object(members) = json {
        member(members, name)
    } else {
        None
    }
}

fn member<'a>(members: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    members
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

/// A name as error texts show it: not longer than any real one.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 64;
    let mut shown: String = name.chars().take(LONGEST).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}
