//! Whether clients will take the certificate: its dates, its names, and the key beside it. Asked of the library that serves it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::check::{Check, shell};

/// A certificate that ends so soon is told: authorities that renew by themselves do so well before.
const SOON_S: u64 = 14 * 86_400;
/// A moment after every certificate: 9999-12-31, which RFC 5280 §4.1.2.5 gives to those without an end, and a day.
const NEVER_S: u64 = 253_402_387_199;

/// Looks at certificate and key; `names` are those that clients use, as far as they are known.
pub(super) fn checks(certificate: &Path, key: &Path, names: &[String], now_s: u64) -> Vec<Check> {
    let what = format!("certificate {}", certificate.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            return vec![Check::error(
                what,
                "holds no certificate",
                "put the certificate there, in PEM, and those between it and the root after it",
            )];
        }
        Err(error) => return vec![unread(what, certificate, &error)],
    };
    let mut checks: Vec<Check> = chain
        .iter()
        .enumerate()
        .map(|(number, one)| dates(&numbered(&what, number), one, now_s))
        .collect();
    if let Some(first) = chain.first() {
        checks.extend(subject(&what, first, names));
    }
    checks.push(fits(chain, key));
    checks
}

fn numbered(what: &str, number: usize) -> String {
    if number == 0 {
        what.to_owned()
    } else {
        format!("{what}, no. {}", number.saturating_add(1))
    }
}

fn dates(what: &str, certificate: &CertificateDer<'_>, now_s: u64) -> Check {
    let parsed = match ParsedCertificate::try_from(certificate) {
        Ok(parsed) => parsed,
        Err(error) => {
            return Check::error(
                what,
                format!("can't be understood: {error}"),
                "have it issued again, as X.509 version 3",
            );
        }
    };
    let (Some(from), Some(until)) = (bound(&parsed, 0), bound(&parsed, NEVER_S)) else {
        return Check::unseen(
            what,
            "its dates could not be told",
            "openssl x509 -noout -dates -in FILE",
        );
    };
    let (from_day, until_day) = (day(from), day(until));
    if now_s < from {
        return Check::error(
            what,
            format!("not valid before {from_day}: clients refuse it"),
            "set this machine's clock (timedatectl), or have the certificate issued again",
        );
    }
    if now_s > until {
        return Check::error(
            what,
            format!("ended on {until_day}: clients refuse it"),
            "renew it, put it and its key in place, then `systemctl reload dbal-broker` (SIGHUP)",
        );
    }
    if until.saturating_sub(now_s) < SOON_S {
        return Check::warning(
            what,
            format!(
                "ends on {until_day}, in {} days",
                until.saturating_sub(now_s) / 86_400
            ),
            "renew it, put it and its key in place, then `systemctl reload dbal-broker` (SIGHUP)",
        );
    }
    Check::ok(what, format!("valid from {from_day} to {until_day}"))
}

/// The end of its validity that lies towards `moment`, which is outside of it: the verifier names it when it refuses.
fn bound(certificate: &ParsedCertificate<'_>, moment_s: u64) -> Option<u64> {
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(moment_s));
    let nobody = RootCertStore::empty();
    let algorithms = default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], moment, algorithms) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs())
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Some(not_before.as_secs())
        }
        Ok(()) | Err(_) => None,
    }
}

fn day(moment_s: u64) -> String {
    let moment = i64::try_from(moment_s).ok();
    let moment = moment.and_then(|moment| Timestamp::from_second(moment).ok());
    moment.map_or_else(|| "an unknown day".to_owned(), |moment| moment.to_string())
}

fn subject(what: &str, certificate: &CertificateDer<'_>, names: &[String]) -> Vec<Check> {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
        return Vec::new();
    };
    let again = "have it issued again with the names by which clients reach the broker (subjectAltName)";
    let presented = presented(&parsed);
    if presented.is_empty() {
        return vec![Check::error(
            what,
            "bears no name (subjectAltName): clients refuse it",
            again,
        )];
    }
    let listed = presented.join(", ");
    if names.is_empty() {
        return vec![Check::ok(what, format!("is for {listed}"))];
    }
    let one = |name: &String| {
        let is_for =
            ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
        if is_for {
            Check::ok(what, format!("is for {name}"))
        } else {
            Check::error(
                what,
                format!("is not for {name}, but for {listed}: clients that connect to {name} refuse it"),
                again,
            )
        }
    };
    names.iter().map(one).collect()
}

/// Its names, which the verifier tells when it is asked for a name that nobody can have (RFC 6761 §6.4).
fn presented(certificate: &ParsedCertificate<'_>) -> Vec<String> {
    let Ok(nobody) = ServerName::try_from("dbal-doctor.invalid") else {
        return Vec::new();
    };
    match verify_server_name(certificate, &nobody) {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            presented.iter().map(|name| bare(name)).collect()
        }
        Ok(()) | Err(_) => Vec::new(),
    }
}

/// The verifier tells a name with its kind: `DnsName("db.example")`, `IpAddress(127.0.0.1)`.
fn bare(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

fn fits(chain: Vec<CertificateDer<'static>>, key: &Path) -> Check {
    let what = format!("private key {}", key.display());
    let private = match PrivateKeyDer::from_pem_file(key) {
        Ok(private) => private,
        Err(error) => return unread(what, key, &error),
    };
    match CertifiedKey::from_der(chain, private, &default_provider()) {
        Ok(_) => Check::ok(what, "belongs to the certificate"),
        Err(Error::InconsistentKeys(_)) => Check::error(
            what,
            "is not the certificate's: the broker will not start",
            "put the certificate and the key of the same request beside each other",
        ),
        Err(error) => Check::error(
            what,
            format!("can't be used: {error}"),
            "use a key of ECDSA P-256 or P-384, Ed25519 or RSA, in PEM without a passphrase",
        ),
    }
}

fn unread(what: String, path: &Path, error: &rustls_pki_types::pem::Error) -> Check {
    if let rustls_pki_types::pem::Error::Io(io) = error
        && io.kind() == ErrorKind::PermissionDenied
    {
        return Check::unseen(what, "may not be read by you", "run `dbal doctor` as root");
    }
    Check::error(
        what,
        format!("can't be read: {error}"),
        format!("put it there in PEM: {}", shell(path)),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::check::Verdict;
    use super::*;

    /// 2026-01-01
    const NOW: u64 = 1_767_225_600;

    fn worst(
        folder: &Path,
        (from, until): ((i32, u8, u8), (i32, u8, u8)),
        names: &[&str],
        key: Option<&KeyPair>,
        asked: &[&str],
    ) -> Vec<(Verdict, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let own = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&own).unwrap();
        let (crt, pem) = (folder.join("a.crt"), folder.join("a.key"));
        fs::write(&crt, certificate.pem()).unwrap();
        fs::write(&pem, key.unwrap_or(&own).serialize_pem()).unwrap();
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        checks(&crt, &pem, &asked, NOW)
            .into_iter()
            .filter(|check| check.verdict != Verdict::Ok)
            .map(|check| (check.verdict, check.said))
            .collect()
    }

    #[test]
    fn a_certificate_that_clients_refuse_is_told_with_the_reason() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path();
        let good = ((2025, 1, 1), (2030, 1, 1));
        let other = KeyPair::generate().unwrap();
        let names = ["db.example", "127.0.0.1"];
        assert_eq!(
            worst(folder, good, &names, None, &["db.example", "127.0.0.1"]),
            []
        );
        let table = [
            (
                worst(folder, ((2024, 1, 1), (2025, 6, 1)), &names, None, &[]),
                Verdict::Error,
                "ended on 2025-06-01",
            ),
            (
                worst(folder, ((2027, 1, 1), (2030, 1, 1)), &names, None, &[]),
                Verdict::Error,
                "not valid before 2027-01-01",
            ),
            (
                worst(folder, ((2025, 1, 1), (2026, 1, 9)), &names, None, &[]),
                Verdict::Warning,
                "in 8 days",
            ),
            (worst(folder, good, &[], None, &[]), Verdict::Error, "no name"),
            (
                worst(folder, good, &names, None, &["db2.example"]),
                Verdict::Error,
                "is not for db2.example, but for db.example, 127.0.0.1:",
            ),
            (
                worst(folder, good, &names, Some(&other), &[]),
                Verdict::Error,
                "is not the certificate's",
            ),
        ];
        for (found, verdict, says) in table {
            assert_eq!(found.len(), 1, "{says}: {found:?}");
            assert!(
                found[0].0 == verdict && found[0].1.contains(says),
                "{says}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_is_told_apart_from_what_is_not_there() {
        let folder = tempfile::TempDir::new().unwrap();
        let (crt, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        assert!(checks(&crt, &key, &[], NOW)[0].said.starts_with("can't be read"));
        fs::write(&crt, "nothing").unwrap();
        assert_eq!(checks(&crt, &key, &[], NOW)[0].said, "holds no certificate");
    }
}
