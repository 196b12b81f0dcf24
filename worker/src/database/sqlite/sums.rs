//! Exact sums, in whatever order rows come. SQLite's own SUM fails where any sum on the way is beyond 64 bits, and adds texts of
//! decimals as floats.

use dbal_schema::canonical_decimal;
use rusqlite::functions::{Aggregate, Context};
use rusqlite::types::ValueRef;

use crate::database::exact_sum::Sum;

/// The sum of whole numbers, as text; NULL of none.
pub(super) struct OfIntegers;

impl Aggregate<Option<i128>, Option<String>> for OfIntegers {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<i128>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<i128>) -> rusqlite::Result<()> {
        match context.get_raw(0) {
            ValueRef::Null => {}
            ValueRef::Integer(number) => {
                // No table has so many rows that it would saturate.
                *sum = Some(sum.unwrap_or(0).saturating_add(number.into()));
            }
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => {
                return Err(refused("a value that is no whole number"));
            }
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<i128>>) -> rusqlite::Result<Option<String>> {
        Ok(sum.flatten().map(|sum| sum.to_string()))
    }
}

/// The sum of decimals, which are texts; NULL of none.
pub(super) struct OfDecimals;

impl Aggregate<Option<Sum>, Option<String>> for OfDecimals {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<Sum>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<Sum>) -> rusqlite::Result<()> {
        match context.get_raw(0) {
            ValueRef::Null => Ok(()),
            ValueRef::Text(text) => {
                let decimal = std::str::from_utf8(text).ok().and_then(canonical_decimal);
                let decimal = decimal.ok_or_else(|| refused("a text that is no decimal"))?;
                sum.get_or_insert_default().add(&decimal);
                Ok(())
            }
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => {
                Err(refused("a value that is no decimal"))
            }
        }
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<Sum>>) -> rusqlite::Result<Option<String>> {
        Ok(sum.flatten().map(Sum::text))
    }
}

fn refused(why: &'static str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(why.into())
}
