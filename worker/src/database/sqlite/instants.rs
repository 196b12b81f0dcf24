//! Times in tables of others: texts as SQLite's own functions and its `CURRENT_TIMESTAMP` write them (sqlite.org/lang_datefunc.html), in
//! UTC where they name no zone. They are read and compared by the millisecond.

use std::cmp::Ordering;

use dbal_schema::time;

/// Where the time of day begins, behind the date.
const DATE_BYTES: usize = 10;
/// Bytes of `HH:MM` and of `:SS`.
const MINUTE_BYTES: usize = 5;
const SECOND_BYTES: usize = 3;

/// Milliseconds since 1970 of `YYYY-MM-DD( |T)HH:MM(:SS(.f…)?)?(Z|±HH:MM)?`; none of anything else, a date alone included.
pub(super) fn read(text: &str) -> Option<i64> {
    // As the worker writes them.
    if let Some(ms) = time::datetime_ms(text) {
        return Some(ms);
    }
    let (date, rest) = text.split_at_checked(DATE_BYTES)?;
    let rest = rest.strip_prefix([' ', 'T', 't'])?;
    let (minute, rest) = rest.split_at_checked(MINUTE_BYTES)?;
    let (second, rest) = match rest.split_at_checked(SECOND_BYTES) {
        Some((second, rest)) if second.starts_with(':') => (second, rest),
        Some(_) | None => (":00", rest),
    };
    let has_zone = rest.ends_with(['Z', 'z']) || rest.contains(['+', '-']);
    let zone = if has_zone { "" } else { "Z" };
    time::datetime_ms(&format!("{date}T{minute}{second}{rest}{zone}"))
}

/// Orders times by the instant, and anything else by its bytes behind them: a collation must order whatever a file holds.
pub(in crate::database) fn compare(left: &str, right: &str) -> Ordering {
    match (read(left), read(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_whatever_form_it_was_written() {
        let expected = time::datetime_ms("2024-01-15T10:30:00.000Z");
        for text in [
            "2024-01-15 10:30:00",
            "2024-01-15T10:30:00",
            "2024-01-15 10:30",
            "2024-01-15 10:30:00.000999",
            "2024-01-15 10:30:00Z",
            "2024-01-15 12:30:00+02:00",
            "2024-01-15T05:30-05:00",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in [
            "",
            "2024-01-15",
            "10:30:00",
            "2024-01-15  10:30:00",
            "2024-02-30 10:30:00",
            "2024-01-15 24:30:00",
            "2024-01-15 10:3",
            "1705314600",
            "2024-01-15 10:30:00 UTC",
            "ä024-01-15 10:30:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_ordered_by_the_instant_and_all_else_stands_behind() {
        let sorted = [
            "0001-01-01 00:00:00",
            "2024-01-15 12:30:00+02:30",
            "2024-01-15T10:30:00.000Z",
            "2024-01-15 10:30:00.001",
            "9999-12-31T23:59:59.999Z",
            "2024-01-15",
            "x",
        ];
        for (nth, left) in sorted.iter().enumerate() {
            for (mth, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), nth.cmp(&mth), "{left} {right}");
            }
        }
        assert_eq!(
            compare("2024-01-15 10:30:00", "2024-01-15T10:30:00.0005Z"),
            Ordering::Equal
        );
    }
}
