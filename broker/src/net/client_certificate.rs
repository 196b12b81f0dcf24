//! The certificate that a client proved in its TLS handshake: which it is, and what it is called.

use dbal_identity::der::element;
use dbal_shared::ids::Digest;
use dbal_shared::message::Certificate;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;

/// Most names of one certificate that the worker is told.
const NAMES: usize = 16;
/// Longest of them, in bytes.
const NAME_BYTES: usize = 255;
/// id-at-commonName (RFC 5280, appendix A.1), as DER has it behind tag and length.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// UTF8String and PrintableString: the others are of no use in a name that is compared.
const TEXTS: [u8; 2] = [0x0c, 0x13];
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

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

/// The subject's one common name; of several, or one that is no text, none counts. Read as it is put together (RFC 5280 §4.1.2.4),
/// and not looked for: within the text of another part, which an authority may leave to its clients, the same bytes mean nothing.
fn common_name(subject: &[u8]) -> Option<&str> {
    let mut found = None;
    let mut sets = subject;
    while !sets.is_empty() {
        let (SET, mut attributes, rest) = element(sets)? else {
            return None;
        };
        sets = rest;
        while !attributes.is_empty() {
            let (SEQUENCE, attribute, rest) = element(attributes)? else {
                return None;
            };
            attributes = rest;
            let (OBJECT_IDENTIFIER, kind, value) = element(attribute)? else {
                return None;
            };
            let (tag, value, behind) = element(value)?;
            if !behind.is_empty() {
                return None;
            }
            if kind != COMMON_NAME {
                continue;
            }
            if found.is_some() || !TEXTS.contains(&tag) {
                return None;
            }
            found = Some(std::str::from_utf8(value).ok()?);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

    fn of(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match u8::try_from(content.len()).unwrap() {
            short @ 0..=0x7f => der.push(short),
            long => der.extend([0x81, long]),
        }
        der.extend_from_slice(content);
        der
    }

    fn attribute(kind: &[u8], tag: u8, text: &str) -> Vec<u8> {
        let parts = [of(OBJECT_IDENTIFIER, kind), of(tag, text.as_bytes())];
        of(SEQUENCE, &parts.concat())
    }

    fn name(tag: u8, text: &str) -> Vec<u8> {
        of(SET, &attribute(COMMON_NAME, tag, text))
    }

    #[test]
    fn a_common_name_counts_if_it_is_the_only_one_and_a_text() {
        assert_eq!(common_name(&name(0x0c, "ci")), Some("ci"));
        let organization = of(SET, &attribute(ORGANIZATION, 0x0c, "example"));
        assert_eq!(
            common_name(&[organization, name(0x13, "ci")].concat()),
            Some("ci")
        );
        let both = [
            attribute(ORGANIZATION, 0x0c, "x"),
            attribute(COMMON_NAME, 0x0c, "ci"),
        ];
        assert_eq!(common_name(&of(SET, &both.concat())), Some("ci"));
        let long = "x".repeat(200);
        assert_eq!(common_name(&name(0x0c, &long)), Some(long.as_str()));
        assert_eq!(
            common_name(&[name(0x0c, "ci"), name(0x0c, "admin")].concat()),
            None
        );
        let two = [
            attribute(COMMON_NAME, 0x0c, "ci"),
            attribute(COMMON_NAME, 0x0c, "admin"),
        ];
        assert_eq!(common_name(&of(SET, &two.concat())), None);
        assert_eq!(common_name(&name(0x1e, "ci")), None, "a BMPString");
        let whole = name(0x0c, "ci");
        for end in 0..whole.len() {
            assert_eq!(common_name(&whole[..end]), None, "cut at {end}");
        }
    }

    /// Who may choose the organization in a request for a certificate shall not be anybody by it.
    #[test]
    fn a_common_name_within_another_parts_text_is_none() {
        let within = attribute(COMMON_NAME, 0x0c, "admin");
        let within = std::str::from_utf8(&within).unwrap();
        let organization = of(SET, &attribute(ORGANIZATION, 0x0c, within));
        assert_eq!(common_name(&organization), None);
        assert_eq!(
            common_name(&[organization, name(0x0c, "ci")].concat()),
            Some("ci"),
            "nor does it take the real one away"
        );
    }
}
