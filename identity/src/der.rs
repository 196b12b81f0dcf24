//! Elements of DER (X.690 §8.1), as keys and names in certificates are written.

/// Tag and content of the first element, and what is behind it. None for what is cut, for BER's indefinite length, and for more than
/// 64 KiB: no key or name that we accept is so long.
pub fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (length, rest) = match rest.split_first()? {
        (short @ 0..=0x7f, rest) => (usize::from(*short), rest),
        (0x81, rest) => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        (0x82, rest) => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}
