//! Somebody between a worker and its PostgreSQL who has a certificate that the worker trusts.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a client asks for first (PostgreSQL, "Message Formats": SSLRequest), and the answer.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const YES: u8 = b'S';

/// What the server offers, and what nobody knows in its place.
const BINDING: &[u8] = b"SCRAM-SHA-256-PLUS";
const UNKNOWN: &[u8] = b"SCRAM-SHA-256-NONE";

/// What it does with what it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// It passes everything on.
    None,
    /// It hides that the server offers channel binding.
    NoBinding,
}

/// Ends TLS with the certificate of `folder`'s authority that is not the server's, and begins it anew towards the server. Returns its
/// port on 127.0.0.1. It goes on for as long as the process does.
pub fn start(server: u16, folder: &Path, lies: Lies) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let chain = vec![CertificateDer::from_pem_file(folder.join("other.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("other.key")).unwrap();
    let accepts = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(folder.join("ca.crt")).unwrap();
    roots.add(authority).unwrap();
    let connects = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (accepts, connects) = (
        TlsAcceptor::from(Arc::new(accepts)),
        TlsConnector::from(Arc::new(connects)),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                // How it ends is what the worker says.
                tokio::spawn(between(client, server, accepts.clone(), connects.clone(), lies));
            }
        });
    });
    port
}

async fn between(
    mut client: TcpStream,
    server: u16,
    accepts: TlsAcceptor,
    connects: TlsConnector,
    lies: Lies,
) -> io::Result<()> {
    let mut request = SSL_REQUEST;
    client.read_exact(&mut request).await?;
    assert_eq!(request, SSL_REQUEST);
    client.write_all(&[YES]).await?;
    let mut client = accepts.accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    server.write_all(&SSL_REQUEST).await?;
    assert_eq!(server.read_u8().await?, YES);
    let name = ServerName::try_from("localhost").unwrap();
    let mut server = connects.connect(name, server).await?;
    // Who the client is, and by what the server lets it prove that.
    for is_offer in [false, true] {
        let mut buffer = vec![0; 65_536];
        let count = if is_offer {
            server.read(&mut buffer).await?
        } else {
            client.read(&mut buffer).await?
        };
        let said = &mut buffer[..count];
        if is_offer && lies == Lies::NoBinding {
            let offered = said.windows(BINDING.len()).position(|word| word == BINDING);
            let at = offered.expect("the server offers channel binding");
            said[at..][..BINDING.len()].copy_from_slice(UNKNOWN);
        }
        if is_offer {
            client.write_all(said).await?;
            client.flush().await?;
        } else {
            server.write_all(said).await?;
            server.flush().await?;
        }
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
