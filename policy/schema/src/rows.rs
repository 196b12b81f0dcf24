//! Whole rows: what a create or an update says, and all that is wrong with it at once.

use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::plan::Assignment;

use crate::column_set::ColumnSet;
use crate::entity::Entity;

/// What a row of values is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new row.
    Create,
    /// New values of an existing row.
    Update,
}

impl Entity {
    /// The values of a JSON object, or everything that is wrong with it.
    pub fn values_from_json(
        &self,
        _json: &Json,
        _visible: &ColumnSet,
        _mode: Write,
    ) -> Result<Vec<Assignment>, Vec<(String, Fault)>> {
        Err(Vec::new())
    }

    /// What is wrong with a new row, after presets are put in.
    pub fn faults_of_create(&self, _values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        Vec::new()
    }

    /// What is wrong with an update.
    pub fn faults_of_update(&self, _values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        Vec::new()
    }
}
