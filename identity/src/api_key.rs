//! API keys as text: `dbal_<prefix>_<secret><checksum>`. The shape is public, so that scanners find leaked ones.
//!
//! The prefix finds the key in the file; the checksum tells typing errors and made-up keys from real ones without asking
//! anybody; the secret proves. What is stored of a key is SHA-256 of all of it. A password hash would add nothing: it
//! slows down guessing, and nobody guesses 256 random bits; it would only let strangers make the worker work.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::IdentityError;

/// What every key begins with.
pub const MARK: &str = "dbal_";
/// Characters that find the key in the file: 47 bits, so that two of a file's keys are hardly ever alike.
pub(crate) const PREFIX: usize = 8;
/// Characters of the secret: 43 of 62 kinds are 256 bits.
const SECRET: usize = 43;
/// Characters of the checksum: 6 of 62 kinds hold 32 bits.
const CHECKSUM: usize = 6;
/// No `-` and no `_`: a double click marks the secret as a whole.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Bytes up to here are spread evenly over the alphabet: 4 × 62.
const EVEN: u8 = 248;

/// SHA-256 of a whole key. It proves nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub(crate) [u8; 32]);

/// A key that was just made. Its text is shown once and kept nowhere.
pub struct NewKey {
    text: Zeroizing<String>,
}

/// A key as somebody shows it: the shape and the checksum are right, and that is all that is known of it.
#[derive(Clone, Copy)]
pub struct ShownKey<'a> {
    text: &'a str,
    prefix: &'a str,
}

impl NewKey {
    /// Makes one.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(MARK);
        push_random(&mut text, PREFIX)?;
        text.push('_');
        push_random(&mut text, SECRET)?;
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self { text })
    }

    /// The text, to be shown once.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same as somebody shows it.
    pub fn shown(&self) -> ShownKey<'_> {
        ShownKey {
            text: &self.text,
            prefix: self
                .text
                .get(MARK.len()..MARK.len().saturating_add(PREFIX))
                .unwrap_or_default(),
        }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("NewKey(…)")
    }
}

impl<'a> ShownKey<'a> {
    /// Reads a token that begins like a key. None: it is none that was ever made.
    pub fn parse(token: &'a str) -> Option<Self> {
        let rest = token.strip_prefix(MARK)?;
        let (prefix, proof) = rest.split_once('_')?;
        let is_made_of = |text: &str| text.bytes().all(|byte| ALPHABET.contains(&byte));
        if prefix.len() != PREFIX
            || proof.len() != SECRET + CHECKSUM
            || !is_made_of(prefix)
            || !is_made_of(proof)
        {
            return None;
        }
        let (summed, sum) = token.split_at_checked(token.len().checked_sub(CHECKSUM)?)?;
        (checksum(summed) == sum).then_some(Self { text: token, prefix })
    }

    /// Finds the key in the file. No secret: it stands in the file, in the log and in the audit.
    pub fn prefix(self) -> &'a str {
        self.prefix
    }

    /// What the file holds of the key.
    pub fn hash(self) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.text.as_bytes()).as_ref());
        KeyHash(hash)
    }
}

impl fmt::Debug for ShownKey<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ShownKey({})", self.prefix)
    }
}

impl KeyHash {
    /// From 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn push_random(text: &mut String, characters: usize) -> Result<(), IdentityError> {
    let random = SystemRandom::new();
    let full = text.len().saturating_add(characters);
    while text.len() < full {
        let mut bytes = Zeroizing::new([0_u8; 64]);
        random.fill(bytes.as_mut()).map_err(|_| IdentityError::Random)?;
        let missing = full.saturating_sub(text.len());
        // The others would make the first letters of the alphabet likelier than the last.
        let even = bytes.iter().filter(|byte| **byte < EVEN).take(missing);
        text.extend(even.map(|byte| letter(u32::from(*byte))));
    }
    Ok(())
}

/// 32 bits of SHA-256, in the alphabet's digits, the highest first. No secret, and no proof: everybody can make it.
fn checksum(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let mut number = hash
        .as_ref()
        .first_chunk::<4>()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let mut digits = [0_u8; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number.checked_rem(62).unwrap_or(0)).unwrap_or(0);
        number = number.checked_div(62).unwrap_or(0);
    }
    digits.iter().map(|digit| letter(u32::from(*digit))).collect()
}

fn letter(number: u32) -> char {
    let position = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_rem(ALPHABET.len()));
    position
        .and_then(|position| ALPHABET.get(position))
        .map_or('0', |letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_shape_that_scanners_are_told_and_no_two_are_alike() {
        let keys: Vec<NewKey> = (0..100).map(|_| NewKey::generate().unwrap()).collect();
        // docs/config.md: dbal_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}
        for key in &keys {
            let shown = ShownKey::parse(key.text()).unwrap();
            assert_eq!(key.text().len(), 63);
            assert_eq!(shown.prefix(), key.shown().prefix());
            assert_eq!(shown.hash(), key.shown().hash());
            assert!(!format!("{key:?} {shown:?}").contains(&key.text()[14..]));
        }
        let texts: std::collections::HashSet<&str> = keys.iter().map(NewKey::text).collect();
        assert_eq!(texts.len(), keys.len());
        // All 62 letters turn up among 5,100 drawn ones.
        let letters: std::collections::HashSet<char> =
            keys.iter().flat_map(|key| key.text()[5..57].chars()).collect();
        assert_eq!(letters.len(), 63, "the alphabet and the underscore");
    }

    #[test]
    fn a_key_with_any_character_changed_added_or_left_out_is_none() {
        let key = NewKey::generate().unwrap();
        let text = key.text();
        for at in 0..text.len() {
            let mut changed = text.to_owned().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(
                ShownKey::parse(std::str::from_utf8(&changed).unwrap()).is_none(),
                "{at}"
            );
            assert!(ShownKey::parse(&text[..at]).is_none(), "cut at {at}");
        }
        for other in [
            format!("{text}x"),
            format!(" {text}"),
            format!("{text}\n"),
            text.to_uppercase(),
            text.replace("dbal_", "dbal__"),
            "dbal_é_".to_owned(),
            format!("dbal_{}", "é".repeat(29)),
        ] {
            assert!(ShownKey::parse(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_is_one() {
        let hash = NewKey::generate().unwrap().shown().hash();
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        let text = hash.to_string();
        for other in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace(&text[..1], "+"),
            &"é".repeat(32),
        ] {
            assert_eq!(KeyHash::parse(other), None, "{other}");
        }
    }
}
