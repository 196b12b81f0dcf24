//! `database.postgresql`: which servers, how they prove who they are, as whom, how many connections.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ssl_mode::SslMode;

/// A PostgreSQL database and how it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgresql {
    /// Where it is: one server, or several of which one takes writes at a time; they are tried in turn.
    #[serde(deserialize_with = "hosts")]
    pub host: Vec<Host>,
    /// Port of the hosts that name none.
    #[serde(default = "port", deserialize_with = "from_1")]
    pub port: u16,
    /// Its name.
    pub database: String,
    /// The role to log in as. It should own nothing and may do no more than the entities need.
    pub user: String,
    /// Its password; none where the server asks for none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The one schema in which the tables are.
    #[serde(default = "schema")]
    pub schema: String,
    /// How much of TLS must hold. Not used on Unix sockets.
    #[serde(default)]
    pub ssl_mode: SslMode,
    /// Certificate authorities, PEM, that may speak for the server.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Connections for calls. One more asks whether the database answers.
    #[serde(default = "pool_size", deserialize_with = "from_2_to_64")]
    pub pool_size: u32,
    /// Which servers will do.
    #[serde(default)]
    pub target: Target,
    /// Whether missing tables are made from the entities at start.
    #[serde(default)]
    pub create_tables: bool,
}

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

fn port() -> u16 {
    5_432
}

fn schema() -> String {
    "public".to_owned()
}

fn pool_size() -> u32 {
    8
}

fn from_1<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(D::Error::invalid_value(
            Unexpected::Unsigned(0),
            &"a port from 1 to 65535",
        )),
        port => Ok(port),
    }
}

/// One would have to serve reads and writes both.
fn from_2_to_64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (2..=64).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Unsigned(number.into()),
            &"a number from 2 to 64",
        ))
    }
}

/// Most servers that are tried in turn; a call waits no longer than its deadline for all of them.
const HOSTS: usize = 16;

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Host>, D::Error> {
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
