//! Decimals as canonical text: exact, comparable, the same for every spelling of one number.

use std::cmp::Ordering;

/// Most digits of a decimal. Every JSON number can be written in it; beyond it only denial of service is left.
pub const DECIMAL_DIGITS: usize = 1_100;

/// The canonical form of `-?digits(.digits)?`: no leading zeros, no trailing zeros after the point, no `-0`. None for
/// any other text.
pub fn canonical(text: &str) -> Option<String> {
    let (is_negative, digits) = sign_and_digits(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.len().saturating_add(fraction.len()) > DECIMAL_DIGITS {
        return None;
    }
    if whole.is_empty() && fraction.is_empty() {
        return Some("0".to_owned());
    }
    let sign = if is_negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some([sign, whole, point, fraction].concat())
}

/// Which of two canonical decimals is greater.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left_negative, left) = sign_and_digits(left);
    let (right_negative, right) = sign_and_digits(right);
    match (left_negative, right_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => magnitude(left, right),
        (true, true) => magnitude(right, left),
    }
}

fn magnitude(left: &str, right: &str) -> Ordering {
    let (left_whole, left_fraction) = left.split_once('.').unwrap_or((left, ""));
    let (right_whole, right_fraction) = right.split_once('.').unwrap_or((right, ""));
    // Without leading zeros the longer whole part is the greater; without trailing zeros fractions sort as text.
    (left_whole.len().cmp(&right_whole.len()))
        .then_with(|| left_whole.cmp(right_whole))
        .then_with(|| left_fraction.cmp(right_fraction))
}

fn sign_and_digits(text: &str) -> (bool, &str) {
    text.strip_prefix('-')
        .map_or((false, text), |digits| (true, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_has_one_spelling() {
        for (text, wanted) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007.50", "7.5"),
            ("-0.10", "-0.1"),
            ("100", "100"),
            (
                "123456789012345678901234567890.123",
                "123456789012345678901234567890.123",
            ),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
        for text in [
            "", "-", ".5", "5.", "1e3", "+1", "1_000", " 1", "1 ", "--1", "1.2.3", "٣", "NaN",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert!(canonical(&"9".repeat(DECIMAL_DIGITS)).is_some());
        assert!(canonical(&"9".repeat(DECIMAL_DIGITS + 1)).is_none());
    }

    proptest! {
        #[test]
        fn comparing_agrees_with_arithmetic(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
            let text = |n: i64| {
                let (whole, fraction) = (n.abs().div_euclid(1_000), n.abs().rem_euclid(1_000));
                canonical(&format!("{}{whole}.{fraction:03}", if n < 0 { "-" } else { "" })).unwrap()
            };
            prop_assert_eq!(compare(&text(a), &text(b)), a.cmp(&b));
        }

        #[test]
        fn canonical_text_stays_as_it_is(text in "-?[0-9]{1,30}(\\.[0-9]{1,30})?") {
            let once = canonical(&text).unwrap();
            prop_assert_eq!(canonical(&once), Some(once.clone()));
        }
    }
}
