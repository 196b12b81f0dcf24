//! Typed value → what is wrong with it. Both ends run it: after parsing JSON, and in the worker on what the channel
//! carried, which nobody believes.

use std::cmp::Ordering;

use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::value::Value;

use crate::column::{Column, ColumnType, Rules};
use crate::{decimal, time};

/// RFC 5321 §4.5.3.1.3: a path has at most 256 octets, two of which are its angle brackets.
const EMAIL_BYTES: usize = 254;
/// RFC 5321 §4.5.3.1.1
const EMAIL_LOCAL_BYTES: usize = 64;
/// RFC 1035 §2.3.4
const DOMAIN_LABEL_BYTES: usize = 63;
/// Longest cuid2; shorter than any index's limit.
const CUID_BYTES: std::ops::RangeInclusive<usize> = 2..=32;

impl Column {
    /// What is wrong with a value for this column: null, its type, or a rule of the field.
    pub fn faults_of(&self, value: &Value) -> Option<Fault> {
        if matches!(value, Value::Null) {
            return (!self.is_nullable).then_some(Fault::Required);
        }
        self.kind.fault_of(value).or_else(|| self.rules.fault_of(value))
    }

    /// What is wrong with a value that is compared with this column: null or its type.
    pub fn fault_of_operand(&self, value: &Value) -> Option<Fault> {
        match self.kind {
            // A search for an address that can't exist finds nothing; that is an answer, not a fault.
            ColumnType::Email | ColumnType::Cuid => ColumnType::String.fault_of(value),
            ColumnType::Uuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Enum
            | ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Datetime
            | ColumnType::Json
            | ColumnType::Bytes => self.kind.fault_of(value),
        }
    }
}

impl ColumnType {
    /// The smallest and the largest number of a type of whole ones; none for all others.
    pub fn whole_numbers(self) -> Option<(i64, i64)> {
        match self {
            ColumnType::Integer => Some((i32::MIN.into(), i32::MAX.into())),
            ColumnType::Bigint => Some((i64::MIN, i64::MAX)),
            ColumnType::Uuid
            | ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Enum
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Datetime
            | ColumnType::Json
            | ColumnType::Bytes => None,
        }
    }

    /// Why `value` isn't one of this type, in the one form that [`Value`] documents.
    fn fault_of(self, value: &Value) -> Option<Fault> {
        let is_text = |text: &str| !text.contains('\0');
        let is_valid = match (self, value) {
            (ColumnType::String | ColumnType::Text | ColumnType::Enum, Value::Text(text)) => is_text(text),
            (ColumnType::Cuid, Value::Text(text)) => is_cuid(text),
            (ColumnType::Email, Value::Text(text)) => is_text(text) && is_email(text),
            (ColumnType::Integer, Value::Int(value)) => i32::try_from(*value).is_ok(),
            (ColumnType::Float, Value::Float(value)) => value.is_finite(),
            (ColumnType::Decimal, Value::Decimal(text)) => decimal::canonical(text).as_ref() == Some(text),
            (ColumnType::Date, Value::Date(days)) => time::is_date(*days),
            (ColumnType::Datetime, Value::Timestamp(ms)) => time::is_datetime(*ms),
            // It is spliced into answers as it is, so it must be JSON even if a taken broker sent it.
            (ColumnType::Json, Value::Json(text)) => serde_json::from_str::<Json>(text).is_ok(),
            (ColumnType::Uuid, Value::Uuid(_))
            | (ColumnType::Bigint, Value::Int(_))
            | (ColumnType::Boolean, Value::Bool(_))
            | (ColumnType::Bytes, Value::Bytes(_)) => true,
            (
                _,
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Decimal(_)
                | Value::Text(_)
                | Value::Uuid(_)
                | Value::Date(_)
                | Value::Timestamp(_)
                | Value::Json(_)
                | Value::Bytes(_)
                | Value::Earlier(_),
            ) => {
                return Some(Fault::WrongType {
                    expected: self.expected().to_owned(),
                });
            }
        };
        let expected = || match (self, value) {
            (_, Value::Text(text)) if !is_text(text) => "text without the character U+0000",
            _ => self.expected(),
        };
        (!is_valid).then(|| Fault::Format {
            expected: expected().to_owned(),
        })
    }
}

impl Rules {
    fn fault_of(&self, value: &Value) -> Option<Fault> {
        let Rules {
            min_length,
            max_length,
            min,
            max,
            pattern,
            values,
        } = self;
        if let Some(length) = length(value) {
            if let Some(min) = min_length.filter(|min| length < *min) {
                return Some(Fault::TooShort { min });
            }
            if let Some(max) = max_length.filter(|max| length > *max) {
                return Some(Fault::TooLong { max });
            }
        }
        if let Some(min) = min.as_ref().filter(|min| !is_ordered(&min.value, value)) {
            return Some(Fault::TooSmall {
                min: min.text.clone(),
            });
        }
        if let Some(max) = max.as_ref().filter(|max| !is_ordered(value, &max.value)) {
            return Some(Fault::TooLarge {
                max: max.text.clone(),
            });
        }
        if let Value::Text(text) = value {
            if !values.is_empty() && !values.contains(text) {
                return Some(Fault::NotInList {
                    allowed: values.clone(),
                });
            }
            // INVARIANT: the regex crate matches in linear time, so no text can hold a thread.
            if pattern.as_ref().is_some_and(|pattern| !pattern.0.is_match(text)) {
                return Some(Fault::Pattern);
            }
        }
        None
    }
}

/// Characters of a text, octets of bytes.
fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal(_)
        | Value::Uuid(_)
        | Value::Date(_)
        | Value::Timestamp(_)
        | Value::Json(_)
        | Value::Earlier(_) => return None,
    };
    Some(u64::try_from(length).unwrap_or(u64::MAX))
}

/// `left <= right`, exactly. False where the two can't be compared, so that a broken bound refuses instead of letting pass.
pub(crate) fn is_ordered(left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => {
            Some(left.cmp(right))
        }
        (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => Some(decimal::compare(left, right)),
        _ => None,
    };
    order.is_some_and(Ordering::is_le)
}

fn is_cuid(text: &str) -> bool {
    CUID_BYTES.contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Whether it can be an address at all: `local@domain.tld`, in one pass. Whether it exists only a message to it can tell.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain =
        |part: char| !part.is_whitespace() && !part.is_control() && !"()<>[]:;@\\,\"".contains(part);
    let is_label = |label: &str| {
        (1..=DOMAIN_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|part| part == '-' || part.is_alphanumeric())
    };
    text.len() <= EMAIL_BYTES
        && (1..=EMAIL_LOCAL_BYTES).contains(&local.len())
        && local.chars().all(is_plain)
        && local.split('.').all(|atom| !atom.is_empty())
        && domain.contains('.')
        && domain.split('.').all(is_label)
}
