//! An authority of our own and a server's certificate for this machine.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes `ca.crt`, `server.crt` and `server.key` into a folder. The certificate is for `localhost` and 127.0.0.1. So is the one in
/// `other.crt` and `other.key`, for somebody who got one, too.
pub fn write(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "dbal test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    for (file, name) in [("server", "dbal test server"), ("other", "dbal test impostor")] {
        let mut server = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
        server.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
        fs::write(folder.join(format!("{file}.crt")), certificate.pem()).unwrap();
    }
    fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
}
