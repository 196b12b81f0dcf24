//! Typed value → what is wrong with it. Both ends run it: after parsing JSON, and in the worker on what the channel carried.

use dbal_shared::fault::Fault;
use dbal_shared::value::Value;

use crate::column::Column;

impl Column {
    /// What is wrong with a value for this column: type, null, and all rules of the field.
    pub fn faults_of(&self, _value: &Value) -> Option<Fault> {
        Some(Fault::Unknown)
    }
}
