//! A row as PostgreSQL's `row_to_json` writes it: an object of its columns in their order, of which several may have one name.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

/// The cells of a row, each as the JSON that stands there.
#[derive(Debug)]
pub(in crate::database) struct JsonRow<'a>(Vec<&'a RawValue>);

impl<'a> JsonRow<'a> {
    /// Takes an object apart.
    pub(in crate::database) fn read(text: &'a str) -> Result<Self, Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let cells = json.deserialize_map(Cells)?;
        json.end()?;
        Ok(Self(cells))
    }

    /// The JSON of a cell.
    pub(in crate::database) fn json(&self, nth: usize) -> Option<&'a str> {
        self.0.get(nth).map(|cell| cell.get())
    }

    /// What a cell holds.
    pub(in crate::database) fn get<T: DeserializeOwned>(&self, nth: usize) -> Result<T, Error> {
        let json = self.json(nth).ok_or_else(|| Error::custom("a column too few"))?;
        serde_json::from_str(json)
    }
}

struct Cells;

impl<'de> Visitor<'de> for Cells {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut cells = Vec::new();
        while let Some((IgnoredAny, cell)) = members.next_entry::<IgnoredAny, &'de RawValue>()? {
            cells.push(cell);
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_their_digits_and_their_doubles() {
        let text = r#"{"b":1,"a":"x","b":12345678901234567890.5,"j": {"a" : [1]} ,"?column?":null}"#;
        let row = JsonRow::read(text).unwrap();
        let cells: Vec<&str> = (0..5).filter_map(|nth| row.json(nth)).collect();
        assert_eq!(
            cells,
            ["1", "\"x\"", "12345678901234567890.5", "{\"a\" : [1]}", "null"]
        );
        assert_eq!(row.get::<Option<String>>(4).unwrap(), None);
        assert_eq!(row.get::<u32>(0).unwrap(), 1);
        assert!(row.get::<u32>(5).is_err());
    }

    #[test]
    fn what_is_no_row_is_an_error_however_deep_it_is() {
        for text in ["", "[]", "null", "{", "{\"a\":}", "{\"a\":1}x"] {
            assert!(JsonRow::read(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(JsonRow::read(&deep).is_ok());
    }
}
