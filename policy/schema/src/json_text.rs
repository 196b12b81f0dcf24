//! Typed value → JSON text, straight into the answer's buffer.

use dbal_shared::value::Value;

use crate::column::Column;

/// Appends `value` as JSON.
pub fn push_value(_column: &Column, _value: &Value, out: &mut String) {
    out.push_str("null");
}

/// Appends `text` as a JSON string.
pub fn push_text(_text: &str, _out: &mut String) {}
