//! Where a database server is: one place, or several of which one takes writes at a time.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::prisma::Bridge;
use crate::worker::Database;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By TCP.
    Tcp {
        /// A name or an address.
        name: String,
        /// Another port than the others'.
        port: Option<u16>,
    },
    /// By a Unix socket in this folder.
    Folder(PathBuf),
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Tcp { name, port: None } => out.write_str(name),
            Host::Tcp {
                name,
                port: Some(port),
            } if name.contains(':') => write!(out, "[{name}]:{port}"),
            Host::Tcp {
                name,
                port: Some(port),
            } => write!(out, "{name}:{port}"),
            Host::Folder(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Database {
    /// The first server that is known by a name, which may mean another address some day.
    pub fn named_host(&self) -> Option<&str> {
        let hosts = match self {
            Database::Sqlite(_) => return None,
            Database::Postgresql(postgresql) => &postgresql.host,
            Database::Mysql(mysql) => &mysql.host,
            Database::Prisma(prisma) => {
                return match &prisma.url {
                    Bridge::Tcp { host, .. } => Some(host.as_str()).filter(|host| is_name(host)),
                    Bridge::Unix(_) => None,
                };
            }
        };
        hosts.iter().find_map(|host| match host {
            Host::Tcp { name, port: _ } => Some(name.as_str()).filter(|name| is_name(name)),
            Host::Folder(_) => None,
        })
    }

    /// Whether a server that takes no writes will do.
    pub fn takes_replicas(&self) -> bool {
        match self {
            Database::Sqlite(_) | Database::Prisma(_) => false,
            Database::Postgresql(postgresql) => postgresql.target == Target::Any,
            Database::Mysql(mysql) => mysql.target == Target::Any,
        }
    }
}

fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// Which servers will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Only one that takes writes.
    #[default]
    ReadWrite,
    /// A replica, too: writes are answered 503.
    Any,
}

impl Target {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Target::ReadWrite => "read_write",
            Target::Any => "any",
        }
    }
}

/// Most servers that are tried in turn; a call waits no longer than its deadline for all of them.
const HOSTS: usize = 16;

pub(crate) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Host>, D::Error> {
    struct Hosts;

    impl<'de> Visitor<'de> for Hosts {
        type Value = Vec<Host>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a host, a host:port, a folder with a Unix socket, or a list of up to 16 of them")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let host = host(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
            Ok(vec![host])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut hosts = Vec::new();
            while let Some(text) = items.next_element::<String>()? {
                let host = host(&text)
                    .filter(|_| hosts.len() < HOSTS)
                    .ok_or_else(|| A::Error::invalid_value(Unexpected::Str(&text), &self))?;
                hosts.push(host);
            }
            if hosts.is_empty() {
                return Err(A::Error::invalid_length(0, &self));
            }
            Ok(hosts)
        }
    }

    deserializer.deserialize_any(Hosts)
}

fn host(text: &str) -> Option<Host> {
    if text.starts_with('/') {
        return Some(Host::Folder(PathBuf::from(text)));
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':')?),
            };
            (name, port)
        }
        // An IPv6 address without brackets has no port.
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if name.is_empty() || name.contains([',', ' ', '/', '@']) {
        return None;
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
    };
    Some(Host::Tcp {
        name: name.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_an_address_or_a_folder_and_shows_as_it_was_written() {
        let tcp = |name: &str, port| {
            Some(Host::Tcp {
                name: name.to_owned(),
                port,
            })
        };
        for (text, expected) in [
            ("db.example", tcp("db.example", None)),
            ("db.example:5433", tcp("db.example", Some(5_433))),
            ("10.0.0.1", tcp("10.0.0.1", None)),
            ("::1", tcp("::1", None)),
            ("[::1]:5433", tcp("::1", Some(5_433))),
            (
                "/run/postgresql",
                Some(Host::Folder(PathBuf::from("/run/postgresql"))),
            ),
            ("", None),
            ("db:", None),
            ("db:0", None),
            ("db:70000", None),
            ("a,b", None),
            ("[::1", None),
            ("user@db", None),
        ] {
            let found = host(text);
            assert_eq!(found, expected, "{text}");
            if let Some(found) = found {
                assert_eq!(found.to_string(), text);
            }
        }
    }
}
