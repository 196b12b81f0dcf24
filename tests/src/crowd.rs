//! Many connections, quickly, from any address of this machine: 127.0.0.0/8 is all loopback (RFC 1122 §3.2.1.3).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Client, Login, SocketError, connector};
use crate::daemon::Daemon;

/// Connects to one daemon. Its TLS is set up once.
#[derive(Clone)]
pub struct Crowd {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Crowd {
    /// To this daemon.
    pub fn of(daemon: &Daemon) -> Self {
        let address: SocketAddr = daemon.address().parse().expect("an address");
        Self {
            address,
            name: ServerName::from(address.ip()),
            tls: connector(&daemon.ready.ca, None),
        }
    }

    /// The nth source address; the first one is 127.0.0.1, where everybody else is.
    pub fn source(nth: u32) -> IpAddr {
        let first = u32::from(Ipv4Addr::LOCALHOST);
        Ipv4Addr::from(first.wrapping_add(nth)).into()
    }

    /// A bare connection from an address.
    pub async fn tcp(&self, from: IpAddr) -> io::Result<TcpStream> {
        self.tcp_with(from, None).await
    }

    /// The same with a receive buffer of so many bytes, for who does not want to read.
    pub async fn tcp_with(&self, from: IpAddr, receive_bytes: Option<u32>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// With TLS on it.
    pub async fn tls(&self, from: IpAddr) -> io::Result<TlsStream<TcpStream>> {
        self.secured(self.tcp(from).await?).await
    }

    /// TLS on a bare connection.
    pub async fn secured(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.tls.connect(self.name.clone(), stream).await
    }

    /// A whole client.
    pub async fn client(&self, from: IpAddr, login: Login<'_>) -> Result<Client, SocketError> {
        let stream = self.tls(from).await.map_err(SocketError::Io)?;
        Client::upgrade(&self.address.to_string(), login, stream).await
    }

    /// A whole client on a bare connection.
    pub async fn client_on(&self, stream: TcpStream, login: Login<'_>) -> Result<Client, SocketError> {
        let stream = self.secured(stream).await.map_err(SocketError::Io)?;
        Client::upgrade(&self.address.to_string(), login, stream).await
    }
}
