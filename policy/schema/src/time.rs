//! Days and points in time ⇄ text, strictly: RFC 3339 and nothing that merely looks like it.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::civil::Date;
use jiff::{ToSpan, Unit};

/// 0001-01-01T00:00:00.000Z. Earlier years have no agreed spelling.
pub(crate) const MIN_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z. RFC 3339 §1: four digits for the year.
pub(crate) const MAX_MS: i64 = 253_402_300_799_999;
/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Milliseconds since the epoch of `YYYY-MM-DDTHH:MM:SS(.f…)?(Z|±HH:MM)`; finer digits are cut off. Leap seconds are
/// refused: no database keeps them.
pub fn datetime_ms(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    if !has_shape(time.as_bytes(), b"T00:00:00") && !has_shape(time.as_bytes(), b"t00:00:00") {
        return None;
    }
    let (hour, minute, second) = (
        number(time, 1..3, 23)?,
        number(time, 4..6, 59)?,
        number(time, 7..9, 59)?,
    );
    let (fraction_ms, zone) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let seconds = (hour.checked_mul(3_600)?)
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?;
    i64::from(civil_days(date)?)
        .checked_mul(DAY_MS)?
        .checked_add(seconds.checked_mul(1_000)?)?
        .checked_add(fraction_ms)?
        .checked_sub(offset_ms(zone)?)
        .filter(|ms| is_datetime(*ms))
}

/// Whether a point in time lies within the years that have a spelling.
pub fn is_datetime(ms: i64) -> bool {
    (MIN_MS..=MAX_MS).contains(&ms)
}

/// Days since the epoch of `YYYY-MM-DD`, or of a point in time that is a midnight in UTC: what JavaScript's `Date` makes
/// of a day.
pub fn date_days(text: &str) -> Option<i32> {
    if text.len() == 10 {
        return civil_days(text);
    }
    let ms = datetime_ms(text).filter(|ms| ms.rem_euclid(DAY_MS) == 0)?;
    i32::try_from(ms.div_euclid(DAY_MS)).ok()
}

/// Whether a day lies within the years that have a spelling.
pub fn is_date(days: i32) -> bool {
    i64::from(days).checked_mul(DAY_MS).is_some_and(is_datetime)
}

/// Writes `2024-01-15T10:30:00.000Z`. What has no such spelling (only a database that others write can hold it) is
/// written as the number of milliseconds, so that it is neither lost nor wrong.
pub fn push_datetime(ms: i64, out: &mut String) {
    let days = i32::try_from(ms.div_euclid(DAY_MS))
        .ok()
        .filter(|_| is_datetime(ms));
    let Some(date) = days.and_then(day) else {
        push(out, format_args!("{ms}"));
        return;
    };
    let ms = ms.rem_euclid(DAY_MS);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    push_day(date, out);
    push(
        out,
        format_args!("T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z"),
    );
}

/// Writes `2024-01-15`; a day without such a spelling as the number of days.
pub fn push_date(days: i32, out: &mut String) {
    match day(days) {
        Some(date) => push_day(date, out),
        None => push(out, format_args!("{days}")),
    }
}

fn day(days: i32) -> Option<Date> {
    if !is_date(days) {
        return None;
    }
    EPOCH.checked_add(days.days()).ok()
}

fn push_day(date: Date, out: &mut String) {
    push(
        out,
        format_args!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
    );
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = out.write_fmt(text);
}

/// Days since the epoch of `YYYY-MM-DD`, if that day exists.
fn civil_days(text: &str) -> Option<i32> {
    if !has_shape(text.as_bytes(), b"0000-00-00") {
        return None;
    }
    let year = i16::try_from(number(text, 0..4, 9_999)?)
        .ok()
        .filter(|year| *year > 0)?;
    let month = i8::try_from(number(text, 5..7, 12)?).ok()?;
    let day = i8::try_from(number(text, 8..10, 31)?).ok()?;
    let date = Date::new(year, month, day).ok()?;
    Some(EPOCH.until((Unit::Day, date)).ok()?.get_days())
}

/// Milliseconds of the digits after the point, and what follows them. Nine digits are nanoseconds; more are refused.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, rest) = text.split_at_checked(digits)?;
    if !(1..=9).contains(&digits) {
        return None;
    }
    let ms = fraction
        .bytes()
        .chain(*b"00")
        .take(3)
        .try_fold(0_i64, |ms, digit| {
            ms.checked_mul(10)?
                .checked_add(i64::from(digit.checked_sub(b'0')?))
        })?;
    Some((ms, rest))
}

/// Milliseconds by which a zone is ahead of UTC.
fn offset_ms(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let is_ahead = has_shape(zone.as_bytes(), b"+00:00");
    if !is_ahead && !has_shape(zone.as_bytes(), b"-00:00") {
        return None;
    }
    let minutes = number(zone, 1..3, 23)?
        .checked_mul(60)?
        .checked_add(number(zone, 4..6, 59)?)?;
    let ms = minutes.checked_mul(60_000)?;
    if is_ahead { Some(ms) } else { ms.checked_neg() }
}

/// The number that stands at `place`, if it is at most `max`.
fn number(text: &str, place: Range<usize>, max: i64) -> Option<i64> {
    text.get(place)?.parse().ok().filter(|number| *number <= max)
}

/// Whether `text` has a digit wherever `shape` has `0` and the same byte elsewhere.
fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    text.len() == shape.len()
        && text.iter().zip(shape).all(|(byte, wanted)| {
            if *wanted == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == wanted
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(ms: i64) -> String {
        let mut out = String::new();
        push_datetime(ms, &mut out);
        out
    }

    #[test]
    fn rfc_3339_is_read_with_any_offset() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-01-15T10:30:00.000Z", 1_705_314_600_000),
            ("2024-01-15T12:30:00+02:00", 1_705_314_600_000),
            ("2024-01-15T10:29:59.999999999-00:00", 1_705_314_599_999),
            ("1969-12-31T23:59:59.9995Z", -1),
            ("2024-01-15t05:00:00.5-05:30", 1_705_314_600_500),
            ("0001-01-01T00:00:00Z", MIN_MS),
            ("9999-12-31T23:59:59.999Z", MAX_MS),
        ] {
            assert_eq!(datetime_ms(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_rfc_3339_is_refused() {
        for text in [
            "",
            "2024-01-15",
            "2024-01-15T10:30Z",
            "2024-01-15T10:30:00",
            "2024-01-15T10:30:00.Z",
            "2024-01-15T10:30:00.0123456789Z",
            "2024-01-15T10:30:00+02",
            "2024-01-15T10:30:00+02:00[Europe/Berlin]",
            "2024-W03-1T10:30:00Z",
            "+012024-01-15T10:30:00Z",
            "2024-02-30T10:30:00Z",
            "2024-01-15T24:00:00Z",
            "2024-01-15T10:61:00Z",
            "2016-12-31T23:59:60Z",
            "2024-01-15T10:30:00+24:00",
            "2024-01-15T10:30:00.1",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2024-01-15T10:30:00Z ",
            "２024-01-15T10:30:00Z",
        ] {
            assert_eq!(datetime_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_may_come_as_midnight_but_not_as_noon() {
        assert_eq!(date_days("1970-01-02"), Some(1));
        assert_eq!(date_days("2024-02-29"), Some(19_782));
        assert_eq!(date_days("2024-02-29T00:00:00.000Z"), Some(19_782));
        assert_eq!(date_days("0001-01-01"), Some(-719_162));
        for text in [
            "2023-02-29",
            "2024-02-29T12:00:00Z",
            "0000-01-01",
            "24-02-29",
            "2024-2-9",
            "20240229",
        ] {
            assert_eq!(date_days(text), None, "{text}");
        }
    }

    #[test]
    fn what_has_no_spelling_is_written_as_its_number() {
        assert_eq!(text_of(MAX_MS + 1), (MAX_MS + 1).to_string());
        assert_eq!(text_of(i64::MIN), i64::MIN.to_string());
        let mut out = String::new();
        push_date(i32::MAX, &mut out);
        assert_eq!(out, i32::MAX.to_string());
    }

    proptest! {
        #[test]
        fn writing_and_reading_a_point_in_time_agree(ms in MIN_MS..=MAX_MS) {
            prop_assert_eq!(datetime_ms(&text_of(ms)), Some(ms));
        }

        #[test]
        fn writing_and_reading_a_day_agree(ms in MIN_MS..=MAX_MS) {
            let days = i32::try_from(ms.div_euclid(DAY_MS)).unwrap();
            let mut out = String::new();
            push_date(days, &mut out);
            prop_assert_eq!(date_days(&out), Some(days));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "\\PC{0,40}") {
            let _ = (datetime_ms(&text), date_days(&text));
        }
    }
}
