//! From a plan that nobody believes to a job that may run: session, policy, our own decision, its digest, the schema's
//! ceilings. Each step is refused by itself; what an honest broker can't have sent is an incident.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_policy::{Denied, Grant, Policy, Reason};
use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::limits::CALL_BUDGET_MS;
use dbal_shared::message::{Advice, Execute};
use dbal_shared::plan::{Action, Assignment, Target};
use dbal_shared::value::Value;
use dbal_sql::{Invalid, ValidPlan};

use crate::generate::Fresh;
use crate::job::{Control, Refusal};
use crate::ledger::Memo;
use crate::session::{Found, Session};

/// Most keys that one audit record names.
const KEYS: usize = 16;

/// Why a plan does not run.
#[derive(Debug)]
pub enum Rejection {
    /// It may not; the channel goes on.
    Refused(Refusal),
    /// It can't come from an honest broker: the channel ends.
    Incident(Refusal),
}

/// Judges a call. `memo` takes in what becomes known of it on the way.
pub fn judge(
    execute: Execute,
    found: Found,
    policy: &Arc<Policy>,
    now_ms: i64,
    memo: &mut Memo,
) -> Result<ValidPlan, Rejection> {
    let Execute {
        call: _,
        request: _,
        session: _,
        budget_ms: _,
        policy: brokers_policy,
        grant: brokers_grant,
        plan,
    } = execute;
    let session = bearer(found)?;
    memo.session = Some(Arc::clone(&session));
    let entity = policy.schema().entity(plan.entity);
    memo.entity = entity.map(|entity| entity.name.clone());
    if brokers_policy != policy.hash() {
        let detail = "the broker decided by another policy";
        return Err(refused(Code::Unavailable, Advice::StalePolicy, detail));
    }
    let grant = policy
        .decide(&session.subject, plan)
        .map_err(|denied| denied_here(&denied, memo))?;
    memo.complexity = Some(grant.complexity());
    memo.rule = rules(&grant);
    if grant.digest() != brokers_grant {
        return Err(incident(
            Code::Forbidden,
            "the broker's grant differs under the same policy",
        ));
    }
    let plan = ValidPlan::of_grant(grant, policy.schema(), &mut Fresh::at(now_ms)).map_err(invalid_here)?;
    memo.keys = entity.map_or_else(Vec::new, |entity| keys(plan.action(), entity));
    Ok(plan)
}

/// When the worker stops working on a call: the caller's patience or the configured bound, whichever ends first.
pub fn control(budget_ms: u32, query_timeout: Duration) -> Arc<Control> {
    let budget = Duration::from_millis(u64::from(budget_ms.min(CALL_BUDGET_MS)));
    Arc::new(Control::within(budget.min(query_timeout)))
}

/// What is known of a call before it is judged.
pub fn memo(execute: &Execute) -> Memo {
    Memo {
        request: execute.request,
        session: None,
        method: execute.plan.action.name(),
        operation: execute.plan.action.operation(),
        entity: None,
        keys: Vec::new(),
        rule: None,
        complexity: None,
        since: Instant::now(),
    }
}

fn bearer(found: Found) -> Result<Arc<Session>, Rejection> {
    match found {
        Found::Live(session) => Ok(session),
        Found::Expired => Err(refused(
            Code::Unauthorized,
            Advice::Final,
            "the session's proof has ended",
        )),
        // An honest race: the worker ended the session while this plan was under way.
        Found::Closed => Err(refused(
            Code::Unauthorized,
            Advice::UnknownSession,
            "the session is closed",
        )),
        Found::NeverIssued => Err(incident(
            Code::Unauthorized,
            "a session handle that this channel never got",
        )),
    }
}

/// The broker ran the same function over the same policy, plan and principal: it can't have been granted what we deny.
fn denied_here(denied: &Denied, memo: &mut Memo) -> Rejection {
    memo.rule = denied.rule().map(str::to_owned);
    let detail = denied.operator();
    if *denied.reason() == Reason::StaleSubject {
        return refused(Code::Unavailable, Advice::StalePolicy, &detail);
    }
    let (code, _) = denied.client();
    incident(
        code,
        &format!("denied here under the broker's own policy: {detail}"),
    )
}

fn invalid_here(invalid: Invalid) -> Rejection {
    let detail = invalid.to_string();
    match invalid {
        Invalid::UnknownEntity | Invalid::UnknownColumn => incident(Code::Malformed, &detail),
        Invalid::Fields(fields) => {
            Rejection::Refused(Refusal::of_fields(Code::Invalid, fields, Advice::Final, detail))
        }
        Invalid::TooLarge(_) => refused(Code::TooLarge, Advice::Final, &detail),
        Invalid::Ceiling(_) => refused(Code::Forbidden, Advice::Final, &detail),
        // Refused and not an incident: a client may be able to make an honest broker send these, and must not be able to
        // close the channel for everyone.
        Invalid::WrongType | Invalid::NotUnique | Invalid::Contradiction(_) => {
            refused(Code::Malformed, Advice::Final, &detail)
        }
    }
}

fn refused(code: Code, advice: Advice, detail: &str) -> Rejection {
    Rejection::Refused(Refusal::new(code, advice, detail))
}

fn incident(code: Code, detail: &str) -> Rejection {
    Rejection::Incident(Refusal::new(code, Advice::Final, detail))
}

fn rules(grant: &Grant) -> Option<String> {
    let rules: Vec<&str> = grant.rules().collect();
    (!rules.is_empty()).then(|| rules.join(","))
}

/// Primary keys that the plan names or makes. Values of other columns are no business of the audit's.
fn keys(action: &Action, entity: &Entity) -> Vec<String> {
    let of_target = |target: &Target| {
        let Target { column, value } = target;
        if *column == entity.key {
            named(value).into_iter().collect()
        } else {
            Vec::new()
        }
    };
    let of_row = |row: &[Assignment]| {
        row.iter()
            .find(|one| one.column == entity.key)
            .and_then(|one| named(&one.value))
    };
    match action {
        Action::Read {
            target,
            projection: _,
        }
        | Action::Update {
            target,
            values: _,
            projection: _,
        }
        | Action::Delete { target }
        | Action::Upsert {
            target,
            create: _,
            update: _,
            projection: _,
        } => of_target(target),
        Action::Create {
            values,
            projection: _,
        } => of_row(values).into_iter().collect(),
        Action::CreateMany { rows } => rows.iter().filter_map(|row| of_row(row)).take(KEYS).collect(),
        Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::UpdateMany { .. }
        | Action::DeleteMany { .. } => Vec::new(),
    }
}

fn named(key: &Value) -> Option<String> {
    match key {
        Value::Uuid(bytes) => Some(uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()),
        Value::Text(text) | Value::Decimal(text) => Some(crate::ledger::cut(text, 128).to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Timestamp(_)
        | Value::Json(_)
        | Value::Bytes(_) => None,
    }
}
