//! What our dialect table expects SQLite to know: the order of decimals and of times, text without case, text in text, and exact sums.

use std::cmp::Ordering;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::{instants, sums};

/// Registers them on a connection. Every connection needs its own.
pub(in crate::database) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("dbal_decimal", compare_decimals)?;
    connection.create_collation("dbal_time", instants::compare)?;
    // SQLite's own `lower` knows ASCII only. Innocuous: schema objects may use it although the schema is not trusted.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("dbal_fold", 1, flags, |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.map(|text| text.to_lowercase()))
    })?;
    // INVARIANT: std searches in time linear in both texts. No statement is interrupted within one call.
    connection.create_scalar_function("dbal_contains", 2, flags, |context| {
        let (text, part) = (
            context.get_raw(0).as_str_or_null()?,
            context.get_raw(1).as_str_or_null()?,
        );
        Ok(text.zip(part).map(|(text, part)| text.contains(part)))
    })?;
    connection.create_aggregate_function("dbal_sum", 1, flags, sums::OfIntegers)?;
    connection.create_aggregate_function("dbal_sum_of_decimals", 1, flags, sums::OfDecimals)
}

/// Orders canonical decimals (see `Value::Decimal`) by value, and anything else by its bytes behind them: a collation
/// must order whatever a file holds.
pub(in crate::database) fn compare_decimals(left: &str, right: &str) -> Ordering {
    match (Decimal::parse(left), Decimal::parse(right)) {
        (Some(left), Some(right)) => left.compare(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            is_negative: text.starts_with('-') && !is_zero,
            whole,
            fraction,
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare_sizes(other),
            (true, true) => other.compare_sizes(self),
        }
    }

    /// Without leading zeros the longer whole part is the larger; fractions compare like words.
    fn compare_sizes(&self, other: &Self) -> Ordering {
        (self.whole.len(), self.whole, self.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn contains(text: Option<&str>, part: &str) -> Option<bool> {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let asked = (text, part);
        connection
            .query_row("SELECT dbal_contains(?1, ?2)", asked, |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn a_text_is_found_in_a_text_and_nothing_is_known_of_null() {
        assert_eq!(contains(Some("Größe"), "öß"), Some(true));
        assert_eq!(contains(Some("Größe"), "OSS"), Some(false));
        assert_eq!(contains(Some("100%"), "%"), Some(true));
        assert_eq!(contains(Some(""), ""), Some(true));
        assert_eq!(contains(None, ""), None);
    }

    /// `instr` compares 450,000 bytes at each of 450,000 places, which takes it five seconds or more.
    #[test]
    fn a_search_made_to_be_slow_is_not() {
        let text = "a".repeat(900_000);
        let part = format!("{}b", "a".repeat(450_000));
        let began = Instant::now();
        assert_eq!(contains(Some(&text), &part), Some(false));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[test]
    fn decimals_are_ordered_by_value() {
        let sorted = [
            "-10.5", "-10", "-9.99", "-0.01", "0", "0.001", "0.01", "0.5", "9", "10", "10.1", "x",
        ];
        for (nth, left) in sorted.iter().enumerate() {
            for (mth, right) in sorted.iter().enumerate() {
                assert_eq!(compare_decimals(left, right), nth.cmp(&mth), "{left} {right}");
            }
        }
        for (left, right) in [("1.50", "1.5"), ("007", "7"), ("-0", "0"), (".5", "0.5")] {
            assert_eq!(compare_decimals(left, right), Ordering::Equal, "{left} {right}");
        }
    }
}
