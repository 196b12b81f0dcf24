//! What an action writes.

use dbal_shared::plan::{Action, Assignment};

/// The assignments of all rows that the action gives values for, an upsert's both halves included.
pub(super) fn assignments(action: &Action) -> impl Iterator<Item = &Assignment> {
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
    rows.into_iter().flatten()
}
