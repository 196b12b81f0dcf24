//! What of a plan its caller may have. The only file that makes `Authorized`, and nothing less goes to the worker.

use dbal_policy::{Grant, Policy};
use dbal_shared::fault::Code;
use dbal_shared::ids::Digest;
use dbal_shared::plan::{Action, Plan};
use dbal_schema::Entity;

use crate::auth::Authenticated;
use crate::channel::Session;
use crate::respond::{FieldFault, Kind, Refusal};

/// Proof that the policy grants a plan to an authenticated caller.
pub struct Authorized {
    call: Authenticated<Plan>,
    grant: Grant,
    policy: Digest,
}

/// Asks the policy. The worker asks its own again; what is refused here never troubles it.
pub fn authorize(policy: &Policy, call: Authenticated<Plan>) -> Result<Authorized, Refusal> {
    let plan = call.asks();
    let entity = policy
        .schema()
        .entity(plan.entity)
        .ok_or_else(|| Refusal::silent(Code::Internal, "a plan for an entity outside the schema"))?;
    let grant = policy.decide(call.caller().subject(), plan.clone()).map_err(|denied| {
        let (code, reason) = denied.client();
        let fields = denied.fields().iter().filter_map(|(column, fault)| {
            let column = entity.column(*column)?;
            Some(FieldFault::new(column.name.clone(), fault))
        });
        let rule = denied.rule().map(str::to_owned);
        Refusal::new(Kind::Code(code), reason)
            .with_fields(fields.collect())
            .for_operator(denied.operator(), rule)
    })?;
    complete(entity, &grant)?;
    Ok(Authorized {
        policy: policy.hash(),
        call,
        grant,
    })
}

/// With the policy's forced values in place, is the row whole and valid? The worker checks it again; asking here saves
/// it the trouble.
fn complete(entity: &Entity, grant: &Grant) -> Result<(), Refusal> {
    let faults = match &grant.terms().plan.action {
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
    Err(Refusal::invalid(crate::respond::name_fields(entity, &faults)))
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

    /// Hash of the policy that granted it.
    pub fn policy(&self) -> Digest {
        self.policy
    }
}
