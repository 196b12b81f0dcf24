//! Fresh values: keys that no one can guess and the time.

use std::time::{SystemTime, UNIX_EPOCH};

use dbal_sql::Generate;

/// Characters of a cuid2.
const CUID_CHARACTERS: usize = 24;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Values for one call: every row of it gets the same time.
#[derive(Debug)]
pub struct Fresh {
    now_ms: i64,
}

impl Fresh {
    /// At the time of the call.
    pub fn at(now_ms: i64) -> Self {
        Self { now_ms }
    }
}

impl Generate for Fresh {
    fn uuid(&mut self) -> [u8; 16] {
        uuid::Uuid::now_v7().into_bytes()
    }

    fn uuid4(&mut self) -> [u8; 16] {
        uuid::Uuid::new_v4().into_bytes()
    }

    /// 24 characters, the first a letter. The reference implementation hashes time, counter and randomness into these
    /// characters; randomness alone (122 bits) looks the same and says nothing about the row.
    fn cuid(&mut self) -> String {
        let mut cuid = String::with_capacity(CUID_CHARACTERS);
        while cuid.len() < CUID_CHARACTERS {
            let mut bytes = [0; 32];
            if getrandom::fill(&mut bytes).is_err() {
                // The kernel has no randomness: no key is better than one that can be guessed. The column refuses it.
                return String::new();
            }
            for byte in bytes {
                let alphabet = if cuid.is_empty() {
                    LETTERS
                } else {
                    LETTERS_AND_DIGITS
                };
                // Values beyond the last whole multiple of the alphabet would favour its first letters.
                let usable = 256_usize
                    .div_euclid(alphabet.len())
                    .saturating_mul(alphabet.len());
                let nth = usize::from(byte);
                let letter = alphabet.get(nth.checked_rem(alphabet.len()).unwrap_or(0));
                if nth < usable
                    && cuid.len() < CUID_CHARACTERS
                    && let Some(letter) = letter
                {
                    cuid.push(char::from(*letter));
                }
            }
        }
        cuid
    }

    fn now_ms(&self) -> i64 {
        self.now_ms
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    now_ns().div_euclid(1_000_000)
}

/// Nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cuid_has_24_characters_and_begins_with_a_letter() {
        let mut fresh = Fresh::at(0);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let cuid = fresh.cuid();
            assert_eq!(cuid.len(), 24);
            assert!(cuid.starts_with(|c: char| c.is_ascii_lowercase()), "{cuid}");
            assert!(cuid.bytes().all(|byte| LETTERS_AND_DIGITS.contains(&byte)));
            assert!(seen.insert(cuid));
        }
    }

    #[test]
    fn uuids_are_of_version_7_and_grow() {
        let mut fresh = Fresh::at(0);
        let (first, second) = (fresh.uuid(), fresh.uuid());
        assert_eq!(first[6] >> 4, 7);
        assert!(first < second);
    }

    #[test]
    fn uuids_of_version_4_have_nothing_in_common() {
        let mut fresh = Fresh::at(0);
        let (first, second) = (fresh.uuid4(), fresh.uuid4());
        assert_eq!((first[6] >> 4, second[6] >> 4), (4, 4));
        assert_ne!(first[..6], second[..6]);
    }
}
