//! Cursors: where a page ended, sealed. Whoever holds one can neither read the values in it (a key that he may not see
//! may be among them) nor make another, nor use it for another list, order, filter or caller's rights.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use dbal_shared::codec;
use dbal_shared::limits::CURSOR_BYTES;
use dbal_shared::value::Value;
use dbal_sql::Places;

/// Random nonces of 24 bytes never repeat by chance (draft-irtf-cfrg-xchacha §2.1).
const NONCE_BYTES: usize = 24;
/// Places are filled up to a multiple of so many bytes, so that their length says little of what is in them.
const BLOCK_BYTES: usize = 64;

/// Makes and opens cursors.
pub struct Cursors {
    /// Seals, and opens.
    current: XChaCha20Poly1305,
    /// Only open: they sealed before, or seal in other workers.
    others: Vec<XChaCha20Poly1305>,
}

/// The kernel gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the kernel gives no randomness for the cursors' key")]
pub struct NoRandomness;

/// One of `cursor_keys` is not 32 bytes in hexadecimal.
#[derive(Debug, thiserror::Error)]
#[error("cursor_keys: a key of cursors has 64 hexadecimal digits; `dbal keygen --cursors` makes one")]
pub struct NoKey;

impl std::fmt::Debug for Cursors {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Cursors")
    }
}

impl Cursors {
    /// With a new key of its own that ends with the process.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut key = Key::default();
        getrandom::fill(&mut key).map_err(|_| NoRandomness)?;
        Ok(Self {
            current: XChaCha20Poly1305::new(&key),
            others: Vec::new(),
        })
    }

    /// With keys in hexadecimal: the first seals, each opens. None where there is no key.
    pub fn with<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, NoKey> {
        let mut ciphers = Vec::new();
        for key in keys {
            let key: [u8; 32] = dbal_witness::bytes(key).ok_or(NoKey)?;
            ciphers.push(XChaCha20Poly1305::new(Key::from_slice(&key)));
        }
        let mut ciphers = ciphers.into_iter();
        Ok(ciphers.next().map(|current| Self {
            current,
            others: ciphers.collect(),
        }))
    }
}

impl Places for Cursors {
    fn seal(&self, binding: &[u8], place: &[Value]) -> Option<String> {
        let mut plain = Vec::with_capacity(BLOCK_BYTES);
        codec::encode(&place.to_vec(), &mut plain).ok()?;
        // The list of bytes behind it has one byte for its own length.
        let over = plain.len().saturating_add(1).checked_rem(BLOCK_BYTES)?;
        let filling = vec![0_u8; BLOCK_BYTES.saturating_sub(over)];
        codec::encode(&filling, &mut plain).ok()?;
        let mut nonce = XNonce::default();
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload {
            msg: &plain,
            aad: binding,
        };
        let sealed = self.current.encrypt(&nonce, payload).ok()?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        let cursor = URL_SAFE_NO_PAD.encode(bytes);
        (cursor.len() <= CURSOR_BYTES).then_some(cursor)
    }

    fn open(&self, binding: &[u8], cursor: &[u8]) -> Option<Vec<Value>> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let decrypted = |cipher: &XChaCha20Poly1305| {
            let payload = Payload {
                msg: sealed,
                aad: binding,
            };
            cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
        };
        let plain = decrypted(&self.current).or_else(|| self.others.iter().find_map(decrypted))?;
        let (place, _filling): (Vec<Value>, Vec<u8>) = codec::decode(&plain).ok()?;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_what_it_was_made_for_and_can_not_be_read_or_changed() {
        let cursors = Cursors::new().unwrap();
        let place = [Value::Null, Value::Int(7), Value::Text("a hidden key".to_owned())];
        let cursor = cursors.seal(b"this list", &place).unwrap();
        assert_eq!(cursors.open(b"this list", cursor.as_bytes()).unwrap(), place);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"hidden"));
        assert_ne!(
            cursor,
            cursors.seal(b"this list", &place).unwrap(),
            "no two are alike"
        );

        assert_eq!(cursors.open(b"that list", cursor.as_bytes()), None);
        assert_eq!(
            Cursors::new().unwrap().open(b"this list", cursor.as_bytes()),
            None
        );
        for nth in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[nth] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(cursors.open(b"this list", changed.as_bytes()), None, "byte {nth}");
        }
        for forged in [
            "",
            "x",
            "====",
            "AAAA",
            &"A".repeat(100),
            &cursor[..cursor.len() - 4],
        ] {
            assert_eq!(cursors.open(b"this list", forged.as_bytes()), None, "{forged}");
        }
    }

    #[test]
    fn the_first_key_seals_and_each_opens() {
        let (old, current) = ("0".repeat(64), "1".repeat(64));
        let with = |keys: &[&str]| Cursors::with(keys.iter().copied()).unwrap().unwrap();
        let place = [Value::Int(7)];
        let sealed = |cursors: &Cursors| cursors.seal(b"a list", &place).unwrap();
        let opens = |cursors: &Cursors, cursor: &str| cursors.open(b"a list", cursor.as_bytes()).is_some();

        let (before, both, after) = (with(&[&old]), with(&[&current, &old]), with(&[&current]));
        assert!(
            opens(&with(&[&old]), &sealed(&before)),
            "another process with the same key"
        );
        assert!(
            opens(&both, &sealed(&before)),
            "what was sealed before the change"
        );
        assert!(opens(&after, &sealed(&both)), "the first one sealed");
        assert!(!opens(&before, &sealed(&both)));
        assert!(
            !opens(&after, &sealed(&before)),
            "a key that was taken out opens nothing"
        );
        assert!(Cursors::with([]).unwrap().is_none());
        assert!(Cursors::with(["0"]).is_err());
    }

    #[test]
    fn its_length_says_little_and_is_bounded() {
        let cursors = Cursors::new().unwrap();
        let length = |text: &str| {
            cursors
                .seal(b"", &[Value::Text(text.to_owned())])
                .map(|cursor| cursor.len())
        };
        assert_eq!(length(""), length("a key of some length"));
        assert_eq!(length(&"x".repeat(CURSOR_BYTES)), None);
        for size in 0..300 {
            let place = [Value::Text("x".repeat(size))];
            let cursor = cursors.seal(b"", &place).unwrap();
            assert_eq!(cursors.open(b"", cursor.as_bytes()).unwrap(), place, "{size}");
        }
    }
}
