//! `transaction`: a list of calls → plans that are done together, later ones in terms of what earlier ones answer.

use dbal_shared::json::Json;
use dbal_shared::message::Isolation;

use super::arguments::{Arguments, shown};
use super::meta;
use super::scope::Caller;
use super::several::{self, Member};
use super::{Call, Meta, Method, Together, Wanted, about, one};
use crate::Params;
use crate::refusal::{FieldFault, Kind, Refusal};

/// What there is to say of the whole.
const OPTIONS: &[&str] = &["idempotencyKey", "isolation", "meta"];

pub(super) fn transaction(params: &Params, caller: &Caller<'_>) -> Result<Call, Refusal> {
    let arguments = Arguments::new(Method::Transaction, params)?;
    let members = several::members(&arguments)?;
    let (isolation, meta) = options(&arguments)?;
    let mut plans = Vec::with_capacity(members.len());
    for (position, Member { method, params }) in members.into_iter().enumerate() {
        let caller = Caller {
            earlier: Some(&plans),
            ..*caller
        };
        let understood = method
            .ok_or_else(|| Refusal::new(Kind::UnknownMethod, "unknown method"))
            .and_then(|method| {
                one(method, &params, &caller)
                    .map_err(|refusal| about(refusal, method, &params, caller.policy))
            })
            .and_then(|(plan, meta)| {
                if meta == Meta::default() {
                    Ok(plan)
                } else {
                    // Ignoring it would let a client believe that it counts.
                    let what =
                        "what is said about the call itself is said once, in the transaction's options";
                    Err(Refusal::new(Kind::InvalidParams, what))
                }
            });
        plans.push(understood.map_err(|refusal| refusal.at_call(position))?);
    }
    Ok(Call {
        wanted: Wanted::Together(Together { isolation, plans }),
        meta,
    })
}

fn options(arguments: &Arguments<'_>) -> Result<(Isolation, Meta), Refusal> {
    let mut isolation = Isolation::default();
    let mut meta = arguments.meta()?;
    let members = match arguments.optional("options") {
        None => &[],
        Some(Json::Object(members)) => members.as_slice(),
        Some(_) => return Err(arguments.fault("`options` must be an object")),
    };
    for (name, value) in members.iter().filter(|(_, value)| *value != Json::Null) {
        match name.as_str() {
            "isolation" => {
                let named = Isolation::ALL
                    .into_iter()
                    .find(|isolation| value.as_text() == Some(isolation.name()));
                isolation = named.ok_or_else(|| {
                    let allowed = Isolation::ALL.map(Isolation::name).join(", ");
                    Refusal::invalid(vec![FieldFault::text(
                        name.as_str(),
                        format!("must be one of {allowed}"),
                    )])
                })?;
            }
            "idempotencyKey" => meta.name(Some(meta::once(value, name.clone())?))?,
            "meta" => meta.complete(Meta::parse(Some(value), "meta")?)?,
            _ => {
                let fault = FieldFault::unknown_option(shown(name), OPTIONS);
                return Err(Refusal::invalid(vec![fault]));
            }
        }
    }
    Ok((isolation, meta))
}
