//! TLS 1.2 and 1.3 with ring: certificate and key from PEM files, read before the process locks itself in.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbal_schema::time::push_datetime;
use dbal_settings::mode_if_others_may_read;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};

use crate::config::{Clients, Tls};

/// Why TLS can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path}: can't be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file isn't PEM.
    #[error("{path}: can't be read as PEM", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The key is open to others.
    #[error("tls.key {path}: others may read it (mode {mode:04o}); `chmod 600 {path}`", path = path.display())]
    KeyReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no certificate.
    #[error("{path}: holds no certificate", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Authorities or revocation lists can't be used to check clients.
    #[error("{path}: clients can't be checked with it", path = path.display())]
    Clients {
        /// The file of authorities.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
    /// A certificate proves nothing without its own key.
    #[error("tls.key {key} is not the key of the certificate {certificate}", key = key.display(), certificate = certificate.display())]
    KeyOfAnother {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// What a server can't show.
    #[error("tls.certificate {path}: no server can show it to its clients; X.509 version 3 is needed", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Certificate and key are of a kind that isn't served.
    #[error("certificate and key can't be used together")]
    Unusable(#[source] rustls::Error),
}

/// The server's side of TLS, and whom it lets in.
#[derive(Debug)]
pub struct ServerSide {
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// Why every client would refuse its own certificate at the moment it was read.
    pub refused: Option<String>,
    /// None: clients are not asked for certificates.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Whether a certificate is a proof by itself.
    is_alone: bool,
    /// Of pages for whose scripts it is one, too.
    origins: Vec<String>,
}

impl ServerSide {
    /// Tells the operator what clients would tell, if anything.
    pub fn warn(&self) {
        if let Some(refused) = &self.refused {
            tracing::warn!("{refused}");
        }
    }

    /// Whether a client that shows this chain (empty: none) is let in at `now`, as itself.
    pub fn lets_in(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        match (&self.clients, chain.split_first()) {
            (None, None) => true,
            // What nobody asks for, nobody judges: whoever it made somebody would stay that for ever.
            (None, Some(_)) => false,
            (Some(clients), None) => !clients.client_auth_mandatory(),
            (Some(clients), Some((own, between))) => clients.verify_client_cert(own, between, now).is_ok(),
        }
    }

    /// Whether a certificate that is let in is a proof by itself, shown by a browser for a page of one of these origins; by a
    /// program, which names none.
    pub fn takes_alone(&self, origins: &[String]) -> bool {
        self.is_alone && origins.iter().all(|origin| self.origins.contains(origin))
    }
}

/// Reads certificate, key and what clients are checked with.
pub fn server_side(tls: &Tls) -> Result<ServerSide, TlsError> {
    let Tls {
        certificate,
        key,
        clients,
    } = tls;
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| unread(path, source)
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .map_err(pem(certificate))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: certificate.to_owned(),
        });
    }
    let refused = chain
        .first()
        .and_then(|own| out_of_date(own, UnixTime::now()))
        .map(|why| {
            format!(
                "tls.certificate {}: {why}; clients refuse it",
                certificate.display()
            )
        });
    let private = private_key(key)?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Unusable)?;
    let (is_alone, origins) = clients.as_ref().map_or_else(Default::default, |clients| {
        (clients.alone, clients.origins.clone())
    });
    let clients = clients
        .as_ref()
        .map(|clients| verifier(clients, provider))
        .transpose()?;
    let config = match &clients {
        None => config.with_no_client_auth(),
        Some(clients) => config.with_client_cert_verifier(Arc::clone(clients)),
    };
    let mut config = config
        .with_single_cert(chain, private)
        .map_err(|source| unusable(tls, source))?;
    // WebSocket over HTTP/1.1 (RFC 6455); a client that insists on h2 is told so in the handshake.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if clients.is_none() {
        // A returning client skips the signature, which is what costs. Keys of tickets rotate by themselves.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Unusable)?;
    } else {
        // It would skip the look at its certificate, too, which may be revoked or over by then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(ServerSide {
        config: Arc::new(config),
        refused,
        clients,
        is_alone,
        origins,
    })
}

/// The verifier names the end of a certificate's time that `now` is beyond; that nobody signed it comes later.
fn out_of_date(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<String> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let verdict =
        verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], now, algorithms);
    match verdict {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(format!("ended on {}; renew it", moment(not_after)))
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => Some(format!(
            "is not valid before {}; look at this machine's clock",
            moment(not_before)
        )),
        Ok(()) | Err(_) => None,
    }
}

fn moment(time: UnixTime) -> String {
    let mut text = String::new();
    push_datetime(
        i64::try_from(time.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX),
        &mut text,
    );
    text
}

fn unusable(tls: &Tls, source: rustls::Error) -> TlsError {
    if source == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        TlsError::KeyOfAnother {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        }
    } else if matches!(source, rustls::Error::InvalidCertificate(_)) {
        TlsError::Certificate {
            path: tls.certificate.clone(),
            source,
        }
    } else {
        TlsError::Unusable(source)
    }
}

fn unread(path: PathBuf, source: pem::Error) -> TlsError {
    if let pem::Error::Io(source) = source {
        TlsError::Unreadable { path, source }
    } else {
        TlsError::Pem { path, source }
    }
}

/// The open file is asked who may read it, not the path: that could name another by now.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unreadable = |source| unread(path.to_owned(), source);
    let file = File::open(path).map_err(|error| unreadable(pem::Error::Io(error)))?;
    let about = file
        .metadata()
        .map_err(|error| unreadable(pem::Error::Io(error)))?;
    match mode_if_others_may_read(&about).filter(|_| about.is_file()) {
        Some(mode) => Err(TlsError::KeyReadableByOthers {
            path: path.to_owned(),
            mode,
        }),
        None => PrivateKeyDer::from_pem_reader(BufReader::new(file)).map_err(unreadable),
    }
}

/// Whom clients must be signed by, and who is revoked. With lists, a certificate that none of them tells of is refused, since
/// "unknown" would be what an attacker makes of a list that is missing.
fn verifier(
    clients: &Clients,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Clients {
        ca,
        crl,
        required,
        alone: _,
        origins: _,
    } = clients;
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(ca).map_err(pem(ca))? {
        roots
            .add(authority.map_err(pem(ca))?)
            .map_err(TlsError::Unusable)?;
    }
    let mut lists = Vec::with_capacity(crl.len());
    for path in crl {
        let list = CertificateRevocationListDer::from_pem_file(path).map_err(pem(path))?;
        lists.push(list);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(lists);
    if !required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|source| TlsError::Clients {
        path: ca.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::unquestioned;
