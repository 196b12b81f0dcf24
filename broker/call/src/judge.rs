//! What the policy makes of what is wanted: a grant for each plan, or the refusal that the caller hears.

use dbal_policy::{Asked, Denied, Grant, Policy, Reason, Subject, Vocabulary};
use dbal_schema::{ColumnSet, Entity};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Plan};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use super::Wanted;
use super::assignments::assignments;
use crate::refusal::{FieldFault, Kind, Refusal};

/// Asks the policy, as broker and tool alike do. The principal is who the subject was made of.
pub fn judge(
    policy: &Policy,
    principal: &Principal,
    subject: &Subject,
    wanted: &Wanted,
) -> Result<Vec<Grant>, Refusal> {
    let plans = wanted.plans();
    let is_one = match wanted {
        Wanted::One(_) => true,
        Wanted::Together(_) => false,
    };
    let placed = |at, refusal: Refusal| if is_one { refusal } else { refusal.at_call(at) };
    let grants = policy
        .decide_together(subject, plans.iter().cloned())
        .map_err(|(at, denied)| {
            let plan = plans.get(at);
            let entity = plan.and_then(|plan| policy.schema().entity(plan.entity));
            let refused = refusal(&denied, entity);
            let refused = match plan {
                Some(plan) => {
                    let asked = Asked {
                        entity: plan.entity,
                        operation: denied.operation(),
                        plan: Some(plan),
                        refused: ColumnSet::new(),
                    };
                    let tried = policy.tried(principal, subject, &asked);
                    refused.about(plan.entity, denied.operation()).with_tried(tried)
                }
                None => refused,
            };
            placed(at, refused)
        })?;
    for (at, grant) in grants.iter().enumerate() {
        complete(policy, subject, grant).map_err(|refusal| placed(at, refusal))?;
    }
    Ok(grants)
}

/// Columns of an entity that a refusal says do not exist for the caller: for the audit, which knows which of them do.
pub fn refused_columns(refusal: &Refusal, entity: &Entity) -> ColumnSet {
    let unknown = Fault::Unknown.to_string();
    let fields = refusal
        .details()
        .map_or(&[][..], |details| details.fields.as_slice());
    fields
        .iter()
        .filter(|fault| fault.error == unknown)
        .filter_map(|fault| {
            let name = fault.field.rsplit('.').next()?;
            Some(entity.column_by_name(name)?.id)
        })
        .collect()
}

fn refusal(denied: &Denied, entity: Option<&Entity>) -> Refusal {
    let (code, reason) = denied.client();
    let fields = denied.fields().iter().filter_map(|(column, fault)| {
        let column = entity?.column(*column)?;
        Some(FieldFault::new(column.name.clone(), fault))
    });
    let rule = denied.rule().map(str::to_owned);
    let refusal = if let Reason::TooComplex { cost, max } = denied.reason() {
        Refusal::new(Kind::Code(code), reason).costing(**cost, *max)
    } else if reason == code.message() {
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
    Err(Refusal::invalid(name_fields(entity, &known, &faults)))
}

/// Columns that get what an earlier call answers.
fn referring(action: &Action) -> ColumnSet {
    assignments(action)
        .filter(|one| matches!(one.value, Value::Earlier(_)))
        .map(|one| one.column)
        .collect()
}

/// Columns whose names the caller may hear.
pub fn known(vocabulary: &Vocabulary) -> ColumnSet {
    let Vocabulary {
        readable,
        writable,
        preset,
        is_permitted: _,
    } = vocabulary;
    readable.union(writable).union(preset)
}

/// Faults by the fields' names; columns that the caller may not know stay unnamed.
pub fn name_fields(entity: &Entity, known: &ColumnSet, faults: &[(ColumnId, Fault)]) -> Vec<FieldFault> {
    let named = faults.iter().filter_map(|(column, fault)| {
        let column = entity
            .column(*column)
            .filter(|column| known.contains(column.id))?;
        Some(FieldFault::new(column.name.clone(), fault))
    });
    named.collect()
}
