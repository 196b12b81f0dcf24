//! JSON as clients write it: key order kept, duplicate keys refused, depth bounded, integers exact.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::JSON_DEPTH;

/// Members of an object whose names are compared one by one.
const FEW_NAMES: usize = 16;

/// A JSON value. `serde`'s own map types drop order or the first of two equal keys; both matter here.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// A string without NUL.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order written.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value under `key`, if this is an object that has it.
    pub fn member(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::Unsigned(_)
            | Json::Float(_)
            | Json::Text(_)
            | Json::List(_) => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// What a message calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Int(_) | Json::Unsigned(_) => "an integer",
            Json::Float(_) => "a number",
            Json::Text(_) => "a string",
            Json::List(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(JSON_DEPTH).deserialize(deserializer)
    }
}

/// Levels that may still be opened.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn deeper<E: Error>(self) -> Result<Level, E> {
        let left = self.0.checked_sub(1);
        left.map(Level)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {JSON_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Unsigned(value), Json::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        // PostgreSQL's text cannot hold NUL and C strings end at it: one meaning everywhere, so nowhere.
        if value.contains('\0') {
            return Err(E::custom(
                "a string holds the character U+0000, which is not allowed",
            ));
        }
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let level = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(level)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let level = self.deeper()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut names = Names::default();
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(A::Error::custom(
                    "a key holds the character U+0000, which is not allowed",
                ));
            }
            if !names.is_new(&key, &members) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` stands twice in one object"
                )));
            }
            let value = map.next_value_seed(level)?;
            members.push((key, value));
        }
        Ok(Json::Object(members))
    }
}

/// Which names an object has so far. A set only where there are many: to look through a few takes less than to hash one.
#[derive(Default)]
struct Names {
    many: HashSet<String>,
}

impl Names {
    /// Whether none of the members has this name.
    fn is_new(&mut self, name: &str, members: &[(String, Json)]) -> bool {
        if members.len() < FEW_NAMES {
            return members.iter().all(|(known, _)| known != name);
        }
        if self.many.is_empty() {
            self.many.extend(members.iter().map(|(known, _)| known.clone()));
        }
        self.many.insert(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_keep_their_order_and_integers_their_digits() {
        let json = parse(r#"{"b":9007199254740993,"a":[null,1.5,"x"]}"#).unwrap();
        let Json::Object(members) = &json else {
            panic!("{json:?}")
        };
        assert_eq!(members[0], ("b".to_owned(), Json::Int(9_007_199_254_740_993)));
        assert_eq!(members[1].0, "a");
    }

    #[test]
    fn what_other_parsers_let_pass_is_refused() {
        for (text, part) in [
            (r#"{"a":1,"a":2}"#, "stands twice"),
            ("\"\\u0000\"", "U+0000"),
            (r#"{"\u0000":1}"#, "U+0000"),
            (r#""\ud800""#, "hex escape"),
            ("1e999", "out of range"),
            ("NaN", "expected"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_found_however_many_stand_between() {
        for between in 0..3 * FEW_NAMES {
            let members = |twice: usize| {
                let keys = (0..between)
                    .chain([twice])
                    .map(|nth| format!(r#""k{nth}":{nth}"#));
                format!(r#"{{"k{between}":0,{}}}"#, keys.collect::<Vec<_>>().join(","))
            };
            assert!(parse(&members(between + 1)).is_ok(), "{between}");
            assert!(
                parse(&members(between)).unwrap_err().contains("stands twice"),
                "{between}"
            );
            if let Some(last) = between.checked_sub(1) {
                assert!(
                    parse(&members(last)).unwrap_err().contains("stands twice"),
                    "{between}"
                );
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(JSON_DEPTH)).is_ok());
        assert!(
            parse(&nested(JSON_DEPTH + 1))
                .unwrap_err()
                .contains("nested deeper")
        );
        assert!(parse(&nested(100_000)).is_err());
    }
}
