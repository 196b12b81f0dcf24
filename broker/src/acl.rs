//! What of a plan its caller may have. The only file that makes `Authorized`, and nothing less goes to the worker.

use dbal_policy::{Grant, Policy, Subject, Vocabulary};
use dbal_schema::{ColumnSet, Entity};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::{ColumnId, Digest, RequestId};
use dbal_shared::message::Failure;
use dbal_shared::plan::{Action, Plan};

use crate::auth::Authenticated;
use crate::channel::Session;
use crate::respond::{self, FieldFault, Kind, Refusal};

/// Proof that the policy grants a plan to an authenticated caller.
pub struct Authorized {
    call: Authenticated<Plan>,
    grant: Grant,
    policy: Digest,
}

/// Asks the policy. The worker asks its own again; what is refused here never troubles it.
pub fn authorize(call: Authenticated<Plan>) -> Result<Authorized, Refusal> {
    let policy = call.caller().policy();
    let plan = call.asks();
    let entity = policy
        .schema()
        .entity(plan.entity)
        .ok_or_else(|| Refusal::silent(Code::Internal, "a plan for an entity outside the schema"))?;
    let grant = policy
        .decide(call.caller().subject(), plan.clone())
        .map_err(|denied| {
            let (code, reason) = denied.client();
            let fields = denied.fields().iter().filter_map(|(column, fault)| {
                let column = entity.column(*column)?;
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
        })?;
    complete(policy, call.caller().subject(), entity, &grant)?;
    Ok(Authorized {
        policy: policy.hash(),
        call,
        grant,
    })
}

/// With the policy's forced values in place, is the row whole and valid? The worker checks it again; asking here saves
/// it the trouble.
fn complete(policy: &Policy, subject: &Subject, entity: &Entity, grant: &Grant) -> Result<(), Refusal> {
    let action = &grant.terms().plan.action;
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
        | Action::Delete { .. }
        | Action::DeleteMany { .. } => Vec::new(),
    };
    if faults.is_empty() {
        return Ok(());
    }
    let known = policy
        .vocabulary(subject, entity.id, action.operation())
        .map(|vocabulary| known(&vocabulary))
        .unwrap_or_default();
    Err(Refusal::invalid(respond::name_fields(entity, &known, &faults)))
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
    pub fn plan(&self) -> &Plan {
        self.call.asks()
    }

    /// What the broker's policy grants of it.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What the worker says of the call, in words that this caller may know.
    pub fn failed(&self, failure: &Failure, request: RequestId) -> Refusal {
        let policy = self.call.caller().policy();
        let plan = self.plan();
        let operation = plan.action.operation();
        let vocabulary = policy.vocabulary(self.call.caller().subject(), plan.entity, operation);
        match (policy.schema().entity(plan.entity), vocabulary) {
            (Some(entity), Some(vocabulary)) => {
                respond::failed(failure, entity, &known(&vocabulary), request)
            }
            _ => Refusal::silent(Code::Internal, "a failure of an entity that nobody may know"),
        }
    }

    /// Hash of the policy that granted it.
    pub fn policy(&self) -> Digest {
        self.policy
    }
}
