//! From a plan that nobody believes to a job that may run: session, policy, our own decision, its digest, the schema's
//! ceilings. Each step is refused by itself; what an honest broker can't have sent is an incident.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_policy::{Denied, Grant, Policy, Reason};
use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::ids::{Digest, RequestId};
use dbal_shared::limits::{BATCH_CALLS, CALL_BUDGET_MS};
use dbal_shared::message::{Advice, Execute, Isolation, Transact, Wanted};
use dbal_shared::plan::{Action, Assignment, Operation, Plan, Target};
use dbal_shared::principal::Principal;
use dbal_shared::trace::Trace;
use dbal_shared::value::Value;
use dbal_sql::{Invalid, Places, ValidPlan};

use crate::generate::Fresh;
use crate::job::{Control, Refusal, Task, What};
use crate::ledger::Memo;
use crate::once::{Once, Request};
use crate::session::{Found, Session};
use crate::together::{Step, Transaction};

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
    places: &Arc<dyn Places>,
    now_ms: i64,
    memo: &mut Memo,
) -> Result<Task, Rejection> {
    let Execute {
        call: _,
        request: _,
        session: _,
        budget_ms: _,
        policy: brokers_policy,
        grant: brokers_grant,
        once,
        trace: _,
        plan,
    } = execute;
    let session = bearer(found)?;
    memo.session = Some(Arc::clone(&session));
    let entity = policy.schema().entity(plan.entity);
    memo.judged = Some((Arc::clone(policy), plan.entity));
    same_policy(brokers_policy, policy)?;
    // Only a name is worth knowing for what it stands.
    let mut request = once.as_ref().map(|_| Request::new(Isolation::default()));
    if let Some(request) = &mut request {
        request.add(&plan);
    }
    let grant = policy
        .decide(&session.subject, plan)
        .map_err(|denied| denied_here(&denied, memo))?;
    memo.complexity = Some(grant.complexity());
    memo.rule = rules(&grant);
    same_grant(&grant, brokers_grant)?;
    if let Some(request) = &mut request {
        request.granted(&grant);
    }
    let plan = valid(grant, policy, places, now_ms).map_err(invalid_here)?;
    memo.keys = entity.map_or_else(Vec::new, |entity| keys(plan.action(), entity));
    let what = What::One(Box::new(plan));
    let once = named(once.zip(request), &session.principal, now_ms)?;
    Ok(Task { what, once })
}

/// The name of a write that is to be done once, if it has one, and what it stands for.
fn named(
    name: Option<(String, Request)>,
    principal: &Principal,
    now_ms: i64,
) -> Result<Option<Box<Once>>, Rejection> {
    let Some((name, request)) = name else {
        return Ok(None);
    };
    let once = Once::new(&name, principal, request, now_ms);
    once.map(|once| Some(Box::new(once)))
        .map_err(|detail| refused(Code::Malformed, Advice::Final, detail))
}

/// Judges a transaction: each of its plans as if it came alone. What refers to an earlier answer is judged again when that
/// is known.
pub fn judge_together(
    transact: Transact,
    found: Found,
    policy: &Arc<Policy>,
    places: &Arc<dyn Places>,
    now_ms: i64,
    memo: &mut Memo,
) -> Result<Task, Rejection> {
    let Transact {
        call: _,
        request: _,
        session: _,
        budget_ms: _,
        policy: brokers_policy,
        isolation,
        once,
        trace: _,
        calls,
    } = transact;
    let mut request = once.as_ref().map(|_| Request::new(isolation));
    if let Some(request) = &mut request {
        for wanted in &calls {
            request.add(&wanted.plan);
        }
    }
    let session = bearer(found)?;
    memo.session = Some(Arc::clone(&session));
    if calls.is_empty() || calls.len() > BATCH_CALLS {
        return Err(incident(Code::Malformed, "a transaction of no calls or too many"));
    }
    for (call, wanted) in memo.calls.iter_mut().zip(&calls) {
        call.session = Some(Arc::clone(&session));
        call.judged = Some((Arc::clone(policy), wanted.plan.entity));
    }
    same_policy(brokers_policy, policy)?;
    let plans = calls.iter().map(|wanted| wanted.plan.clone());
    let grants = policy
        .decide_together(&session.subject, plans)
        .map_err(|(at, denied)| denied_here(&denied, memo).at(at))?;
    let mut steps = Vec::with_capacity(calls.len());
    for (at, (grant, Wanted { grant: brokers, plan })) in grants.into_iter().zip(calls).enumerate() {
        same_grant(&grant, brokers).map_err(|rejection| rejection.at(at))?;
        if let Some(request) = &mut request {
            request.granted(&grant);
        }
        let known = memo.calls.get_mut(at);
        if let Some(known) = known {
            known.complexity = Some(grant.complexity());
            known.rule = rules(&grant);
        }
        steps.push(if plan.action.refers_to().is_empty() {
            let plan = valid(grant, policy, places, now_ms);
            let plan = plan.map_err(|invalid| invalid_here(invalid).at(at))?;
            if let (Some(known), Some(entity)) = (memo.calls.get_mut(at), plan.entity()) {
                known.keys = keys(plan.action(), entity);
            }
            Step::Ready(plan)
        } else {
            Step::Waiting(plan)
        });
    }
    let once = named(once.zip(request), &session.principal, now_ms)?;
    let transaction = Transaction::new(
        isolation,
        steps,
        Arc::clone(policy),
        Arc::clone(places),
        session,
        now_ms,
    );
    let what = What::Together(Box::new(transaction));
    Ok(Task { what, once })
}

/// Judges a plan of a transaction now that nothing in it is to be known later. Nobody else has judged it in this form, so
/// what is wrong with it is nobody's incident.
pub fn judge_again(
    plan: Plan,
    policy: &Arc<Policy>,
    places: &Arc<dyn Places>,
    session: &Session,
    now_ms: i64,
) -> Result<(ValidPlan, Option<Arc<str>>), Refusal> {
    let grant = policy.decide(&session.subject, plan).map_err(|denied| {
        let (code, _) = denied.client();
        Refusal::of_fields(code, denied.fields().to_vec(), Advice::Final, denied.operator())
    })?;
    let rule = rules(&grant);
    match valid(grant, policy, places, now_ms) {
        Ok(plan) => Ok((plan, rule)),
        Err(invalid) => match invalid_here(invalid) {
            Rejection::Refused(refusal) | Rejection::Incident(refusal) => Err(refusal),
        },
    }
}

/// The plan, complete and within the ceilings. A cursor that means nothing here is refused, and no incident: clients send
/// them.
fn valid(grant: Grant, policy: &Policy, places: &Arc<dyn Places>, now_ms: i64) -> Result<ValidPlan, Invalid> {
    ValidPlan::of_grant(grant, policy.schema(), &mut Fresh::at(now_ms))?.with_places(places)
}

/// Between a reload here and one there, broker and worker decide differently, and neither is to blame.
fn same_policy(brokers: Digest, policy: &Policy) -> Result<(), Rejection> {
    if brokers == policy.hash() {
        return Ok(());
    }
    let detail = "the broker decided by another policy";
    Err(refused(Code::Unavailable, Advice::StalePolicy, detail))
}

fn same_grant(grant: &Grant, brokers: Digest) -> Result<(), Rejection> {
    if grant.digest() == brokers {
        return Ok(());
    }
    Err(incident(
        Code::Forbidden,
        "the broker's grant differs under the same policy",
    ))
}

/// When the worker stops working on a call: the caller's patience or the configured bound, whichever ends first.
pub fn control(budget_ms: u32, query_timeout: Duration) -> Arc<Control> {
    let budget = Duration::from_millis(u64::from(budget_ms.min(CALL_BUDGET_MS)));
    Arc::new(Control::within(budget.min(query_timeout)))
}

/// What is known of a call before it is judged.
pub fn memo(execute: &Execute) -> Memo {
    let action = &execute.plan.action;
    memo_of(
        execute.request,
        execute.trace,
        action.name(),
        Some(action.operation()),
    )
}

/// The same of a transaction.
pub fn memo_together(transact: &Transact) -> Memo {
    // No more than an honest broker sends: a record is written for each.
    let calls = transact.calls.iter().take(BATCH_CALLS);
    let one = |wanted: &Wanted| {
        let action = &wanted.plan.action;
        memo_of(
            transact.request,
            transact.trace,
            action.name(),
            Some(action.operation()),
        )
    };
    Memo {
        calls: calls.map(one).collect(),
        ..memo_of(transact.request, transact.trace, "transaction", None)
    }
}

fn memo_of(
    request: RequestId,
    trace: Option<Trace>,
    method: &'static str,
    operation: Option<Operation>,
) -> Memo {
    Memo {
        request,
        session: None,
        method,
        operation,
        keys: Vec::new(),
        rule: None,
        judged: None,
        complexity: None,
        rows: None,
        note: None,
        since: Instant::now(),
        database_since: None,
        trace,
        calls: Vec::new(),
    }
}

impl Rejection {
    /// The same, said of one call of a transaction.
    fn at(self, call: usize) -> Self {
        match self {
            Rejection::Refused(refusal) => Rejection::Refused(refusal.at(call)),
            Rejection::Incident(refusal) => Rejection::Incident(refusal.at(call)),
        }
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
        Found::Unconfirmed => Err(refused(
            Code::Unavailable,
            Advice::Retry,
            "the session could not be looked up again",
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
    memo.rule = denied.rule().map(Arc::from);
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
        Invalid::Cursor => refused(Code::Invalid, Advice::Final, &detail),
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

fn rules(grant: &Grant) -> Option<Arc<str>> {
    match grant.rule_ids() {
        [] => None,
        [one] => Some(Arc::clone(one)),
        several => Some(several.join(",").into()),
    }
}

/// Primary keys that the plan names or makes. Values of other columns are no business of the audit's.
pub(crate) fn keys(action: &Action, entity: &Entity) -> Vec<String> {
    let of_target = |target: &Target| {
        let Target { column, value } = target;
        if *column == entity.key {
            key_name(value).into_iter().collect()
        } else {
            Vec::new()
        }
    };
    let of_row = |row: &[Assignment]| {
        row.iter()
            .find(|one| one.column == entity.key)
            .and_then(|one| key_name(&one.value))
    };
    match action {
        Action::Read {
            target,
            projection: _,
            includes: _,
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
        | Action::Aggregate { .. }
        | Action::UpdateMany { .. }
        | Action::DeleteMany { .. } => Vec::new(),
    }
}

fn key_name(key: &Value) -> Option<String> {
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
        | Value::Bytes(_)
        | Value::Earlier(_) => None,
    }
}
