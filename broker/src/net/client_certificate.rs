//! The certificate that a client proved in its TLS handshake: which it is, and what it is called.

use dbal_shared::ids::Digest;
use dbal_shared::message::Certificate;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;

/// Most names of one certificate that the worker is told.
const NAMES: usize = 16;
/// Longest of them, in bytes.
const NAME_BYTES: usize = 255;
/// id-at-commonName (RFC 5280, appendix A.1), as DER.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
/// UTF8String and PrintableString: the others are of no use in a name that is compared.
const TEXTS: [u8; 2] = [0x0c, 0x13];

/// What is to be known of a certificate that rustls has verified.
pub fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Certificate> {
    let own = chain.first()?;
    let parsed = EndEntityCert::try_from(own).ok()?;
    let dns = parsed.valid_dns_names().map(|name| format!("dns:{name}"));
    let uri = parsed.valid_uri_names().map(|name| format!("uri:{name}"));
    let common = common_name(parsed.subject()).map(|name| format!("cn:{name}"));
    let names = dns
        .chain(uri)
        .chain(common)
        .filter(|name| name.len() <= NAME_BYTES);
    Some(Certificate {
        thumbprint: Digest(Sha256::digest(own).into()),
        names: names.take(NAMES).collect(),
    })
}

/// The subject's one common name; of several, or one that is no text, none counts.
fn common_name(subject: &[u8]) -> Option<&str> {
    let mut found = None;
    let mut rest = subject;
    while let Some(position) = rest
        .windows(COMMON_NAME.len())
        .position(|bytes| bytes == COMMON_NAME)
    {
        if found.is_some() {
            return None;
        }
        let after = rest.get(position.checked_add(COMMON_NAME.len())?..)?;
        let (kind, after) = after.split_first()?;
        let (length, after) = after.split_first()?;
        // Lengths of one byte: names are shorter than 128 bytes (ub-common-name is 64).
        if !TEXTS.contains(kind) || *length >= 0x80 {
            return None;
        }
        let (text, after) = after.split_at_checked(usize::from(*length))?;
        found = Some(std::str::from_utf8(text).ok()?);
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_counts_if_it_is_the_only_one_and_a_text() {
        let one = |kind: u8, text: &str| {
            let mut der = COMMON_NAME.to_vec();
            der.push(kind);
            der.push(u8::try_from(text.len()).unwrap());
            der.extend_from_slice(text.as_bytes());
            der
        };
        assert_eq!(common_name(&one(0x0c, "ci")), Some("ci"));
        assert_eq!(
            common_name(&[vec![0x31, 0x0b], one(0x13, "ci")].concat()),
            Some("ci")
        );
        assert_eq!(common_name(&[one(0x0c, "ci"), one(0x0c, "admin")].concat()), None);
        assert_eq!(common_name(&one(0x1e, "ci")), None, "a BMPString");
        assert_eq!(common_name(&one(0x0c, "ci")[..7]), None, "cut");
        assert_eq!(common_name(&[]), None);
    }
}
