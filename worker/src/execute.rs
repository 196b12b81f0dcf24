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

/// What became of a plan.
#[derive(Debug)]
pub enum Judged {
    /// It may run.
    Valid(ValidPlan),
    /// It may not; the channel goes on.
    Refused(Refusal),
    /// It can't come from an honest broker: the channel ends.
    Incident(Refusal),
}

/// Judges a call. `memo` takes in what becomes known of it on the way.
pub fn judge(execute: Execute, found: Found, policy: &Arc<Policy>, now_ms: i64, memo: &mut Memo) -> Judged {
    let Execute {
        call: _,
        request: _,
        session: _,
        budget_ms: _,
        policy: brokers_policy,
        grant: brokers_grant,
        plan,
    } = execute;
    let session = match bearer(found) {
        Ok(session) => session,
        Err(judged) => return judged,
    };
    memo.session = Some(Arc::clone(&session));
    let entity = policy.schema().entity(plan.entity);
    memo.entity = entity.map(|entity| entity.name.clone());
    if brokers_policy != policy.hash() {
        let detail = "the broker decided by another policy";
        return Judged::Refused(Refusal::new(Code::Unavailable, Advice::StalePolicy, detail));
    }
    let grant = match policy.decide(&session.subject, plan) {
        Ok(grant) => grant,
        Err(denied) => return denied_here(&denied, memo),
    };
    memo.complexity = Some(grant.complexity());
    memo.rule = rules(&grant);
    if grant.digest() != brokers_grant {
        return incident(
            Code::Forbidden,
            "the broker's grant differs under the same policy",
        );
    }
    match ValidPlan::of_grant(grant, policy.schema(), &mut Fresh::at(now_ms)) {
        Ok(plan) => {
            memo.keys = entity.map_or_else(Vec::new, |entity| keys(plan.action(), entity));
            Judged::Valid(plan)
        }
        Err(invalid) => invalid_here(invalid),
    }
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

fn bearer(found: Found) -> Result<Arc<Session>, Judged> {
    let refused = |advice, detail| Err(Judged::Refused(Refusal::new(Code::Unauthorized, advice, detail)));
    match found {
        Found::Live(session) => Ok(session),
        Found::Expired => refused(Advice::Final, "the session's proof has ended"),
        // An honest race: the worker ended the session while this plan was under way.
        Found::Closed => refused(Advice::UnknownSession, "the session is closed"),
        Found::NeverIssued => Err(incident(
            Code::Unauthorized,
            "a session handle that this channel never got",
        )),
    }
}

/// The broker ran the same function over the same policy, plan and principal: it can't have been granted what we deny.
fn denied_here(denied: &Denied, memo: &mut Memo) -> Judged {
    memo.rule = denied.rule().map(str::to_owned);
    let detail = denied.operator();
    if *denied.reason() == Reason::StaleSubject {
        return Judged::Refused(Refusal::new(Code::Unavailable, Advice::StalePolicy, detail));
    }
    let (code, _) = denied.client();
    incident(
        code,
        &format!("denied here under the broker's own policy: {detail}"),
    )
}

fn invalid_here(invalid: Invalid) -> Judged {
    let detail = invalid.to_string();
    match invalid {
        Invalid::UnknownEntity | Invalid::UnknownColumn => incident(Code::Malformed, &detail),
        Invalid::Fields(fields) => {
            Judged::Refused(Refusal::of_fields(Code::Invalid, fields, Advice::Final, detail))
        }
        Invalid::TooLarge(_) => Judged::Refused(Refusal::new(Code::TooLarge, Advice::Final, detail)),
        Invalid::Ceiling(_) => Judged::Refused(Refusal::new(Code::Forbidden, Advice::Final, detail)),
        // Refused and not an incident: a client may be able to make an honest broker send these, and must not be able to
        // close the channel for everyone.
        Invalid::WrongType | Invalid::NotUnique | Invalid::Contradiction(_) => {
            Judged::Refused(Refusal::new(Code::Malformed, Advice::Final, detail))
        }
    }
}

fn incident(code: Code, detail: &str) -> Judged {
    Judged::Incident(Refusal::new(code, Advice::Final, detail))
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
