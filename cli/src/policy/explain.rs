//! `dbal policy explain`: what would become of one call, each rule tried in order, with the caller's claims put in.

use std::fmt::Write as _;

use dbal_call::{Hearer, Method, Params};
use dbal_policy::{Asked, Effect, Policy, Tried};
use dbal_schema::ColumnSet;
use dbal_shared::json::Json;
use dbal_shared::plan::{Action, Operation, Plan};
use dbal_shared::principal::{ClaimValue, Principal};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::inputs::Inputs;
use crate::error::ToolError;
use crate::output;

/// Explain one call: whether it would be allowed, by which rules, with which rows, fields and costs; and what kept the others
/// from granting it. Nothing is asked of a daemon or a database.
///
/// PARAMS are as a client sends them, a JSON array or an object of named ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The caller: {"id","roles","tenant","claims":{…}}, each of them as a token would bring it. Without it, nobody.
    #[arg(long = "as", value_name = "JSON")]
    caller: Option<String>,
    /// terminal or json.
    #[arg(long, value_name = "FORMAT", default_value = "terminal", value_parser = ["terminal", "json"])]
    format: String,
    /// The method, as clients call it.
    method: String,
    /// Its parameters: a JSON array, or an object of named ones.
    params: String,
    #[command(flatten)]
    inputs: Inputs,
}

/// A caller as the command line has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    id: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    tenant: Option<String>,
    #[serde(default)]
    claims: Map<String, Value>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        caller,
        format,
        method,
        params,
        inputs,
    } = options;
    let principal = match caller {
        Some(caller) => principal(&caller)?,
        None => Principal::anonymous(),
    };
    let method = Method::by_name(&method)
        .filter(|found| found.asks_database())
        .ok_or_else(|| ToolError::Usage(format!("`{method}` is no method that asks the database")))?;
    let params = read_params(&params)?;
    let policy = inputs.load()?;
    let explained = explained(&policy, &principal, method, &params);
    if format == "json" {
        output::line(format_args!("{explained:#}"))?;
    } else {
        output::print(in_words(&explained))?;
    }
    Ok(())
}

fn principal(text: &str) -> Result<Principal, ToolError> {
    let wrong = |error: &dyn std::fmt::Display| ToolError::Usage(format!("--as: {error}"));
    let Caller {
        id,
        mut roles,
        tenant,
        claims,
    } = serde_json::from_str(text).map_err(|error| {
        wrong(&format!(
            "takes a principal such as '{{\"id\": \"…\", \"roles\": [\"user\"]}}': {error}"
        ))
    })?;
    roles.sort_unstable();
    roles.dedup();
    let mut typed = Vec::with_capacity(claims.len());
    for (name, value) in claims {
        let value = match value {
            Value::String(text) => ClaimValue::Text(text),
            Value::Bool(value) => ClaimValue::Bool(value),
            Value::Number(number) => match number.as_i64() {
                Some(number) => ClaimValue::Int(number),
                None => return Err(wrong(&format!("`{name}` must be a whole number"))),
            },
            Value::Array(texts) => {
                let texts: Option<Vec<String>> = texts
                    .iter()
                    .map(|text| text.as_str().map(str::to_owned))
                    .collect();
                let texts = texts.ok_or_else(|| wrong(&format!("`{name}` must be a list of texts")))?;
                ClaimValue::Texts(texts)
            }
            Value::Null | Value::Object(_) => {
                return Err(wrong(&format!(
                    "`{name}` must be a text, a whole number, true or false, or a list of texts"
                )));
            }
        };
        typed.push((name, value));
    }
    typed.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(Principal {
        id,
        roles,
        tenant,
        claims: typed,
    })
}

fn read_params(text: &str) -> Result<Params, ToolError> {
    match serde_json::from_str::<Json>(text) {
        Ok(Json::List(values)) => Ok(Params::Positional(values)),
        Ok(Json::Object(members)) => Ok(Params::Named(members)),
        Ok(_) => Err(ToolError::Usage(
            "PARAMS must be a JSON array or object".to_owned(),
        )),
        Err(error) => Err(ToolError::Usage(format!("PARAMS: {error}"))),
    }
}

/// The explanation as JSON. The verdict is that of the daemons' own functions, over the same policy.
fn explained(policy: &Policy, principal: &Principal, method: Method, params: &Params) -> Value {
    let subject = policy.subject(principal);
    let wanted = dbal_call::interpret(method, params, policy, &subject).map(|call| call.wanted);
    let (plans, told) = match &wanted {
        Ok(wanted) => {
            let told = match dbal_call::judge(policy, principal, &subject, wanted) {
                Ok(grants) => dbal_call::granted(method, wanted, &grants, policy, &subject, Hearer::Operator),
                Err(refusal) => refused(method, &refusal),
            };
            (wanted.plans(), told)
        }
        Err(refusal) => (&[][..], refused(method, refusal)),
    };
    let mut tried: Vec<Value> = Vec::new();
    for plan in plans {
        for operation in operations(plan) {
            let asked = Asked {
                entity: plan.entity,
                operation,
                plan: Some(plan),
                refused: ColumnSet::new(),
            };
            tried.push(trace(policy, principal, &asked));
        }
    }
    if let Err(refusal) = &wanted
        && let Some((entity, operation)) = refusal.subject_matter()
    {
        let named = policy.schema().entity(entity);
        let asked = Asked {
            entity,
            operation,
            plan: None,
            refused: named.map_or_else(ColumnSet::new, |entity| {
                dbal_call::refused_columns(refusal, entity)
            }),
        };
        tried.push(trace(policy, principal, &asked));
    }
    let mut all = Map::new();
    all.insert("policy".to_owned(), json!(policy.hash().to_string()));
    all.insert("tried".to_owned(), Value::Array(tried));
    if let Value::Object(told) = told {
        all.extend(told);
    }
    Value::Object(all)
}

fn refused(method: Method, refusal: &dbal_call::Refusal) -> Value {
    let mut told = dbal_call::refused(method, refusal);
    if let Some(members) = told.as_object_mut() {
        members.insert("why".to_owned(), json!(refusal.operator()));
        if let Some(rule) = refusal.rule() {
            members.insert("by".to_owned(), json!(rule));
        }
    }
    told
}

/// The operations whose rules decide.
fn operations(plan: &Plan) -> Vec<Operation> {
    let second = matches!(plan.action, Action::Upsert { .. }).then_some(Operation::Update);
    std::iter::once(plan.action.operation()).chain(second).collect()
}

fn trace(policy: &Policy, principal: &Principal, asked: &Asked<'_>) -> Value {
    let subject = policy.subject(principal);
    let entity = policy.schema().entity(asked.entity);
    let rules: Vec<Value> = policy
        .trace(principal, &subject, asked)
        .iter()
        .map(
            |Tried {
                 id,
                 at,
                 effect,
                 words,
                 plain: _,
             }| {
                json!({"rule": id.as_ref(), "at": at.to_string(), "effect": named(*effect), "why": words})
            },
        )
        .collect();
    json!({
        "entity": entity.map(|entity| entity.name.as_str()),
        "operation": asked.operation.name(),
        "rules": rules,
    })
}

fn named(effect: Effect) -> &'static str {
    match effect {
        Effect::Grants => "grants",
        Effect::Hindered(_) => "does not apply",
        Effect::Narrows => "narrows",
        Effect::Bars => "bars",
        Effect::Spares => "spares",
    }
}

/// The same for eyes.
fn in_words(explained: &Value) -> String {
    let mut out = String::new();
    for asked in items(explained, "tried") {
        let _ = writeln!(
            out,
            "Rules about {} on {}, in order:",
            plain(asked.get("operation").unwrap_or(&Value::Null)),
            plain(asked.get("entity").unwrap_or(&Value::Null))
        );
        let rules = items(asked, "rules");
        if rules.is_empty() {
            out.push_str("  none\n");
        }
        for rule in rules {
            let _ = writeln!(
                out,
                "  {:<15} {}  ({})\n                  {}",
                plain(rule.get("effect").unwrap_or(&Value::Null)),
                plain(rule.get("rule").unwrap_or(&Value::Null)),
                plain(rule.get("at").unwrap_or(&Value::Null)),
                plain(rule.get("why").unwrap_or(&Value::Null))
            );
        }
        out.push('\n');
    }
    let is_allowed = explained.get("allowed") == Some(&Value::Bool(true));
    out.push_str(if is_allowed { "Allowed.\n" } else { "Refused.\n" });
    for (name, value) in explained.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "tried" | "allowed") {
            member(&mut out, name, value, 1);
        }
    }
    out
}

fn member(out: &mut String, name: &str, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            let _ = writeln!(out, "{indent}{name}:");
            for (name, value) in members {
                member(out, name, value, depth.saturating_add(1));
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (nth, item) in items.iter().enumerate() {
                member(out, &format!("{name} {}", nth.saturating_add(1)), item, depth);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            let _ = writeln!(out, "{indent}{name}: {}", items.join(", "));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            let _ = writeln!(out, "{indent}{name}: {}", plain(value));
        }
    }
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    let items = of.get(name).and_then(Value::as_array);
    items.map_or(&[], Vec::as_slice)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
