//! JSON → typed value, exactly: no rounding, no guessing.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::value::Value;
use uuid::Uuid;

use crate::column::{Column, ColumnType};
use crate::{decimal, json_text, time};

/// Base64 with or without padding, but never with stray bits: one text for one value.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Column {
    /// The value of a field that is written: its type and all rules of the field. Null only where the column takes it.
    pub fn value_from_json(&self, json: &Json) -> Result<Value, Fault> {
        let value = if matches!(json, Json::Null) {
            Value::Null
        } else {
            self.operand_from_json(json)?
        };
        self.faults_of(&value).map_or(Ok(value), Err)
    }

    /// A value that is compared with the column: its type, without the field's rules, since nothing is stored. Null is
    /// refused; `IS NULL` is another predicate.
    pub fn operand_from_json(&self, json: &Json) -> Result<Value, Fault> {
        self.kind
            .value_from_json(json)
            .ok_or_else(|| self.kind.mismatch(json))
    }
}

impl ColumnType {
    /// A value of this type, by no field's rules. Null is of none.
    pub fn value_from_json(self, json: &Json) -> Option<Value> {
        match self {
            ColumnType::Uuid => uuid(json),
            ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Enum => json.as_text().map(|text| Value::Text(text.to_owned())),
            ColumnType::Integer => whole(json)
                .filter(|value| i32::try_from(*value).is_ok())
                .map(Value::Int),
            ColumnType::Bigint => whole(json)
                .or_else(|| json.as_text().and_then(time::datetime_ms))
                .map(Value::Int),
            ColumnType::Float => float(json),
            ColumnType::Decimal => exact(json).map(Value::Decimal),
            ColumnType::Boolean => boolean(json),
            ColumnType::Date => json.as_text().and_then(time::date_days).map(Value::Date),
            ColumnType::Datetime => json.as_text().and_then(time::datetime_ms).map(Value::Timestamp),
            ColumnType::Json => document(json),
            ColumnType::Bytes => json
                .as_text()
                .and_then(|text| BASE64.decode(text).ok())
                .map(Value::Bytes),
        }
    }

    /// What a value of this type looks like in JSON, for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            ColumnType::Uuid => "a UUID like 0190a6e0-0000-7000-8000-000000000000",
            ColumnType::Cuid => "a CUID: 2 to 32 lower-case letters and digits, a letter first",
            ColumnType::String | ColumnType::Text | ColumnType::Enum => "a string",
            ColumnType::Email => "an email address",
            ColumnType::Integer => "an integer from -2147483648 to 2147483647",
            ColumnType::Bigint => "a 64-bit integer, as a number or a string",
            ColumnType::Float => "a number",
            ColumnType::Decimal => "a decimal number, best as a string",
            ColumnType::Boolean => "true or false",
            ColumnType::Date => "a date like 2024-01-15",
            ColumnType::Datetime => "a time like 2024-01-15T10:30:00.000Z",
            ColumnType::Json => "any JSON but null",
            ColumnType::Bytes => "base64",
        }
    }

    /// A string that can't be read is misspelt; anything else has the wrong type.
    fn mismatch(self, json: &Json) -> Fault {
        let expected = self.expected().to_owned();
        match (self, json) {
            (
                ColumnType::Uuid
                | ColumnType::Bigint
                | ColumnType::Decimal
                | ColumnType::Date
                | ColumnType::Datetime
                | ColumnType::Bytes,
                Json::Text(_),
            ) => Fault::Format { expected },
            _ => Fault::WrongType { expected },
        }
    }
}

fn uuid(json: &Json) -> Option<Value> {
    // The crate also reads URNs, braces and bare digits; two spellings of one key invite mistakes.
    let text = json.as_text().filter(|text| text.len() == 36)?;
    Uuid::try_parse(text)
        .ok()
        .map(|uuid| Value::Uuid(uuid.into_bytes()))
}

/// A whole number, or its decimal text as [`ToString`] writes it: no `+`, no blanks, no leading zeros.
fn whole(json: &Json) -> Option<i64> {
    match json {
        Json::Int(value) => Some(*value),
        Json::Text(text) => text.parse().ok().filter(|value: &i64| value.to_string() == *text),
        Json::Null | Json::Bool(_) | Json::Unsigned(_) | Json::Float(_) | Json::List(_) | Json::Object(_) => {
            None
        }
    }
}

fn float(json: &Json) -> Option<Value> {
    let value = match json {
        Json::Float(value) => *value,
        // Through text, since std converts 64-bit integers only by `as`; the nearest float is meant.
        Json::Int(value) => value.to_string().parse().ok()?,
        Json::Unsigned(value) => value.to_string().parse().ok()?,
        Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => return None,
    };
    Some(Value::Float(value)).filter(|_| value.is_finite())
}

fn exact(json: &Json) -> Option<String> {
    match json {
        Json::Text(text) => decimal::canonical(text),
        Json::Int(value) => Some(value.to_string()),
        Json::Unsigned(value) => Some(value.to_string()),
        // Display writes the shortest digits that name this float, without an exponent.
        Json::Float(value) => decimal::canonical(&value.to_string()),
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
    }
}

fn boolean(json: &Json) -> Option<Value> {
    if let Json::Bool(value) = json {
        Some(Value::Bool(*value))
    } else {
        None
    }
}

fn document(json: &Json) -> Option<Value> {
    if matches!(json, Json::Null) {
        return None;
    }
    let mut text = String::new();
    json_text::push_json(json, &mut text);
    Some(Value::Json(text))
}

#[cfg(test)]
mod tests;
