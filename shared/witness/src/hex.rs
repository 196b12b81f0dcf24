//! Lower-case hexadecimal digits: one spelling for each value.

/// The digits of these bytes.
pub fn digits(bytes: &[u8]) -> String {
    let mut out = vec![b'0'; bytes.len().saturating_mul(2)];
    write_digits(&mut out, bytes);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes the digits of these bytes over the first bytes of `out`.
pub fn write_digits(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 0x0f]) {
            *digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        }
    }
}

/// Bytes from exactly so many digits.
pub fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a').and_then(|digit| digit.checked_add(10)),
        _ => None,
    };
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let all: Vec<u8> = (0..=255).collect();
        let text = digits(&all);
        assert_eq!(bytes::<256>(&text), Some(<[u8; 256]>::try_from(all).unwrap()));
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        for wrong in ["", "0", "000", "0g", "0G", "AA", "ü"] {
            assert_eq!(bytes::<1>(wrong), None, "{wrong}");
        }
    }
}
