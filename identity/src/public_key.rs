//! Reads `BEGIN PUBLIC KEY` files: PEM around the SubjectPublicKeyInfo of RFC 5280 §4.1, of the three kinds that we accept.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::der;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// id-Ed25519, without parameters (RFC 8410 §3).
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// id-ecPublicKey with the curve prime256v1 (RFC 5480 §2.1.1).
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
];
/// rsaEncryption with NULL parameters (RFC 3279 §2.3.1).
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Length of an Ed25519 public key, in bytes.
const ED25519_BYTES: usize = 32;
/// Length of an uncompressed point on P-256, in bytes.
const P256_BYTES: usize = 65;
/// Shortest RSA modulus, in bytes: 2048 bits (RFC 7518 §3.3).
const RSA_BYTES: usize = 256;

/// The parts of a public key, as ring wants them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// The one public key in a PEM file.
pub(crate) fn from_pem(text: &str) -> Result<PublicKey, &'static str> {
    let (_, after) = text.split_once(BEGIN).ok_or(
        "there is no `BEGIN PUBLIC KEY` in it; `openssl pkey -in key.pem -pubout` makes one from a private key",
    )?;
    let (body, _) = after.split_once(END).ok_or("`END PUBLIC KEY` is missing")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD
        .decode(body)
        .map_err(|_| "what stands between BEGIN and END is not base64")?;
    from_spki(&der).ok_or("the key is none of Ed25519, P-256 (uncompressed) and RSA of 2048 bits or more")
}

/// Whether a modulus in base64url, as a JWK has it, has 2048 bits or more. What is no base64url is told elsewhere.
pub(crate) fn is_long_enough(modulus: &str) -> bool {
    let modulus = URL_SAFE_NO_PAD.decode(modulus);
    modulus.map_or(true, |n| n.strip_prefix(&[0]).unwrap_or(&n).len() >= RSA_BYTES)
}

/// PEM around an Ed25519 public key.
pub(crate) fn ed25519_pem(key: &[u8]) -> String {
    // SEQUENCE (42 bytes) { SEQUENCE (5) { id-Ed25519 }, BIT STRING (33) { no unused bits, the key } }
    let mut der = vec![SEQUENCE, 0x2a, SEQUENCE, 0x05];
    der.extend_from_slice(ED25519);
    der.extend_from_slice(&[BIT_STRING, 0x21, 0x00]);
    der.extend_from_slice(key);
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
}

fn from_spki(der: &[u8]) -> Option<PublicKey> {
    let (info, rest) = element(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, rest) = element(rest, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    if !rest.is_empty() || *unused != 0 {
        return None;
    }
    if algorithm == ED25519 {
        return (key.len() == ED25519_BYTES).then(|| PublicKey::Ed25519(key.to_vec()));
    }
    if algorithm == P256 {
        return (key.len() == P256_BYTES).then(|| PublicKey::P256(key.to_vec()));
    }
    if algorithm == RSA {
        let (numbers, rest) = element(key, SEQUENCE)?;
        let (n, after) = element(numbers, INTEGER)?;
        let (e, after) = element(after, INTEGER)?;
        if !rest.is_empty() || !after.is_empty() {
            return None;
        }
        let n = n.strip_prefix(&[0]).unwrap_or(n);
        return (n.len() >= RSA_BYTES).then(|| PublicKey::Rsa {
            n: n.to_vec(),
            e: e.strip_prefix(&[0]).unwrap_or(e).to_vec(),
        });
    }
    None
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(input: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, behind) = der::element(input)?;
    (tag == wanted).then_some((content, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cut_at_any_byte_is_refused_and_never_panics() {
        let whole = ed25519_pem(&[7; ED25519_BYTES]);
        assert_eq!(from_pem(&whole), Ok(PublicKey::Ed25519(vec![7; ED25519_BYTES])));
        let der = STANDARD.decode(whole.lines().nth(1).unwrap()).unwrap();
        for end in 0..der.len() {
            assert_eq!(from_spki(&der[..end]), None, "{end} bytes");
        }
        for at in 0..12 {
            let mut bent = der.clone();
            bent[at] ^= 0x80;
            assert_eq!(from_spki(&bent), None, "byte {at} changed");
        }
    }

    #[test]
    fn a_private_key_is_answered_with_the_command_that_makes_it_public() {
        let error = from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap_err();
        assert!(error.contains("-pubout"), "{error}");
    }
}
