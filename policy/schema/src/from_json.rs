//! JSON → typed value, exactly: no rounding, no guessing.

use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::value::Value;

use crate::column::Column;

/// Most digits of a decimal.
pub const DECIMAL_DIGITS: usize = 1_000;

impl Column {
    /// The value of a field that is written: the type and all rules of the field. Null only where the column takes it.
    pub fn value_from_json(&self, json: &Json) -> Result<Value, Fault> {
        let value = if matches!(json, Json::Null) { Value::Null } else { self.operand_from_json(json)? };
        self.faults_of(&value).map_or(Ok(value), Err)
    }

    /// A value that is compared with the column: its type, without the field's rules. Null is refused; `IS NULL` is
    /// another predicate.
    pub fn operand_from_json(&self, _json: &Json) -> Result<Value, Fault> {
        Err(Fault::Unknown)
    }
}
