//! Whether a database keeps the values of a plan as they are. One that has fewer digits would round a number, to one that others equal;
//! so such a value is refused before anything is sent, whoever may write it, and its field is named.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::session::Session;
use super::trouble::Trouble;

/// Refuses a plan with other values, in what it writes or in what it looks for. What it asks of linked rows is found by whoever sends it.
pub(super) fn whole<S: Session>(session: &S, plan: &ValidPlan) -> Result<(), Trouble> {
    let mut lost: Vec<ColumnId> = Vec::new();
    let mut look = |column: ColumnId, value: &Value| {
        if !session.keeps(value) && !lost.contains(&column) {
            lost.push(column);
        }
    };
    match plan.action() {
        Action::Create { values, .. } => written(values, &mut look),
        Action::Update { target, values, .. } => {
            look(target.column, &target.value);
            written(values, &mut look);
        }
        Action::CreateMany { rows } => rows.iter().for_each(|values| written(values, &mut look)),
        Action::Upsert { create, update, .. } => {
            written(create, &mut look);
            written(update, &mut look);
        }
        Action::UpdateMany { filter, values } => {
            sought(filter, &mut look);
            written(values, &mut look);
        }
        Action::DeleteMany { filter }
        | Action::FindFirst { filter, .. }
        | Action::List { filter, .. }
        | Action::Count { filter }
        | Action::Aggregate { filter, .. } => sought(filter, &mut look),
        Action::Read { target, .. } | Action::Delete { target } => look(target.column, &target.value),
    }
    match plan.entity() {
        Some(entity) if !lost.is_empty() => Err(refused(entity, lost)),
        Some(_) | None => Ok(()),
    }
}

fn refused(entity: &Entity, columns: Vec<ColumnId>) -> Trouble {
    let fault = || Fault::Format {
        expected: "a number with fewer digits: the database has no more".to_owned(),
    };
    let fields = columns.into_iter().map(|column| (column, fault())).collect();
    Trouble::of_fields(entity, Code::Invalid, fields)
}

fn written(values: &[Assignment], look: &mut impl FnMut(ColumnId, &Value)) {
    for Assignment { column, value } in values {
        look(*column, value);
    }
}

fn sought(filter: &Predicate, look: &mut impl FnMut(ColumnId, &Value)) {
    match filter {
        Predicate::Compare { column, op: _, value } => look(*column, value),
        Predicate::In { column, values } => values.iter().for_each(|value| look(*column, value)),
        Predicate::Between { column, low, high } => {
            look(*column, low);
            look(*column, high);
        }
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| sought(part, look)),
        Predicate::Not(inner) => sought(inner, look),
        Predicate::True
        | Predicate::False
        | Predicate::CompareColumns { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { column: _ }
        | Predicate::Related { .. } => {}
    }
}
