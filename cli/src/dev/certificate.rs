//! A certificate authority for one folder, and a server certificate for this machine.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

use crate::error::ToolError;
use crate::files::{self, PRIVATE, PUBLIC};

/// Names under which a client on this machine may reach the daemon.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes `ca.crt`, `server.crt` and `server.key`, unless they are there.
pub(super) fn make_if_missing(dir: &Path) -> Result<(), ToolError> {
    if ["ca.crt", "server.crt", "server.key"]
        .iter()
        .all(|name| dir.join(name).exists())
    {
        return Ok(());
    }
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "dbal development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for_years(&mut authority);
    // Its key is never written: whoever trusts ca.crt trusts this one server certificate and no later one.
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server
        .distinguished_name
        .push(DnType::CommonName, "dbal development server");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.use_authority_key_identifier_extension = true;
    valid_for_years(&mut server);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    files::replace(
        &dir.join("server.key"),
        Zeroizing::new(key.serialize_pem()).as_bytes(),
        PRIVATE,
    )?;
    files::replace(&dir.join("server.crt"), certificate.pem().as_bytes(), PUBLIC)?;
    files::replace(&dir.join("ca.crt"), authority.pem().as_bytes(), PUBLIC)
}

/// Both dates before 2050, where X.509 changes the form of dates (RFC 5280 §4.1.2.5).
fn valid_for_years(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
