//! `broker.yaml`: what it may say, with the place and a suggestion where it says something else. It holds no secret.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use dbal_identity::TokenRules;
use dbal_settings::{CALLS_PER_SECOND, Log, Mistake, SpanOutput, parse};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// The broker's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Where clients connect. Ignored when the service manager hands over a listener.
    #[serde(default = "default_listen", deserialize_with = "address")]
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
    /// What the policy must be proven to keep, or it is not put in force; the worker must have the same.
    #[serde(default)]
    pub invariants: Option<PathBuf>,
    /// The note that the policy has passed its tests, without which it is not put in force; the worker should go by it too.
    #[serde(default)]
    pub policy_tested: Option<PathBuf>,
    /// Tests of the policy, a file or a folder of them. For `dbal policy test` and `reload`; the broker does not read them.
    #[serde(default)]
    pub policy_tests: Option<PathBuf>,
    /// How clients prove who they are.
    #[serde(default)]
    pub auth: Auth,
    /// What it does for the audit trail, which the worker writes.
    #[serde(default)]
    pub audit: Audit,
    /// Bounds on what clients may do.
    #[serde(default)]
    pub limits: Limits,
    /// The sandbox.
    #[serde(default)]
    pub security: Security,
    /// The log.
    #[serde(default)]
    pub log: Log,
    /// Spans for OpenTelemetry.
    #[serde(default)]
    pub traces: Traces,
}

/// Certificate and key, PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Clients' certificates, if they are asked for.
    #[serde(default)]
    pub clients: Option<Clients>,
}

/// Clients' certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Authorities that may speak for clients, PEM.
    pub ca: PathBuf,
    /// Lists of certificates that are revoked, PEM, one for each authority. Where there are any, a certificate of which none
    /// of them tells is refused.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    /// Whether a client without a certificate is turned away.
    #[serde(default)]
    pub required: bool,
    /// Whether a client that shows nothing but its certificate is its certificate's name, where the worker entrusts the
    /// broker with that (`auth.certificates`).
    #[serde(default)]
    pub alone: bool,
    /// Pages whose scripts may be their visitor so, by their origin (`https://app.example`). A browser shows its certificate to
    /// whomever any page connects to, so for those of all other origins it is no proof by itself.
    #[serde(default, deserialize_with = "origins")]
    pub origins: Vec<String>,
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Whether `?access_token=` is taken from the URL. URLs end up in logs of proxies, so it is off unless needed.
    #[serde(default)]
    pub token_in_query: bool,
    /// Tokens that can be checked with public keys. What needs a secret is the worker's; without any, it checks everything.
    #[serde(default)]
    pub tokens: Option<TokenRules>,
}

/// What the broker does for the audit trail.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// File of the secret key that signs the heads of the trail that the worker shows; without, they are only remembered. The
    /// worker must not be able to read it.
    pub countersign_key: Option<PathBuf>,
}

/// Bounds on what clients may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    #[serde(deserialize_with = "one_or_more")]
    pub connections: usize,
    /// Connections from one address.
    #[serde(deserialize_with = "one_or_more")]
    pub connections_per_address: usize,
    /// Connections of one principal.
    #[serde(deserialize_with = "one_or_more")]
    pub connections_per_principal: u32,
    /// Connections of all addresses on which nobody has proven anything yet; the oldest of them makes room.
    #[serde(deserialize_with = "one_or_more")]
    pub unproven_connections: usize,
    /// How often one address may connect, per minute.
    #[serde(deserialize_with = "one_or_more")]
    pub new_connections_per_minute: u32,
    /// Time for the TLS handshake, and again for the HTTP head, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub handshake_ms: u64,
    /// A connection on which nobody has proven anything for so long is closed, in seconds.
    #[serde(deserialize_with = "seconds")]
    pub unproven_s: u64,
    /// A client that answers no ping for so long is gone, in seconds.
    #[serde(deserialize_with = "seconds")]
    pub idle_s: u64,
    /// Time for one message from its first byte to its last, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub message_ms: u64,
    /// Time for a client to take what is sent to it, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub write_ms: u64,
    /// Messages of all clients that are under way or worked on, in MiB. One address may have a quarter of it.
    #[serde(deserialize_with = "mebibytes")]
    pub messages_mib: usize,
    /// Calls of one connection that are worked on at once; beyond it its socket is not read.
    #[serde(deserialize_with = "one_or_more")]
    pub in_flight_per_connection: usize,
    /// Sessions kept for one connection whose messages bring tokens of their own.
    #[serde(deserialize_with = "one_or_more")]
    pub sessions_per_connection: usize,
    /// Failed proofs and malformed messages of one address that are free, per minute.
    #[serde(deserialize_with = "one_or_more")]
    pub unauthenticated_per_minute: u32,
    /// Proofs of one address that nobody ever issued and that are free; each further one doubles a pause.
    pub failed_proofs: u32,
    /// The longest such pause, in seconds; 0: none.
    #[serde(deserialize_with = "pause")]
    pub failed_proofs_pause_s: u64,
    /// Time to finish what is in flight when the broker stops, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            connections_per_principal: 1_000,
            unproven_connections: 2_500,
            new_connections_per_minute: 6_000,
            handshake_ms: 10_000,
            unproven_s: 60,
            idle_s: 300,
            message_ms: 30_000,
            write_ms: 20_000,
            messages_mib: 256,
            in_flight_per_connection: 64,
            sessions_per_connection: 8,
            unauthenticated_per_minute: 600,
            failed_proofs: 20,
            failed_proofs_pause_s: 60,
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
            leave_network: true,
        }
    }
}

/// Spans for OpenTelemetry (docs/tracing.md).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Where they go.
    pub spans: SpanOutput,
    /// Of calls that bring no trace of their own: the share that begins one, from 0 to 1.
    #[serde(deserialize_with = "share")]
    pub sample: f64,
    /// Most calls of one second whose spans are written.
    pub calls_per_second: u32,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            spans: SpanOutput::Off,
            sample: 0.0,
            calls_per_second: CALLS_PER_SECOND,
        }
    }
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
    #[error(transparent)]
    Mistake(#[from] Mistake),
}

impl Auth {
    /// Files that keys for tokens are read from.
    pub fn key_files(&self) -> Vec<PathBuf> {
        self.tokens.iter().flat_map(TokenRules::files).collect()
    }
}

impl BrokerConfig {
    /// Reads the file; relative paths in it start from its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut config: Self = parse(path, &text)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        for relative in config.paths() {
            *relative = folder.join(&*relative);
        }
        Ok(config)
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let Self {
            listen: _,
            admin: _,
            tls:
                Tls {
                    certificate,
                    key,
                    clients,
                },
            worker: Worker { socket, uid: _ },
            entities,
            policy,
            invariants,
            policy_tested,
            policy_tests,
            auth: Auth {
                token_in_query: _,
                tokens,
            },
            audit: Audit { countersign_key },
            limits: _,
            security: _,
            log: _,
            traces: _,
        } = self;
        let mut paths = vec![certificate, key, socket, entities, policy];
        paths.extend(invariants.as_mut());
        paths.extend(policy_tested.as_mut());
        paths.extend(policy_tests.as_mut());
        paths.extend(countersign_key.as_mut());
        if let Some(Clients {
            ca,
            crl,
            required: _,
            alone: _,
            origins: _,
        }) = clients
        {
            paths.push(ca);
            paths.extend(crl);
        }
        if let Some(tokens) = tokens {
            paths.extend(tokens.jwks.as_mut());
            paths.extend(tokens.keys.iter_mut().filter_map(|key| key.public_key.as_mut()));
        }
        paths
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50_051))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = &"an address with a port, such as 127.0.0.1:50051 or [::]:50051; names are not resolved";
    text.parse()
        .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), expected))
}

/// What the administrative listener tells is for the operator, and it has no login.
fn loopback<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Some(address)),
        Ok(_) | Err(_) => Err(D::Error::invalid_value(
            Unexpected::Str(&text),
            &"a loopback address such as 127.0.0.1:9464: it has no login",
        )),
    }
}

/// As browsers write them (RFC 6454 §6.2): whatever is written otherwise would equal none.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &&String| {
        let is_part = |part: &str| !part.is_empty() && !part.contains(['/', '?', '#', '@', ' ', '*']);
        let is_lower = !text.contains(|letter: char| letter.is_ascii_uppercase());
        is_lower
            && text
                .split_once("://")
                .is_some_and(|(scheme, host)| is_part(scheme) && is_part(host))
    };
    match origins.iter().find(|text| !is_origin(text)) {
        None => Ok(origins),
        Some(text) => Err(D::Error::invalid_value(
            Unexpected::Str(text),
            &"the origin of a page as browsers write it, such as https://app.example or https://app.example:8443",
        )),
    }
}

/// With 0 the broker would serve nobody; and what is longer than a day no clock could be asked for.
fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: RangeInclusive<u64>,
    expected: &str,
) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::invalid_value(Unexpected::Unsigned(number), &expected))
    }
}

fn one_or_more<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    let expected = "a whole number of 1 or more, up to 4294967295";
    let number = within(deserializer, 1..=u64::from(u32::MAX), expected)?;
    T::try_from(number).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(number), &expected))
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 1..=600_000, "milliseconds from 1 to 600000")
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 1..=86_400, "seconds from 1 to 86400, a day")
}

fn pause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 0..=3_600, "seconds from 0, for no pause, to 3600")
}

fn mebibytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let expected = "mebibytes from 1 to 65536";
    let number = within(deserializer, 1..=65_536, expected)?;
    usize::try_from(number).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(number), &expected))
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Float(share),
            &"a share from 0 (none) to 1 (all)",
        ))
    }
}

fn sandbox_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<dbal_sandbox::Mode, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"strict, permissive or off"))
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
        parse::<BrokerConfig>(Path::new("broker.yaml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_least_configuration_is_safe() {
        let config = parse::<BrokerConfig>(Path::new("broker.yaml"), LEAST).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.admin, None);
        assert!(!config.auth.token_in_query);
        assert_eq!(config.security.sandbox, dbal_sandbox::Mode::Strict);
    }

    #[test]
    fn the_example_of_the_documentation_loads() {
        let page = include_str!("../../docs/config.md");
        let example = page.split_once("## broker.yaml\n\n```yaml\n").unwrap().1;
        let example = example.split_once("```").unwrap().0;
        let config: BrokerConfig = parse(Path::new("broker.yaml"), example).unwrap();
        assert_eq!(config.admin.map(|admin| admin.port()), Some(9464));
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
        let key = config.auth.tokens.unwrap().keys[0].public_key.clone();
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
                "broker.yaml:6:1: unknown key `database` (known: listen, admin, tls",
            ),
            (
                format!("{LEAST}admin: 0.0.0.0:9464\n"),
                "broker.yaml:6:1: expected a loopback address",
            ),
            (
                format!("{LEAST}security: {{sandbox: soft}}\n"),
                "expected strict, permissive or off",
            ),
            (
                format!("{LEAST}listen: localhost:1\n"),
                "expected an address with a port",
            ),
            (
                format!("{LEAST}limits: {{in_flight_per_connection: 0}}\n"),
                "broker.yaml:6:10: expected a whole number of 1 or more",
            ),
            (
                format!("{LEAST}limits: {{handshake_ms: 0}}\n"),
                "expected milliseconds from 1 to 600000",
            ),
            (
                format!("{LEAST}limits: {{idle_s: 18446744073709551615}}\n"),
                "expected seconds from 1 to 86400",
            ),
            (
                format!("{LEAST}limits: {{messages_mib: 0}}\n"),
                "expected mebibytes from 1",
            ),
            (
                format!("{LEAST}traces: {{spans: stdout, sample: 1.5}}\n"),
                "expected a share from 0",
            ),
            (
                LEAST.replace(
                    "key: k.pem",
                    "key: k.pem, clients: {ca: c.pem, alone: true, origins: [\"https://app.example/\"]}",
                ),
                "expected the origin of a page as browsers write it",
            ),
            ("tls: {certificate: c}\n".to_owned(), "`key` is missing"),
        ] {
            let error = error(&text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn no_pause_for_guesses_is_a_limit_that_may_be_0() {
        let text = format!("{LEAST}limits: {{failed_proofs_pause_s: 0, failed_proofs: 0}}\n");
        let config = parse::<BrokerConfig>(Path::new("broker.yaml"), &text).unwrap();
        assert_eq!(config.limits.failed_proofs_pause_s, 0);
    }

    #[test]
    fn without_rules_for_tokens_the_worker_judges_them_all() {
        let (least, _) = LEAST.split_once("auth:").unwrap();
        let config = parse::<BrokerConfig>(Path::new("broker.yaml"), least).unwrap();
        assert!(config.auth.key_files().is_empty());
    }
}
