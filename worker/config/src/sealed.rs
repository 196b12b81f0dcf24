//! age (age-encryption.org/v1, X25519): keys, sealing, opening. Plain text lives in memory that is wiped.

use std::io::{self, Read, Write};

use age::secrecy::ExposeSecret;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::identity::Identity;

/// Who can open what was sealed.
#[derive(Clone, Debug)]
pub struct Recipient(age::x25519::Recipient);

impl std::str::FromStr for Recipient {
    type Err = SealError;

    fn from_str(given: &str) -> Result<Self, SealError> {
        given
            .parse()
            .map(Recipient)
            .map_err(|_| SealError::NotARecipient {
                given: given.to_owned(),
            })
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// A new identity and its public half.
#[derive(Debug)]
pub struct KeyPair {
    /// The secret line of an identity file.
    pub identity: SecretString,
    /// Whom to seal for.
    pub recipient: Recipient,
}

/// Makes a new identity.
pub fn keygen() -> KeyPair {
    let identity = age::x25519::Identity::generate();
    KeyPair {
        recipient: Recipient(identity.to_public()),
        identity: SecretString::from(identity.to_string().expose_secret().to_owned()),
    }
}

/// Whom to seal for so that this identity can open it.
pub fn recipient(identity: &Identity) -> Result<Recipient, SealError> {
    Ok(Recipient(identity.load()?.to_public()))
}

/// For how many recipients a file was sealed. Who they are can't be told from it.
pub fn recipient_count(sealed: &[u8]) -> usize {
    let header = sealed
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.starts_with(b"---"));
    // Other stanzas are grease, which age adds so that readers stay used to unknown ones.
    header.filter(|line| line.starts_with(b"-> X25519 ")).count()
}

/// Every age file begins so.
const HEADER: &[u8] = b"age-encryption.org/v1\n";

/// Longest configuration, plain or sealed.
pub(crate) const CONFIG_BYTES: u64 = 1024 * 1024;

/// Whether these bytes are an age file.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER)
}

/// Seals `text` so that each of the recipients can open it.
pub fn encrypt(text: &str, recipients: &[Recipient]) -> Result<Vec<u8>, SealError> {
    let recipients = recipients
        .iter()
        .map(|recipient| -> &dyn age::Recipient { &recipient.0 });
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|_| SealError::NoRecipient)?;
    let mut sealed = Vec::new();
    let write = |sealed: &mut Vec<u8>| -> io::Result<()> {
        let mut writer = encryptor.wrap_output(sealed)?;
        writer.write_all(text.as_bytes())?;
        writer.finish()?;
        Ok(())
    };
    write(&mut sealed).map_err(|error| SealError::Damaged(error.to_string()))?;
    Ok(sealed)
}

/// Opens what was sealed.
pub fn decrypt(sealed: &[u8], identity: &Identity) -> Result<Zeroizing<String>, SealError> {
    let key = identity.load()?;
    let damaged = |error: &dyn std::fmt::Display| SealError::Damaged(error.to_string());
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|error| damaged(&error))?;
    let key: &dyn age::Identity = &key;
    let reader = decryptor.decrypt(std::iter::once(key)).map_err(|error| {
        if matches!(error, age::DecryptError::NoMatchingKeys) {
            SealError::WrongIdentity
        } else {
            damaged(&error)
        }
    })?;
    // As long as the sealed form at most, so it never grows and leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader
        .take(CONFIG_BYTES)
        .read_to_end(&mut plain)
        .map_err(|error| damaged(&error))?;
    match std::str::from_utf8(&plain) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(SealError::NotText),
    }
}
