//! Whom a server side lets in, by real certificates and lists.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::server::ResolvesServerCertUsingSni;
use tokio::sync::watch;

use super::*;
use crate::net::standing::Standing;

const IN_2026: UnixTime = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_780_000_000));
const IN_2031: UnixTime = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_940_000_000));

/// The standing of a client that showed no certificate, where nobody reloads.
pub(crate) fn unquestioned() -> Standing {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    let side = ServerSide {
        config: Arc::new(config),
        refused: None,
        clients: None,
        is_alone: false,
        origins: Vec::new(),
    };
    Standing {
        chain: Vec::new(),
        alone: None,
        in_force: watch::channel(Arc::new(side)).1,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test makes the files that the broker reads"
)]
fn write(path: &Path, text: String) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_certificate_is_let_in_until_it_is_revoked_or_over_and_none_where_none_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str| folder.path().join(name);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(7_u64));
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    write(&in_folder("ca.crt"), authority.pem());
    // Whose the server's certificate is, is no matter here.
    write(&in_folder("server.crt"), certificate.pem());
    write(&in_folder("server.key"), key.serialize_pem());
    let modes = |mode| fs::set_permissions(in_folder("server.key"), Permissions::from_mode(mode)).unwrap();
    modes(0o644);
    let refused = server_side(&Tls {
        certificate: in_folder("server.crt"),
        key: in_folder("server.key"),
        clients: None,
    });
    assert!(matches!(
        refused,
        Err(TlsError::KeyReadableByOthers { mode: 0o644, .. })
    ));
    modes(0o600);
    let own = certificate.der();
    assert_eq!(out_of_date(own, IN_2026), None);
    let over = out_of_date(own, IN_2031);
    assert_eq!(
        over.as_deref(),
        Some("ended on 2030-01-01T00:00:00.000Z; renew it")
    );
    let early = out_of_date(own, UnixTime::since_unix_epoch(std::time::Duration::from_secs(1)));
    assert!(early.is_some_and(|why| why.starts_with("is not valid before 2025-01-01")));
    let chain = [certificate.der().clone()];

    let side = |revoked: &[u64], required: bool| {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2036, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&authority).unwrap().pem().unwrap();
        write(&in_folder("list.crl"), list);
        server_side(&Tls {
            certificate: in_folder("server.crt"),
            key: in_folder("server.key"),
            clients: Some(Clients {
                ca: in_folder("ca.crt"),
                crl: vec![in_folder("list.crl")],
                required,
                alone: false,
                origins: Vec::new(),
            }),
        })
        .unwrap()
    };
    assert!(side(&[], false).lets_in(&chain, IN_2026));
    assert!(!side(&[], false).lets_in(&chain, IN_2031), "over");
    assert!(!side(&[7], false).lets_in(&chain, IN_2026), "revoked");
    assert!(side(&[8], false).lets_in(&chain, IN_2026));
    assert!(side(&[7], false).lets_in(&[], IN_2026));
    assert!(!side(&[7], true).lets_in(&[], IN_2026), "required");
    let nobody_asks = server_side(&Tls {
        certificate: in_folder("server.crt"),
        key: in_folder("server.key"),
        clients: None,
    });
    let nobody_asks = nobody_asks.unwrap();
    assert!(nobody_asks.lets_in(&[], IN_2026) && !nobody_asks.lets_in(&chain, IN_2026));
}
