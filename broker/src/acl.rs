//! What of a plan its caller may have. The only file that makes `Authorized`, and nothing less goes to the worker.

use dbal_policy::{Denied, Grant, Policy, Subject, Vocabulary};
use dbal_schema::{ColumnSet, Entity};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::{ColumnId, Digest, RequestId};
use dbal_shared::message::Failure;
use dbal_shared::plan::{Action, Assignment, Plan};
use dbal_shared::value::Value;

use crate::auth::Authenticated;
use crate::call::{Together, Wanted};
use crate::channel::Session;
use crate::respond::{self, FieldFault, INVALID_CURSOR, Kind, Refusal};

/// Proof that the policy grants what an authenticated caller wants: one plan, or all plans of a transaction.
pub struct Authorized {
    call: Authenticated<Wanted>,
    grants: Vec<Grant>,
    policy: Digest,
}

/// Asks the policy. The worker asks its own again; what is refused here never troubles it.
pub fn authorize(call: Authenticated<Wanted>) -> Result<Authorized, Refusal> {
    let (policy, subject) = (call.caller().policy(), call.caller().subject());
    let plans = call.asks().plans();
    let is_one = match call.asks() {
        Wanted::One(_) => true,
        Wanted::Together(_) => false,
    };
    let placed = |at, refusal: Refusal| if is_one { refusal } else { refusal.at_call(at) };
    let grants = policy
        .decide_together(subject, plans.iter().cloned())
        .map_err(|(at, denied)| {
            let entity = plans.get(at).and_then(|plan| policy.schema().entity(plan.entity));
            placed(at, refusal(&denied, entity))
        })?;
    for (at, grant) in grants.iter().enumerate() {
        complete(policy, subject, grant).map_err(|refusal| placed(at, refusal))?;
    }
    Ok(Authorized {
        policy: policy.hash(),
        call,
        grants,
    })
}

fn refusal(denied: &Denied, entity: Option<&Entity>) -> Refusal {
    let (code, reason) = denied.client();
    let fields = denied.fields().iter().filter_map(|(column, fault)| {
        let column = entity?.column(*column)?;
        Some(FieldFault::new(column.name.clone(), fault))
    });
    let rule = denied.rule().map(str::to_owned);
    let refusal = if reason == code.message() {
        Refusal::silent(code, "")
    } else {
        Refusal::new(Kind::Code(code), reason)
    };
    refusal
        .with_fields(fields.collect())
        .for_operator(denied.operator(), rule)
}

/// With the policy's forced values in place, is the row whole and valid? The worker checks it again; asking here saves
/// it the trouble.
fn complete(policy: &Policy, subject: &Subject, grant: &Grant) -> Result<(), Refusal> {
    let Plan { entity, action } = &grant.terms().plan;
    let entity = policy
        .schema()
        .entity(*entity)
        .ok_or_else(|| Refusal::silent(Code::Internal, "a plan for an entity outside the schema"))?;
    let faults: Vec<(ColumnId, Fault)> = match action {
        Action::Create { values, .. } => entity.faults_of_create(values),
        Action::Update { values, .. } | Action::UpdateMany { values, .. } => entity.faults_of_update(values),
        Action::CreateMany { rows } => rows.iter().flat_map(|row| entity.faults_of_create(row)).collect(),
        Action::Upsert { create, update, .. } => {
            let mut faults = entity.faults_of_create(create);
            faults.extend(entity.faults_of_update(update));
            faults
        }
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => Vec::new(),
    };
    // What an earlier call will answer is of the right type, or the policy would not have granted it; the rules of the
    // field are for the worker to check, once the value is there.
    let later = referring(action);
    let faults: Vec<(ColumnId, Fault)> = faults
        .into_iter()
        .filter(|(column, fault)| !(matches!(fault, Fault::WrongType { .. }) && later.contains(*column)))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let known = policy
        .vocabulary(subject, entity.id, action.operation())
        .map(|vocabulary| known(&vocabulary))
        .unwrap_or_default();
    Err(Refusal::invalid(respond::name_fields(entity, &known, &faults)))
}

/// Columns that get what an earlier call answers.
fn referring(action: &Action) -> ColumnSet {
    let rows: Vec<&[Assignment]> = match action {
        Action::Create { values, .. } | Action::Update { values, .. } | Action::UpdateMany { values, .. } => {
            vec![values]
        }
        Action::CreateMany { rows } => rows.iter().map(Vec::as_slice).collect(),
        Action::Upsert { create, update, .. } => vec![create, update],
        Action::Read { .. }
        | Action::FindFirst { .. }
        | Action::List { .. }
        | Action::Count { .. }
        | Action::Aggregate { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => Vec::new(),
    };
    rows.into_iter()
        .flatten()
        .filter(|one| matches!(one.value, Value::Earlier(_)))
        .map(|one| one.column)
        .collect()
}

/// Columns whose names the caller may hear.
fn known(vocabulary: &Vocabulary) -> ColumnSet {
    let Vocabulary {
        readable,
        writable,
        preset,
        is_permitted: _,
    } = vocabulary;
    readable.union(writable).union(preset)
}

impl Authorized {
    /// Whose call it is, as the worker knows it.
    pub fn session(&self) -> &Session {
        self.call.caller().session()
    }

    /// What the caller wants, not yet narrowed: the worker narrows it by its own policy.
    pub fn wanted(&self) -> &Wanted {
        self.call.asks()
    }

    /// What the broker's policy grants of it, plan by plan.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// What the policy counts for all of it.
    pub fn complexity(&self) -> u32 {
        let each = self.grants.iter().map(Grant::complexity);
        each.fold(0, u32::saturating_add)
    }

    /// What the worker says of the call, in words that this caller may know.
    pub fn failed(&self, failure: &Failure, request: RequestId) -> Refusal {
        let policy = self.call.caller().policy();
        let plan = match self.wanted() {
            Wanted::One(plan) => Some(plan),
            Wanted::Together(Together { isolation: _, plans }) => {
                failure.at.and_then(|at| plans.get(usize::from(at)))
            }
        };
        let Some(Plan { entity, action }) = plan else {
            return respond::failed(failure, None, request);
        };
        let vocabulary = policy.vocabulary(self.call.caller().subject(), *entity, action.operation());
        match (policy.schema().entity(*entity), vocabulary) {
            (Some(entity), Some(vocabulary)) => {
                let refusal = respond::failed(failure, Some((entity, &known(&vocabulary))), request);
                let is_paged = matches!(action, Action::List { cursor: Some(_), .. });
                if is_paged && failure.code == Code::Invalid {
                    // The only thing that a worker may find wrong with such a list.
                    refusal.with_fields(vec![FieldFault::text("cursor", INVALID_CURSOR)])
                } else {
                    refusal
                }
            }
            _ => Refusal::silent(Code::Internal, "a failure of an entity that nobody may know"),
        }
    }

    /// Hash of the policy that granted it.
    pub fn policy(&self) -> Digest {
        self.policy
    }
}
