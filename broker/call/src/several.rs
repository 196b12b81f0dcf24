//! The list of calls that `batch` and `transaction` take: bounded, not nested, each no more than a method and its
//! parameters.

use std::num::NonZeroU32;

use dbal_shared::fault::Code;
use dbal_shared::json::Json;
use dbal_shared::limits::BATCH_CALLS;

use super::arguments::{Arguments, shown};
use super::{Meta, Method, explained};
use crate::Params;
use crate::refusal::{Kind, Refusal};

/// One call of several.
#[derive(Debug)]
pub struct Member {
    /// The method's name, if it is one of ours.
    pub method: Option<Method>,
    /// Its parameters.
    pub params: Params,
}

/// Reads the parameters of `batch`: the calls, and what was said about all of them.
pub fn batch(params: &Params) -> Result<(Vec<Member>, Meta), Refusal> {
    let arguments = Arguments::new(Method::Batch, params)?;
    let meta = arguments.meta()?;
    if meta.once.is_some() {
        return Err(arguments.fault("each write of a batch has an `idempotencyKey` of its own"));
    }
    Ok((members(&arguments)?, meta))
}

/// How many calls a request is charged for, before anything of it is judged.
pub fn count(method: Method, params: &Params) -> NonZeroU32 {
    if method == Method::Explain {
        // Understanding many calls takes as long as if they were made.
        return match explained(params) {
            Ok(inner) if inner.method == Method::Transaction => count(inner.method, &inner.params),
            Ok(_) | Err(_) => NonZeroU32::MIN,
        };
    }
    let calls = match (method, params) {
        (Method::Transaction, Params::Positional(values)) => values.first(),
        (Method::Transaction, Params::Named(members)) => members
            .iter()
            .find(|(name, _)| name == "calls")
            .map(|(_, calls)| calls),
        (_, Params::Positional(_) | Params::Named(_)) => None,
    };
    let count = if let Some(Json::List(items)) = calls {
        // More are refused, and cost no more than the most that are taken.
        items.len().min(BATCH_CALLS)
    } else {
        1
    };
    let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
    count.unwrap_or(NonZeroU32::MIN)
}

/// The parameter `calls`.
pub(super) fn members(arguments: &Arguments<'_>) -> Result<Vec<Member>, Refusal> {
    let Json::List(items) = arguments.required("calls")? else {
        return Err(arguments.fault("`calls` must be an array of calls"));
    };
    if items.is_empty() {
        return Err(arguments.fault("`calls` must not be empty"));
    }
    if items.len() > BATCH_CALLS {
        return Err(Refusal::new(
            Kind::Code(Code::TooLarge),
            format!("{} calls; at most {BATCH_CALLS} are allowed", items.len()),
        ));
    }
    let member = |(position, item)| {
        member(item).map_err(|what| arguments.fault(&format!("`calls[{position}]` {what}")))
    };
    items.iter().enumerate().map(member).collect()
}

fn member(item: &Json) -> Result<Member, String> {
    let Json::Object(members) = item else {
        return Err(format!("must be an object, not {}", item.kind()));
    };
    // Who asks, and by which id, is said once for all. What says it again here would be ignored, and must not seem heard.
    let stranger = members
        .iter()
        .find(|(name, _)| !matches!(name.as_str(), "method" | "params"));
    if let Some((name, _)) = stranger {
        return Err(format!(
            "has the member `{}`; it may have `method` and `params`",
            shown(name)
        ));
    }
    let Some(name) = item.member("method").and_then(Json::as_text) else {
        return Err("must name its `method`".to_owned());
    };
    let method = Method::by_name(name);
    if matches!(method, Some(Method::Batch | Method::Transaction | Method::Cancel)) {
        return Err(format!("is `{name}`, which can't stand within another call"));
    }
    let params = match item.member("params") {
        None | Some(Json::Null) => Params::Positional(Vec::new()),
        Some(Json::List(params)) => Params::Positional(params.clone()),
        Some(Json::Object(params)) => Params::Named(params.clone()),
        Some(_) => return Err("must have `params` that are an array or an object".to_owned()),
    };
    Ok(Member { method, params })
}
