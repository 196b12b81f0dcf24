//! Sums of decimals that no number type has room for.

use std::fmt::Write;

/// Decimal digits of one place.
const DIGITS: usize = 9;
const BASE: i128 = 1_000_000_000;

/// The digits of all rows, nine to a place, each place summed up by itself: nothing is carried, and so nothing rounded, before the
/// last row is there. It grows to the longest of the decimals, which is bounded (`DECIMAL_DIGITS`).
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// Before the point, the one beside it first.
    whole: Vec<i128>,
    /// Behind the point, the one beside it first.
    fraction: Vec<i128>,
}

impl Sum {
    /// Adds a canonical decimal.
    pub(super) fn add(&mut self, decimal: &str) {
        let (sign, digits) = match decimal.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, decimal),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.as_bytes().rchunks(DIGITS).map(|place| number(place, 0));
        add_places(&mut self.whole, sign, whole);
        let fraction = fraction.as_bytes().chunks(DIGITS);
        let fraction = fraction.map(|place| number(place, DIGITS.saturating_sub(place.len())));
        add_places(&mut self.fraction, sign, fraction);
    }

    /// The sum, as a canonical decimal.
    pub(super) fn text(mut self) -> String {
        let beyond = self.carry();
        let is_negative = beyond < 0;
        if is_negative {
            self.whole.push(beyond);
            for place in self.whole.iter_mut().chain(&mut self.fraction) {
                *place = place.saturating_neg();
            }
            self.carry();
        }
        let mut digits = String::from("0");
        for place in self.whole.iter().rev() {
            push(*place, &mut digits);
        }
        let point = digits.len();
        for place in &self.fraction {
            push(*place, &mut digits);
        }
        let (whole, fraction) = digits.split_at_checked(point).unwrap_or((&digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if is_negative { "-" } else { "" };
        [sign, whole, point, fraction].concat()
    }

    /// Makes each place nine digits; what is left beyond the last is below zero where the sum is.
    fn carry(&mut self) -> i128 {
        let mut carried: i128 = 0;
        let places = self.fraction.iter_mut().rev().chain(&mut self.whole);
        for place in places {
            let sum = place.saturating_add(carried);
            *place = sum.rem_euclid(BASE);
            carried = sum.div_euclid(BASE);
        }
        while carried > 0 {
            self.whole.push(carried.rem_euclid(BASE));
            carried = carried.div_euclid(BASE);
        }
        carried
    }
}

fn add_places(sums: &mut Vec<i128>, sign: i128, places: impl Iterator<Item = i128>) {
    for (nth, place) in places.enumerate() {
        let place = place.saturating_mul(sign);
        match sums.get_mut(nth) {
            Some(sum) => *sum = sum.saturating_add(place),
            None => sums.push(place),
        }
    }
}

fn push(place: i128, digits: &mut String) {
    // Writing into a string can't fail.
    let _ = write!(digits, "{place:09}");
}

/// At most nine digits, and as many zeros behind them as make them nine where that counts.
fn number(digits: &[u8], zeros: usize) -> i128 {
    let zeros = std::iter::repeat_n(&b'0', zeros);
    digits.iter().chain(zeros).fold(0, |number: i128, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i128::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use dbal_schema::canonical_decimal;
    use proptest::prelude::*;

    use super::*;

    fn sum(decimals: &[&str]) -> String {
        let mut sum = Sum::default();
        for decimal in decimals {
            sum.add(decimal);
        }
        sum.text()
    }

    #[test]
    fn decimals_add_up_exactly() {
        let nines = "9".repeat(1_100);
        let large = format!("1{}8", "9".repeat(1_099));
        for (decimals, expected) in [
            (&["0"][..], "0"),
            (&["0.1", "0.2"], "0.3"),
            (&["-0.5", "0.5"], "0"),
            (
                &["1", "-0.000000000000000000000000000001"],
                "0.999999999999999999999999999999",
            ),
            (
                &["-1", "0.000000000000000000000000000001"],
                "-0.999999999999999999999999999999",
            ),
            (&["999999999.999999999", "0.000000001"], "1000000000"),
            (&["-999999999.999999999", "-0.000000001"], "-1000000000"),
            (&["1000000000", "-1"], "999999999"),
            (
                &["-1000000000000000000000000000", "1"],
                "-999999999999999999999999999",
            ),
            (&["12345678901234567890.1", "0.02"], "12345678901234567890.12"),
            (&["-10", "-9.5"], "-19.5"),
            (&[&nines, &nines], &large),
        ] {
            assert_eq!(sum(decimals), expected, "{decimals:?}");
            let turned: Vec<&str> = decimals.iter().rev().copied().collect();
            assert_eq!(sum(&turned), expected, "{turned:?}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_arithmetic(numbers in prop::collection::vec(-1_000_000_000_000_000_000i64..1_000_000_000_000_000_000, 1..20)) {
            let text = |scaled: i128| {
                let (whole, fraction) = (scaled.abs().div_euclid(1_000_000), scaled.abs().rem_euclid(1_000_000));
                canonical_decimal(&format!("{}{whole}.{fraction:06}", if scaled < 0 { "-" } else { "" })).unwrap()
            };
            let decimals: Vec<String> = numbers.iter().map(|number| text(i128::from(*number))).collect();
            let decimals: Vec<&str> = decimals.iter().map(String::as_str).collect();
            let expected = numbers.iter().map(|number| i128::from(*number)).sum();
            prop_assert_eq!(sum(&decimals), text(expected));
        }
    }
}
