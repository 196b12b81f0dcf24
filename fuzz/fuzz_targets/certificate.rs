//! A client certificate, as rustls hands it on: names are taken from it, few and short.
#![no_main]

use dbal_broker::net::client_certificate::of_chain;
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|bytes: &[u8]| {
    let chain = [CertificateDer::from(bytes)];
    if let Some(certificate) = of_chain(&chain) {
        assert!(certificate.names.len() <= 16);
        for name in certificate.names {
            assert!(
                name.len() <= 255 && ["dns:", "uri:", "cn:"].iter().any(|kind| name.starts_with(kind)),
                "{name}"
            );
        }
    }
});
