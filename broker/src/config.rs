//! `broker.yaml`: what it may say, with the place and a suggestion where it says something else. It holds no secret.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dbal_identity::TokenRules;
use serde::{Deserialize, Deserializer};

/// The broker's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Where clients connect. Ignored when the service manager hands over a listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where metrics and detailed health are served by plain HTTP; loopback only.
    #[serde(default, deserialize_with = "loopback")]
    pub admin: Option<SocketAddr>,
    /// Certificate and key.
    pub tls: Tls,
    /// The worker.
    pub worker: Worker,
    /// Folder of entity files; the worker must have the same.
    pub entities: PathBuf,
    /// Policy file; the worker must have the same.
    pub policy: PathBuf,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Bounds on what clients may do.
    #[serde(default)]
    pub limits: Limits,
    /// The sandbox.
    #[serde(default)]
    pub security: Security,
    /// The log.
    #[serde(default)]
    pub log: Log,
}

/// Certificate and key, PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where the worker is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// The user id that its socket must belong to.
    #[serde(default)]
    pub uid: Option<u32>,
}

/// How clients prove who they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Whether `?access_token=` is taken from the URL. URLs end up in logs of proxies, so it is off unless needed.
    #[serde(default)]
    pub token_in_query: bool,
    /// Tokens that can be checked with public keys. What needs a secret is the worker's.
    pub tokens: TokenRules,
}

/// Bounds on what clients may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Time for the TLS handshake, and again for the HTTP head, in milliseconds.
    pub handshake_ms: u64,
    /// A client that answers no ping for so long is gone, in seconds.
    pub idle_s: u64,
    /// Calls of one connection that are worked on at once; beyond it its socket is not read.
    pub in_flight_per_connection: usize,
    /// Sessions kept for one connection whose messages bring tokens of their own.
    pub sessions_per_connection: usize,
    /// Failed proofs and malformed messages of one address that are free, per minute.
    pub unauthenticated_per_minute: u32,
    /// Time to finish what is in flight when the broker stops, in milliseconds.
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            handshake_ms: 10_000,
            idle_s: 300,
            in_flight_per_connection: 64,
            sessions_per_connection: 8,
            unauthenticated_per_minute: 600,
            drain_ms: 10_000,
        }
    }
}

/// The sandbox.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// `strict`, `permissive` or `off`.
    #[serde(deserialize_with = "sandbox_mode")]
    pub sandbox: dbal_sandbox::Mode,
    /// Who to become when started as root: a user's name, or `uid:gid`.
    pub run_as: Option<String>,
    /// Whether to leave the network: listeners go on accepting, nothing can be connected to.
    pub leave_network: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            sandbox: dbal_sandbox::Mode::Strict,
            run_as: None,
            leave_network: false,
        }
    }
}

/// The log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged.
    pub level: LogLevel,
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// To the journal under systemd, else text.
    #[default]
    Auto,
    /// Text on standard error.
    Text,
    /// A JSON object per line on standard error.
    Json,
    /// To the journal.
    Journald,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs a human.
    Error,
    /// And what may soon.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And every call.
    Debug,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: can't be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that it must not.
    #[error("{path}:{place}: {text}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and column.
        place: Place,
        /// What, and what to do.
        text: String,
    },
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

impl BrokerConfig {
    /// Reads the file; relative paths in it start from its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(path, &text)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        for relative in config.paths() {
            *relative = folder.join(&*relative);
        }
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        serde_saphyr::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            let place = error.location().map_or(Place { line: 1, column: 1 }, |at| Place {
                line: at.line(),
                column: at.column(),
            });
            ConfigError::Invalid {
                path: path.to_owned(),
                place,
                text: explain(error),
            }
        })
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let Self {
            listen: _,
            admin: _,
            tls: Tls { certificate, key },
            worker: Worker { socket, uid: _ },
            entities,
            policy,
            auth: Auth {
                token_in_query: _,
                tokens,
            },
            limits: _,
            security: _,
            log: _,
        } = self;
        let mut paths = vec![certificate, key, socket, entities, policy];
        paths.extend(tokens.jwks.as_mut());
        paths.extend(tokens.keys.iter_mut().filter_map(|key| key.public_key.as_mut()));
        paths
    }
}

fn explain(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::SerdeUnknownField { field, expected, .. } = error {
        let near = expected
            .iter()
            .map(|known| (distance(field, known), known))
            .min()
            .filter(|(distance, known)| distance.saturating_mul(2) <= known.len());
        return match near {
            Some((_, known)) => format!("unknown key `{field}`; did you mean `{known}`?"),
            None => format!("unknown key `{field}`; there are {}", expected.join(", ")),
        };
    }
    if let serde_saphyr::Error::SerdeMissingField { field, .. } = error {
        return format!("`{field}` is missing");
    }
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Levenshtein's distance: letters to add, drop or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for letter in from.chars() {
        let mut diagonal = row.first().copied().unwrap_or(0);
        let mut left = diagonal.saturating_add(1);
        let mut next = vec![left];
        for (other, above) in to.iter().zip(row.iter().skip(1)) {
            let change = diagonal.saturating_add(usize::from(letter != *other));
            left = change.min(left.saturating_add(1)).min(above.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50_051))
}

/// What the administrative listener tells is for the operator, and it has no login.
fn loopback<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let address = Option::<SocketAddr>::deserialize(deserializer)?;
    match address {
        Some(address) if !address.ip().is_loopback() => Err(serde::de::Error::custom(format_args!(
            "`admin` is {address}; it has no login, so it must be a loopback address such as 127.0.0.1:9464"
        ))),
        address => Ok(address),
    }
}

fn sandbox_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<dbal_sandbox::Mode, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "\
tls: {certificate: c.pem, key: k.pem}
worker: {socket: w.sock}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: i, audience: a, keys: [{kid: one, algorithm: EdDSA, public_key: one.pem}]}}
";

    fn error(text: &str) -> String {
        BrokerConfig::parse(Path::new("broker.yaml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_least_configuration_is_safe() {
        let config = BrokerConfig::parse(Path::new("broker.yaml"), LEAST).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.admin, None);
        assert!(!config.auth.token_in_query);
        assert_eq!(config.security.sandbox, dbal_sandbox::Mode::Strict);
    }

    #[test]
    fn relative_paths_start_from_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.yaml");
        #[expect(
            clippy::disallowed_methods,
            reason = "a test makes the file that the broker reads"
        )]
        std::fs::write(&path, LEAST).unwrap();
        let config = BrokerConfig::load(&path).unwrap();
        assert_eq!(config.tls.key, folder.path().join("k.pem"));
        let key = config.auth.tokens.keys[0].public_key.clone();
        assert_eq!(key, Some(folder.path().join("one.pem")));
    }

    #[test]
    fn what_is_wrong_is_told_with_place_and_suggestion() {
        for (text, expected) in [
            (
                format!("{LEAST}limits: {{conections: 5}}\n"),
                "broker.yaml:6:10: unknown key `conections`; did you mean `connections`?",
            ),
            (
                format!("{LEAST}database: x\n"),
                "broker.yaml:6:1: unknown key `database`; there are",
            ),
            (
                format!("{LEAST}admin: 0.0.0.0:9464\n"),
                "must be a loopback address",
            ),
            (
                format!("{LEAST}security: {{sandbox: soft}}\n"),
                "`soft` is no sandbox mode",
            ),
            ("tls: {certificate: c}\n".to_owned(), "`key` is missing"),
        ] {
            let error = error(&text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
