//! PostgreSQL's binary `numeric` ⇄ canonical decimal text (`src/backend/utils/adt/numeric.c`, `numeric_send`): a count of
//! digits to the base 10000, the power of the first, a sign, and how many decimal places to show.

use std::fmt::Write;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
/// Decimal digits of one digit to the base 10000.
const WIDTH: usize = 4;

/// The canonical text; none for NaN, infinities and what is no numeric.
pub(super) fn read(bytes: &[u8]) -> Option<String> {
    let (words, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    let [count, weight, sign, _, digits @ ..] = words else {
        return None;
    };
    let is_negative = match u16::from_be_bytes(*sign) {
        POSITIVE => false,
        NEGATIVE => true,
        _ => return None,
    };
    if usize::from(u16::from_be_bytes(*count)) != digits.len() {
        return None;
    }
    let weight = i32::from(i16::from_be_bytes(*weight));
    let (mut whole, mut fraction) = (String::new(), String::new());
    let push = |digit: u16, text: &mut String| -> Option<()> {
        write!(text, "{digit:04}").ok()?;
        (digit < 10_000).then_some(())
    };
    // Places between the point and the first digit, or between the last and the point.
    for _ in weight..-1 {
        push(0, &mut fraction)?;
    }
    let mut power = weight;
    for digit in digits {
        let digit = u16::from_be_bytes(*digit);
        push(digit, if power < 0 { &mut fraction } else { &mut whole })?;
        power = power.checked_sub(1)?;
    }
    for _ in 0..power.checked_add(1)?.max(0) {
        push(0, &mut whole)?;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return Some("0".to_owned());
    }
    let sign = if is_negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some([sign, whole, point, fraction].concat())
}

/// The binary form of a canonical text; none for any other.
pub(super) fn write(text: &str) -> Option<Vec<u8>> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (POSITIVE, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    // Both parts filled up to whole digits to the base 10000.
    let before = whole.len().next_multiple_of(WIDTH).saturating_sub(whole.len());
    let behind = fraction
        .len()
        .next_multiple_of(WIDTH)
        .saturating_sub(fraction.len());
    let filled = [
        "0".repeat(before).as_str(),
        whole,
        fraction,
        "0".repeat(behind).as_str(),
    ]
    .concat();
    let mut words = Vec::new();
    let (chunks, []) = filled.as_bytes().as_chunks::<WIDTH>() else {
        return None;
    };
    for chunk in chunks {
        words.push(std::str::from_utf8(chunk).ok()?.parse::<u16>().ok()?);
    }
    let groups = i16::try_from(whole.len().div_ceil(WIDTH)).ok()?;
    let leading = words.iter().take_while(|word| **word == 0).count();
    words.drain(..leading);
    while words.last() == Some(&0) {
        words.pop();
    }
    let weight = groups.checked_sub(1)?.checked_sub(i16::try_from(leading).ok()?)?;
    let weight = if words.is_empty() { 0 } else { weight };
    let sign = if words.is_empty() { POSITIVE } else { sign };
    let mut bytes = Vec::with_capacity(words.len().saturating_mul(2).saturating_add(8));
    bytes.extend(u16::try_from(words.len()).ok()?.to_be_bytes());
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(u16::try_from(fraction.len()).ok()?.to_be_bytes());
    for word in words {
        bytes.extend(word.to_be_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_numbers_have_the_bytes_that_the_server_sends() {
        // As `SELECT numeric_send(…)` of PostgreSQL 15 shows them.
        for (text, bytes) in [
            ("0", &[0_u16, 0, 0, 0][..]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-12.5", &[2, 0, 0x4000, 1, 12, 5_000]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("0.0001", &[1, 0xffff, 0, 4, 1]),
            ("0.00000001", &[1, 0xfffe, 0, 8, 1]),
            ("123456789.01", &[4, 2, 0, 2, 1, 2_345, 6_789, 100]),
        ] {
            let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(write(text), Some(bytes.clone()), "{text}");
            assert_eq!(read(&bytes).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for words in [
            &[0_u16, 0, 0xc000, 0][..],
            &[0, 0, 0xd000, 0],
            &[0, 0, 0xf000, 0],
            &[2, 0, 0, 0, 1],
            &[1, 0, 0, 0, 10_000],
            &[0, 0, 0],
        ] {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(read(&bytes), None, "{words:?}");
        }
        assert_eq!(read(b"123"), None);
        for text in ["1e5", "ü", "1,5"] {
            assert_eq!(write(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_canonical_decimal_comes_back(text in "(0|-?[1-9][0-9]{0,40})|-?(0|[1-9][0-9]{0,40})\\.[0-9]{0,40}[1-9]") {
            prop_assert_eq!(read(&write(&text).unwrap()), Some(text));
        }
    }
}
