//! The bytes that the client gets, and the one outcome from which metrics, log and audit are made.

mod refusal;
mod text;

pub use refusal::{Details, FieldFault, Kind, Refusal};
pub use text::{batch, error, result};

use dbal_schema::Entity;
use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;

/// Faults by the fields' names.
pub fn name_fields(entity: &Entity, faults: &[(ColumnId, Fault)]) -> Vec<FieldFault> {
    faults
        .iter()
        .filter_map(|(column, fault)| {
            let column = entity.column(*column)?;
            Some(FieldFault::new(column.name.clone(), fault))
        })
        .collect()
}
