//! Uuids in columns of text.

use uuid::Uuid;

/// A uuid from its one spelling, the one that is written: 36 characters, in lower case, with hyphens. Another is none, since a filter for
/// it would not find it, nor would a page that begins behind it ever end.
pub(super) fn read(text: &str) -> Option<[u8; 16]> {
    let uuid = text.parse::<Uuid>().ok()?;
    let mut buffer = Uuid::encode_buffer();
    (*uuid.hyphenated().encode_lower(&mut buffer) == *text).then(|| uuid.into_bytes())
}

/// The same from 36 characters in any case, for a column in which case does not count.
pub(super) fn read_any_case(text: &str) -> Option<[u8; 16]> {
    read(&text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let octets = [0xab, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(read("ab000000-0000-4000-8000-000000000001"), Some(octets));
        for other in [
            "AB000000-0000-4000-8000-000000000001",
            "ab000000000040008000000000000001",
            "{ab000000-0000-4000-8000-000000000001}",
            "urn:uuid:ab000000-0000-4000-8000-000000000001",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(
            read_any_case("AB000000-0000-4000-8000-000000000001"),
            Some(octets)
        );
        assert_eq!(read_any_case("AB000000000040008000000000000001"), None);
    }
}
