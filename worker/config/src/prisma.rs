//! `database.prisma`: where the native Prisma bridge is, how it proves who it is, by which token we do.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::worker::from_1_to_64;

/// A database that is reached through a Prisma client only, and how it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prisma {
    /// Where the bridge is.
    #[serde(deserialize_with = "bridge")]
    pub url: Bridge,
    /// What it lets us in by. Whoever holds it may run any SQL.
    #[serde(deserialize_with = "token")]
    pub token: SecretString,
    /// What the database behind it speaks.
    #[serde(deserialize_with = "dialect")]
    pub dialect: BridgedDialect,
    /// Certificate authorities, PEM, that may speak for the bridge.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether token and rows may cross a network in clear.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Statements at once, each on a connection of its own. One more asks whether the bridge answers.
    #[serde(default = "pool_size", deserialize_with = "from_1_to_64")]
    pub pool_size: u32,
}

/// Where the bridge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bridge {
    /// `https://host:port/path` or `http://…`.
    Tcp {
        /// Whether TLS is spoken.
        scheme: Scheme,
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// What stands before `/api/native-prisma`: empty, or `/` and something.
        path: String,
    },
    /// `unix:/path`: a Unix socket of this machine.
    Unix(PathBuf),
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Yes.
    Https,
    /// No.
    Http,
}

/// What the database behind a bridge speaks. One so far: what a plan means is shown for each dialect by the same tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgedDialect {
    /// PostgreSQL.
    Postgresql,
}

impl BridgedDialect {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            BridgedDialect::Postgresql => "postgresql",
        }
    }
}

impl Bridge {
    /// Whether it is by its name on this machine. What `localhost` means is looked at once more when it is resolved.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Bridge::Unix(_) => true,
            Bridge::Tcp { host, .. } => {
                host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
        }
    }

    /// Whether it is spoken to in clear.
    pub fn is_plain(&self) -> bool {
        match self {
            Bridge::Unix(_) => false,
            Bridge::Tcp { scheme, .. } => *scheme == Scheme::Http,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Bridge::Unix(PathBuf::from(path)));
        }
        let (scheme, rest) = match text.strip_prefix("https://") {
            Some(rest) => (Scheme::Https, rest),
            None => (Scheme::Http, text.strip_prefix("http://")?),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, ""),
        };
        // Whoever asks for a page of another name or a query means something that we would not do.
        let is_of_a_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !path.bytes().all(is_of_a_path) {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':')?),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_of_a_host) {
            return None;
        }
        let port = match (port, scheme) {
            (Some(port), _) => port.parse().ok().filter(|port| *port != 0)?,
            (None, Scheme::Https) => 443,
            (None, Scheme::Http) => 80,
        };
        Some(Bridge::Tcp {
            scheme,
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Bridge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bridge::Unix(path) => write!(out, "unix:{}", path.display()),
            Bridge::Tcp {
                scheme,
                host,
                port,
                path,
            } => {
                let scheme = match scheme {
                    Scheme::Https => "https",
                    Scheme::Http => "http",
                };
                if host.contains(':') {
                    write!(out, "{scheme}://[{host}]:{port}{path}")
                } else {
                    write!(out, "{scheme}://{host}:{port}{path}")
                }
            }
        }
    }
}

fn bridge<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bridge, D::Error> {
    let text = String::deserialize(deserializer)?;
    Bridge::of_text(&text).ok_or_else(|| {
        D::Error::invalid_value(
            Unexpected::Str(&text),
            &"https://host:port, http://host:port or unix:/path, without user, query or fragment",
        )
    })
}

fn dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BridgedDialect, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "postgresql" => Ok(BridgedDialect::Postgresql),
        _ => Err(D::Error::invalid_value(
            Unexpected::Str(&text),
            &"postgresql, the only dialect that is spoken through a bridge so far",
        )),
    }
}

/// As the bridge has it: shorter ones can be guessed. It goes into a header, which takes visible ASCII.
const TOKEN_LENGTH: usize = 32;

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let token = SecretString::deserialize(deserializer)?;
    let text = token.expose_secret();
    if text.len() >= TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        // Not its value, not even in an error that nobody shows.
        Err(D::Error::invalid_value(
            Unexpected::Other("another text"),
            &"the bridge's token, 32 or more visible ASCII characters without blanks",
        ))
    }
}

fn pool_size() -> u32 {
    8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port_and_shows_as_it_is_meant() {
        for (text, shown) in [
            ("https://bridge.example", Some("https://bridge.example:443")),
            (
                "https://bridge.example:7411/",
                Some("https://bridge.example:7411"),
            ),
            (
                "http://127.0.0.1:7411/db/one/",
                Some("http://127.0.0.1:7411/db/one"),
            ),
            ("https://[::1]:7411", Some("https://[::1]:7411")),
            ("http://[::1]", Some("http://[::1]:80")),
            ("unix:/run/bridge/socket", Some("unix:/run/bridge/socket")),
            ("unix:socket", None),
            ("bridge.example", None),
            ("ftp://bridge.example", None),
            ("https://", None),
            ("https://:1", None),
            ("https://user:secret@bridge.example", None),
            ("https://bridge.example:0", None),
            ("https://bridge.example:70000", None),
            ("https://[::1", None),
            ("https://[bridge]:1", None),
            ("https://bridge.example/?x", None),
            ("https://bridge.example/a b", None),
            ("https://bridge.example/\r\nx: y", None),
        ] {
            let found = Bridge::of_text(text);
            assert_eq!(
                found.as_ref().map(ToString::to_string).as_deref(),
                shown,
                "{text}"
            );
            if let Some(found) = found {
                assert_eq!(Bridge::of_text(&found.to_string()), Some(found));
            }
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        for (text, is_local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9:1", true),
            ("http://[::1]:1", true),
            ("unix:/x", true),
            ("http://localhost.example:1", false),
            ("http://10.0.0.1:1", false),
            ("http://127.0.0.1.example:1", false),
        ] {
            assert_eq!(Bridge::of_text(text).unwrap().is_local(), is_local, "{text}");
        }
    }
}
