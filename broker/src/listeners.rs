//! The sockets that the broker listens on: handed over by whoever started it, or bound by its configuration.

use std::io;
use std::net::{SocketAddr, TcpListener};

use dbal_sandbox::{backlog, inherited};
use listenfd::ListenFd;

use crate::config::BrokerConfig;

/// Clients that may wait in the kernel to be accepted. With the 128 of the standard library some thousand that come at once fill
/// it, and others wait a second until their kernel tries again. No more than `net.core.somaxconn`; systemd has `Backlog=`.
const BACKLOG: i32 = 4_096;
/// `FileDescriptorName=` of the administrative socket; the other one may have any name.
const ADMIN: &str = "admin";

/// Why there is nothing to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address of the configuration.
    #[error("{address} can't be listened on{}", advice(source))]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `--socket-stdin`.
    #[error("standard input is no listening TCP socket, which `--socket-stdin` asks for")]
    StandardInput(#[source] io::Error),
    /// LISTEN_FDS.
    #[error("the listener of LISTEN_FDS can't be used")]
    Inherited(#[source] io::Error),
    /// LISTEN_FDS, again.
    #[error(
        "{0} sockets were handed over in LISTEN_FDS; the broker takes one for clients, and one with FileDescriptorName=admin"
    )]
    Several(usize),
    /// The administrative socket would be open to others.
    #[error(
        "the administrative socket was handed over at {0}; it has no login, so it must be on loopback, such as 127.0.0.1:9464"
    )]
    AdminIsOpen(SocketAddr),
}

/// What to do about it, in the words of bind(2).
fn advice(error: &io::Error) -> &'static str {
    const ADVICE: [(io::ErrorKind, &str); 3] = [
        (
            io::ErrorKind::AddrInUse,
            "; another process has the port (`ss -ltnp` shows which)",
        ),
        (
            io::ErrorKind::AddrNotAvailable,
            "; no interface here has this address (0.0.0.0 stands for all)",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "; ports below 1024 are root's: take another one, or have the socket inherited (docs/config.md#inherited-sockets)",
        ),
    ];
    let advice = ADVICE.iter().find(|(kind, _)| *kind == error.kind());
    advice.map_or("", |(_, words)| words)
}

/// What the broker listens on.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub clients: TcpListener,
    /// For the operator.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Clients: standard input where asked for, else sd_listen_fds(3), else `listen`. Administration: sd_listen_fds(3), else
    /// `admin`.
    pub fn open(config: &BrokerConfig, is_on_stdin: bool) -> Result<Self, ListenError> {
        let mut handed_over = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let places = Places::of(handed_over.len(), &names)?;
        let mut take = |place: Option<usize>| match place {
            Some(place) => handed_over
                .take_tcp_listener(place)
                .map_err(ListenError::Inherited),
            None => Ok(None),
        };
        let (clients, admin) = (take(places.clients)?, take(places.admin)?);
        let admin = admin.map(on_loopback).transpose()?;
        Ok(Self {
            clients: match clients {
                _ if is_on_stdin => standard_input().map_err(ListenError::StandardInput)?,
                Some(clients) => clients,
                None => bind(config.listen)?,
            },
            admin: match admin {
                Some(admin) => Some(admin),
                None => config.admin.map(bind).transpose()?,
            },
        })
    }
}

/// Which of the sockets that were handed over is for what.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    clients: Option<usize>,
    admin: Option<usize>,
}

impl Places {
    /// `names` as in LISTEN_FDNAMES: in the sockets' order, between colons; left out by managers that know none.
    fn of(count: usize, names: &str) -> Result<Self, ListenError> {
        let admin = names.split(':').take(count).position(|name| name == ADMIN);
        let mut others = (0..count).filter(|place| Some(*place) != admin);
        let clients = others.next();
        if others.next().is_some() {
            return Err(ListenError::Several(count));
        }
        Ok(Self { clients, admin })
    }
}

/// The same rule as for `admin:`, whoever opened the socket.
fn on_loopback(admin: TcpListener) -> Result<TcpListener, ListenError> {
    let address = admin.local_addr().map_err(ListenError::Inherited)?;
    if address.ip().is_loopback() {
        Ok(admin)
    } else {
        Err(ListenError::AdminIsOpen(address))
    }
}

fn standard_input() -> io::Result<TcpListener> {
    let listener = TcpListener::from(inherited::socket_on_standard_input()?);
    // A Unix socket has no TCP address: it is refused here, not at the first client.
    listener.local_addr()?;
    backlog::let_wait(&listener, BACKLOG)?;
    Ok(listener)
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        backlog::let_wait(&listener, BACKLOG)?;
        Ok(listener)
    });
    bound.map_err(|source| ListenError::Bind { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrative_socket_is_known_by_its_name_and_the_clients_by_being_the_other() {
        let places = |count, names| {
            let Places { clients, admin } = Places::of(count, names).unwrap();
            (clients, admin)
        };
        assert_eq!(places(0, ""), (None, None));
        assert_eq!(places(1, ""), (Some(0), None));
        assert_eq!(places(1, "listen"), (Some(0), None));
        assert_eq!(places(1, "admin"), (None, Some(0)));
        assert_eq!(places(2, "listen:admin"), (Some(0), Some(1)));
        assert_eq!(places(2, "admin:listen"), (Some(1), Some(0)));
        // A name beyond the sockets stands for none.
        assert_eq!(places(1, "listen:admin"), (Some(0), None));
    }

    #[test]
    fn an_administrative_socket_beyond_loopback_is_refused() {
        assert!(on_loopback(TcpListener::bind("127.0.0.1:0").unwrap()).is_ok());
        let refused = on_loopback(TcpListener::bind("0.0.0.0:0").unwrap()).unwrap_err();
        assert!(refused.to_string().contains("loopback"), "{refused}");
    }

    #[test]
    fn sockets_that_nobody_would_listen_on_are_refused() {
        for (count, names) in [
            (2, ""),
            (2, "listen:other"),
            (3, "listen:admin:other"),
            (3, "admin:admin:admin"),
        ] {
            let refused = Places::of(count, names);
            assert!(
                matches!(refused, Err(ListenError::Several(_))),
                "{names}: {refused:?}"
            );
        }
    }
}
