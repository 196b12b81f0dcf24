//! Typed value → JSON text, straight into the answer's buffer: no tree in between.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dbal_shared::json::Json;
use dbal_shared::value::Value;
use serde::de::IgnoredAny;

use crate::column::Column;
use crate::time;

/// 2^53 − 1: the last integer up to which JavaScript's numbers are exact. Beyond it integers leave as strings.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Appends `value` as JSON. Any value of any type has a text, so a row that others wrote is shown, not dropped.
pub fn push_value(column: &Column, value: &Value, out: &mut String) {
    // INVARIANT: the policy never projects such a column. Should it ever fail in that, the secret still stays here.
    let value = if column.is_never_exposed {
        &Value::Null
    } else {
        value
    };
    push_plain(value, out);
}

/// Appends `text` as a JSON string.
pub fn push_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => push(out, format_args!("\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends `json` in its compact form, members in their order.
pub fn push_json(json: &Json, out: &mut String) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => push(out, format_args!("{value}")),
        Json::Int(value) => push(out, format_args!("{value}")),
        Json::Unsigned(value) => push(out, format_args!("{value}")),
        Json::Float(value) => push_float(*value, out),
        Json::Text(text) => push_text(text, out),
        Json::List(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                push_json(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (nth, (key, value)) in members.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                push_text(key, out);
                out.push(':');
                push_json(value, out);
            }
            out.push('}');
        }
    }
}

/// Appends a value as its JSON, whatever its column.
pub fn push_plain(value: &Value, out: &mut String) {
    match value {
        // INVARIANT: rows hold values, never what an earlier call will answer.
        Value::Null | Value::Earlier(_) => out.push_str("null"),
        Value::Bool(value) => push(out, format_args!("{value}")),
        Value::Int(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => push(out, format_args!("{value}")),
        Value::Int(value) => push(out, format_args!("\"{value}\"")),
        Value::Float(value) => push_float(*value, out),
        Value::Decimal(text) | Value::Text(text) => push_text(text, out),
        Value::Uuid(bytes) => push(
            out,
            format_args!("\"{}\"", uuid::Uuid::from_bytes(*bytes).as_hyphenated()),
        ),
        Value::Date(days) => {
            out.push('"');
            time::push_date(*days, out);
            out.push('"');
        }
        Value::Timestamp(ms) => {
            out.push('"');
            time::push_datetime(*ms, out);
            out.push('"');
        }
        Value::Json(text) => out.push_str(text),
        Value::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
    }
}

/// Whether a text is one JSON value, however deep, and nothing beside it. Where a database keeps JSON as any text, others may have
/// put there what would become a part of the answer around it.
pub fn is_value(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn push_float(value: f64, out: &mut String) {
    if value.is_finite() {
        // Not every database keeps the sign of zero, and nobody can ask for it: adding zero takes it away.
        let value = value + 0.0;
        // Debug is the shortest text that reads back as the same number, with an exponent where it is long.
        push(out, format_args!("{value:?}"));
    } else {
        // JSON has no infinity; only a database that others write can hold one.
        out.push_str("null");
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        push_plain(value, &mut out);
        out
    }

    #[test]
    fn values_leave_as_the_protocol_says() {
        for (value, wanted) in [
            (Value::Null, "null"),
            (Value::Int(9_007_199_254_740_991), "9007199254740991"),
            (Value::Int(9_007_199_254_740_992), "\"9007199254740992\""),
            (Value::Int(i64::MIN), "\"-9223372036854775808\""),
            (Value::Float(1.5), "1.5"),
            (Value::Float(1e300), "1e300"),
            (Value::Float(-0.0), "0.0"),
            (Value::Float(f64::NAN), "null"),
            (Value::Decimal("12.50".to_owned()), "\"12.50\""),
            (
                Value::Timestamp(1_705_314_600_000),
                "\"2024-01-15T10:30:00.000Z\"",
            ),
            (
                Value::Text("\u{0}\u{1f}\u{7f}\"\\/\n\r\t".to_owned()),
                "\"\\u0000\\u001f\u{7f}\\\"\\\\/\\n\\r\\t\"",
            ),
            (Value::Date(0), "\"1970-01-01\""),
            (Value::Bytes(vec![0, 255]), "\"AP8=\""),
            (
                Value::Uuid([0x11; 16]),
                "\"11111111-1111-1111-1111-111111111111\"",
            ),
            (Value::Json("{\"b\":1,\"a\":[]}".to_owned()), "{\"b\":1,\"a\":[]}"),
        ] {
            assert_eq!(written(&value), wanted);
        }
    }

    #[test]
    fn what_is_never_exposed_is_not_written_even_when_asked_for() {
        let hidden = crate::fixture::column("type: string, never_expose: true");
        let mut out = String::new();
        push_value(&hidden, &Value::Text("secret".to_owned()), &mut out);
        assert_eq!(out, "null");
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_itself(text in any::<String>()) {
            let read: String = serde_json::from_str(&written(&Value::Text(text.clone()))).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn any_finite_float_reads_back_as_itself(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            let read: f64 = written(&Value::Float(value)).parse().unwrap();
            prop_assert_eq!(read.to_bits(), value.to_bits());
        }
    }
}
