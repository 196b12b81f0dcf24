//! Whole rows: what a create or an update says, and all that is wrong with it at once.

use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::plan::Assignment;

use crate::column::Column;
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
    /// The values of a JSON object, in its order, or everything that is wrong with them. Fields outside `visible` are
    /// answered like fields that don't exist. On create an explicit null of an optional field is the same as none.
    /// Which columns must be there is not asked here, since presets come later: [`Entity::faults_of_create`].
    pub fn values_from_json(
        &self,
        json: &Json,
        visible: &ColumnSet,
        mode: Write,
    ) -> Result<Vec<Assignment>, Vec<(String, Fault)>> {
        let Json::Object(members) = json else {
            let expected = "an object of fields and values".to_owned();
            return Err(vec![("data".to_owned(), Fault::WrongType { expected })]);
        };
        let mut values = Vec::with_capacity(members.len());
        let mut faults = Vec::new();
        for (name, json) in members {
            match self.value_of_member(name, json, visible, mode) {
                Ok(Some(assignment)) => values.push(assignment),
                Ok(None) => {}
                Err(fault) => faults.push((name.clone(), fault)),
            }
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(faults)
        }
    }

    /// What is wrong with a new row, after presets are put in and before generated columns and defaults are.
    pub fn faults_of_create(&self, values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        let (given, mut faults) = self.faults_of_values(values, |_| None);
        let missing = self.missing_on_create(&given);
        faults.extend(missing.iter().map(|column| (column, Fault::Required)));
        faults
    }

    /// What is wrong with the new values of an existing row, after presets are put in.
    pub fn faults_of_update(&self, values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        let (_, faults) = self.faults_of_values(values, |column| self.fault_of_changing(column));
        faults
    }

    /// Columns that a new row must name and that are not in `given`.
    pub fn missing_on_create(&self, given: &ColumnSet) -> ColumnSet {
        self.columns
            .iter()
            .filter(|column| column.is_required && column.generated.is_none() && column.default.is_none())
            .map(|column| column.id)
            .filter(|column| !given.contains(*column))
            .collect()
    }

    fn value_of_member(
        &self,
        name: &str,
        json: &Json,
        visible: &ColumnSet,
        mode: Write,
    ) -> Result<Option<Assignment>, Fault> {
        let column = self
            .column_by_name(name)
            .filter(|column| visible.contains(column.id))
            .ok_or(Fault::Unknown)?;
        match mode {
            Write::Create if matches!(json, Json::Null) && !column.is_required => return Ok(None),
            Write::Create => {}
            Write::Update => {
                if let Some(fault) = self.fault_of_changing(column) {
                    return Err(fault);
                }
            }
        }
        let value = column.value_from_json(json)?;
        Ok(Some(Assignment {
            column: column.id,
            value,
        }))
    }

    /// The primary key names the row in audit records and foreign keys, so it stays, whatever the file says.
    fn fault_of_changing(&self, column: &Column) -> Option<Fault> {
        (column.is_immutable || column.id == self.key).then_some(Fault::Immutable)
    }

    /// The columns that are given, and what is wrong with them. A column that is given twice is a fault: the database
    /// would take either.
    fn faults_of_values(
        &self,
        values: &[Assignment],
        first: impl Fn(&Column) -> Option<Fault>,
    ) -> (ColumnSet, Vec<(ColumnId, Fault)>) {
        let mut given = ColumnSet::new();
        let mut faults = Vec::new();
        for Assignment { column: id, value } in values {
            let fault = match self.column(*id) {
                None => Some(Fault::Unknown),
                Some(_) if given.contains(*id) => Some(Fault::WrongType {
                    expected: "given once".to_owned(),
                }),
                Some(column) => first(column).or_else(|| column.faults_of(value)),
            };
            given.insert(*id);
            faults.extend(fault.map(|fault| (*id, fault)));
        }
        (given, faults)
    }
}
