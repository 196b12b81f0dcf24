//! TLS towards the server, with as much of it verified as `ssl_mode` says, and the channel binding that ties the password's
//! proof to the certificate (RFC 5929 §4, RFC 5802 §6).

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dbal_config::SslMode;
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authorities can't be read.
    #[error("`ca_file` {} can't be read: {detail}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The file has none.
    #[error("`ca_file` {} holds no certificate of an authority", path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
    },
    /// The host's name can be in no certificate.
    #[error("the host `{name}` is no name that a certificate can be for")]
    Name {
        /// As configured.
        name: String,
        /// Why.
        #[source]
        source: InvalidDnsNameError,
    },
    /// rustls refuses.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] Error),
    /// rustls refuses the authorities.
    #[error("TLS can't be set up: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// Makes TLS connections to one server.
#[derive(Clone)]
pub(in crate::database) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Settings for a server of this name; none where there shall be no TLS.
    pub(in crate::database) fn new(
        mode: SslMode,
        ca_file: Option<&Path>,
        host: &str,
    ) -> Result<Option<Self>, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|source| TlsError::Name {
            name: host.to_owned(),
            source,
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = ca_file.map(authorities).transpose()?.map(Arc::new);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let chain = |roots| WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let config = match (mode, roots) {
            (SslMode::Disable, _) => return Ok(None),
            (SslMode::VerifyFull, Some(roots)) => {
                builder.with_webpki_verifier(chain(roots)?).with_no_client_auth()
            }
            // As libpq: who names authorities means them.
            (SslMode::VerifyCa | SslMode::Require, Some(roots)) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName(chain(roots)?)))
                .with_no_client_auth(),
            (SslMode::Require, None) | (SslMode::Prefer, _) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
                .with_no_client_auth(),
            // INVARIANT: the configuration is refused without `ca_file` (`ConfigError::NoAuthority`); trusting nobody is the
            // safe reading.
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        };
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        }))
    }

    /// The stream within TLS, for who speaks no PostgreSQL on it.
    pub(in crate::database) async fn secured<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<tokio_rustls::client::TlsStream<S>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let unreadable = |detail: String| TlsError::Authorities {
        path: path.to_owned(),
        detail,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoAuthority {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

/// `verify_ca`: the chain must hold, the name need not.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // INVARIANT: rustls looks at the name last, when the chain has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `require` and `prefer`: whoever holds the certificate's key will do.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What to connect with: TLS, or nothing where there shall be none.
#[derive(Clone)]
pub(super) struct Connect(pub(super) Option<Tls>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for Connect {
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = Connecting<S>;

    fn connect(self, stream: S) -> Connecting<S> {
        Connecting(
            self.0
                .map(|Tls { connector, name }| connector.connect(name, stream)),
        )
    }
}

/// A handshake.
pub(super) struct Connecting<S>(Option<tokio_rustls::Connect<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connecting<S> {
    type Output = io::Result<Secured<S>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(connect) => Pin::new(connect).poll(context).map_ok(Secured),
            // INVARIANT: without TLS the driver is told `SslMode::Disable` and does not come here.
            None => Poll::Ready(Err(io::Error::other("no TLS is configured"))),
        }
    }
}

/// A stream within TLS.
pub(super) struct Secured<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        match leaf.and_then(|leaf| end_point(leaf)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Object identifiers (DER, RFC 4055 and RFC 5758) of the ways to sign a certificate, and the hash that RFC 5929 §4.1 has for
/// them: the signature's own, but SHA-256 in the place of MD5 and SHA-1. Others (Ed25519, RSA-PSS) have none that server and
/// client agree on; without a binding the password's proof is as good as without TLS, and TLS is verified as before.
#[rustfmt::skip] // A table.
static SIGNATURES: [(&[u8], &digest::Algorithm); 9] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", &digest::SHA256), // md5WithRSAEncryption
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", &digest::SHA256), // sha1WithRSAEncryption
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &digest::SHA256), // sha256WithRSAEncryption
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", &digest::SHA384), // sha384WithRSAEncryption
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", &digest::SHA512), // sha512WithRSAEncryption
    (b"\x2a\x86\x48\xce\x3d\x04\x01",         &digest::SHA256), // ecdsa-with-SHA1
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02",     &digest::SHA256), // ecdsa-with-SHA256
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03",     &digest::SHA384), // ecdsa-with-SHA384
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04",     &digest::SHA512), // ecdsa-with-SHA512
];

/// `tls-server-end-point`: the hash of the server's certificate.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }
    let (body, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(body, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (_, hash) = SIGNATURES.iter().find(|(known, _)| *known == identifier)?;
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

/// The content of the DER element (X.690 §8.1) that `bytes` begin with, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        let mut length: usize = 0;
        for octet in octets {
            length = length.checked_mul(256)?.checked_add(usize::from(*octet))?;
        }
        (length, rest)
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_binding() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x30\x02\x30\x00",
            b"\x31\x00",
        ] {
            assert_eq!(end_point(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_hash_is_the_signatures_own() {
        // The smallest thing with a certificate's shape: an empty body, then an algorithm.
        for (identifier, hash) in SIGNATURES {
            let mut algorithm = vec![0x06, u8::try_from(identifier.len()).unwrap()];
            algorithm.extend_from_slice(identifier);
            let mut body = vec![0x30, 0x00, 0x30, u8::try_from(algorithm.len()).unwrap()];
            body.extend(algorithm);
            let mut certificate = vec![0x30, u8::try_from(body.len()).unwrap()];
            certificate.extend(body);
            let expected = digest::digest(hash, &certificate);
            assert_eq!(end_point(&certificate).unwrap(), expected.as_ref());
        }
    }
}
