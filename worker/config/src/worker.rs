//! What `worker.yaml` may say. Unknown keys are errors; every default stands here and nowhere else.

use std::path::{Path, PathBuf};

use dbal_identity::TokenRules;
use dbal_settings::{CALLS_PER_SECOND, Log, SpanOutput};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::certificates::CertificateRules;
use crate::channel_binding::ChannelBinding;
use crate::error::ConfigError;
use crate::host::Host;
use crate::mysql::Mysql;
use crate::postgresql::Postgresql;
use crate::prisma::{Bridge, Prisma, Scheme};
use crate::sessions::SessionRules;
use crate::ssl_mode::SslMode;

/// The worker's whole configuration, paths made absolute against the folder of its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// Where brokers connect.
    pub socket: Socket,
    /// Where the rows are.
    pub database: Database,
    /// Folder of entity files; the broker must hold the same.
    pub entities: PathBuf,
    /// Policy file; the broker must hold the same.
    pub policy: PathBuf,
    /// What the policy must be proven to keep, or it is not put in force; the broker must hold the same.
    #[serde(default)]
    pub invariants: Option<PathBuf>,
    /// The note that the policy has passed its tests, without which it is not put in force; the broker should go by it too.
    #[serde(default)]
    pub policy_tested: Option<PathBuf>,
    /// How callers prove who they are.
    pub auth: Auth,
    /// Where the audit trail goes.
    pub audit: Audit,
    /// How the process locks itself in.
    #[serde(default)]
    pub security: Security,
    /// Secret keys of cursors, 64 hexadecimal digits each (`dbal keygen --cursors`): the first seals, each opens. Without,
    /// cursors end with the worker.
    #[serde(default, deserialize_with = "cursor_keys")]
    pub cursor_keys: Vec<SecretString>,
    /// Bounds on work.
    #[serde(default)]
    pub limits: Limits,
    /// Answers that are kept, where entities say so.
    #[serde(default)]
    pub cache: Cache,
    /// Rows whose time is over.
    #[serde(default)]
    pub expiry: Expiry,
    /// Where the log goes.
    #[serde(default)]
    pub log: Log,
    /// Spans for OpenTelemetry.
    #[serde(default)]
    pub traces: Traces,
    /// What an operator should know about the file itself; the worker logs it.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// Spans for OpenTelemetry, of the calls that the broker records (docs/tracing.md).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Where they go.
    pub spans: SpanOutput,
    /// Most calls of one second whose spans are written, whatever the broker says.
    pub calls_per_second: u32,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            spans: SpanOutput::Off,
            calls_per_second: CALLS_PER_SECOND,
        }
    }
}

/// The Unix socket towards the broker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Its path; none when the socket is inherited.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Its file mode, written in octal.
    #[serde(default = "socket_mode", deserialize_with = "octal")]
    pub mode: u32,
    /// The only user ids that may talk on it (`SO_PEERCRED`). Empty: only the worker's own user.
    #[serde(default)]
    pub allow_uid: Vec<u32>,
}

/// The database. One key names the kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// A SQLite file.
    Sqlite(Sqlite),
    /// A PostgreSQL server.
    Postgresql(Postgresql),
    /// A MariaDB or MySQL server.
    Mysql(Mysql),
    /// A bridge to a Prisma client.
    Prisma(Prisma),
}

/// A SQLite file and how it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sqlite {
    /// The file. Its folder must be the worker's to write, since SQLite keeps its journal beside it.
    pub path: PathBuf,
    /// Connections that only read.
    #[serde(default = "readers", deserialize_with = "from_1_to_64")]
    pub readers: u32,
    /// When a commit reaches the disk.
    #[serde(default)]
    pub synchronous: Synchronous,
    /// Whether missing tables are made from the entities at start.
    #[serde(default)]
    pub create_tables: bool,
}

/// SQLite's `PRAGMA synchronous`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// Each commit is on the disk before it is answered.
    #[default]
    Full,
    /// Commits survive a crash of the process; the last ones may be lost with the machine's power.
    Normal,
}

/// How callers prove who they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Signed tokens (JWT), if any are taken.
    #[serde(default)]
    pub tokens: Option<TokenRules>,
    /// The file of API keys (`dbal key`), if there are any.
    #[serde(default)]
    pub api_keys: Option<PathBuf>,
    /// Where opaque session tokens are looked up, if there are any.
    #[serde(default)]
    pub sessions: Option<SessionRules>,
    /// Client certificates that are somebody by themselves, if the broker is entrusted with any.
    #[serde(default)]
    pub certificates: Option<CertificateRules>,
    /// Nobody proves anything, on purpose: everybody is `public`. Without it, a configuration that names no proof is refused.
    #[serde(default)]
    pub public_only: bool,
}

/// The audit trail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Folder of its files.
    pub directory: PathBuf,
    /// What happens to calls while it can't be written.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// When records reach the disk.
    #[serde(default)]
    pub durability: Durability,
    /// Milliseconds between two syncs, for `interval`.
    #[serde(default = "interval_ms", deserialize_with = "from_1_to_60_000")]
    pub interval_ms: u32,
    /// Mebibytes after which the trail goes on in another file.
    #[serde(default = "rotate_mib", deserialize_with = "from_1_to_65_536")]
    pub rotate_mib: u32,
    /// Hours after which the trail goes on in another file.
    #[serde(default = "rotate_hours", deserialize_with = "from_1_to_65_536")]
    pub rotate_hours: u32,
    /// Most files that are kept beside the one that is written; without, all are.
    #[serde(default, deserialize_with = "maybe_from_1_to_65_536")]
    pub keep_files: Option<u32>,
    /// Days that files are kept after their last record; without, for ever.
    #[serde(default, deserialize_with = "maybe_from_1_to_65_536")]
    pub keep_days: Option<u32>,
    /// Whether files that ended are compressed (gzip).
    #[serde(default = "compress")]
    pub compress: bool,
    /// Secret key of checkpoints, 64 hexadecimal digits (`dbal keygen --checkpoints`); without, there are none.
    #[serde(default, deserialize_with = "checkpoint_key")]
    pub checkpoint_key: Option<SecretString>,
    /// Records from one checkpoint to the next.
    #[serde(default = "checkpoint_records", deserialize_with = "from_1_to_65_536")]
    pub checkpoint_records: u32,
}

/// What happens to calls while the audit can't be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They are refused: nothing happens that nobody wrote down.
    #[default]
    Refuse,
    /// They go on; the log says so.
    Continue,
}

/// When audit records reach the disk. They reach the kernel before any answer leaves, in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every `interval_ms`: a crash of the machine may lose that much.
    #[default]
    Interval,
    /// Before the answer leaves.
    Always,
}

/// How the process locks itself in.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// What happens when a layer can't be had.
    pub sandbox: Sandbox,
    /// User to become, if started as root: a name or `uid:gid`.
    pub run_as: Option<String>,
}

/// What happens when a layer of the sandbox can't be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// The worker does not start.
    #[default]
    Strict,
    /// It starts and says what is missing.
    Permissive,
    /// There is none.
    Off,
}

impl Sandbox {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Sandbox::Strict => "strict",
            Sandbox::Permissive => "permissive",
            Sandbox::Off => "off",
        }
    }
}

/// Bounds on work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest time of one statement, in milliseconds. Callers may ask for less.
    #[serde(deserialize_with = "from_1_to_29_000")]
    pub query_timeout_ms: u32,
    /// Most calls that wait for the database; more are answered 503.
    #[serde(deserialize_with = "from_1_to_65_536")]
    pub queue: u32,
    /// How long a call may wait for the database before it is answered 503, in milliseconds.
    #[serde(deserialize_with = "from_1_to_29_000")]
    pub queue_ms: u32,
    /// Time to finish what is in flight when the worker stops, in milliseconds.
    #[serde(deserialize_with = "from_1_to_29_000")]
    pub drain_ms: u32,
    /// How long answers to writes with an idempotency key are kept, in hours.
    #[serde(deserialize_with = "from_1_to_8_760")]
    pub idempotency_hours: u32,
    /// How long the database may be away before the worker ends, to be started again and ask anew which address its name
    /// means; in seconds.
    #[serde(deserialize_with = "from_1_to_3_600")]
    pub resolve_again_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_timeout_ms: 10_000,
            queue: 1_024,
            queue_ms: 3_000,
            drain_ms: 10_000,
            idempotency_hours: 24,
            resolve_again_s: 60,
        }
    }
}

/// Answers that are kept, where entities say so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Whether any are, whatever entities say.
    pub enabled: bool,
    /// All of them together, in mebibytes.
    #[serde(deserialize_with = "from_1_to_65_536")]
    pub size_mb: u32,
    /// Longest time that one is kept, in seconds, whatever entities say.
    #[serde(deserialize_with = "from_1_to_86_400")]
    pub ttl: u32,
    /// What is to be thought of other daemons on the same database where it does not tell what they write.
    pub other_daemons: Option<OtherDaemons>,
}

/// What is to be thought of other daemons on the same database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherDaemons {
    /// There are none, or what they write may be seen as late as an answer is kept.
    WithinTtl,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            size_mb: 256,
            ttl: 300,
            other_daemons: None,
        }
    }
}

/// Rows whose time is over, where entities say `ttl: {auto_delete: true}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expiry {
    /// Whether this worker removes any, whatever entities say.
    pub enabled: bool,
    /// About how often it looks for them, in seconds.
    #[serde(deserialize_with = "from_1_to_86_400")]
    pub interval_s: u32,
}

impl Default for Expiry {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_s: 60,
        }
    }
}

/// Most keys of cursors: the one that seals and some that did. Each is tried with every cursor that is no good.
const CURSOR_KEYS: usize = 8;
/// `sockaddr_un` holds 108 bytes with the final NUL (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;

impl WorkerConfig {
    /// Makes relative paths absolute and refuses what the types alone can't.
    pub(crate) fn settle(mut self, folder: &Path) -> Result<Self, ConfigError> {
        let Self {
            socket,
            database,
            entities,
            policy,
            invariants,
            policy_tested,
            auth,
            audit,
            security: _,
            cursor_keys: _,
            limits: _,
            cache,
            expiry: _,
            log: _,
            traces: _,
            warnings,
        } = &mut self;
        if cache.other_daemons.is_some() && matches!(database, Database::Postgresql(_)) {
            return Err(ConfigError::OthersAreHeard);
        }
        if let Some(path) = &mut socket.path {
            resolve(folder, path);
            let bytes = path.as_os_str().len();
            if bytes > SOCKET_PATH_BYTES {
                return Err(ConfigError::SocketPath {
                    path: path.clone(),
                    bytes,
                });
            }
        }
        match database {
            Database::Sqlite(sqlite) => resolve(folder, &mut sqlite.path),
            Database::Postgresql(postgresql) => settle_postgresql(postgresql, folder)?,
            Database::Mysql(mysql) => settle_mysql(mysql, folder)?,
            Database::Prisma(prisma) => warnings.extend(settle_prisma(prisma, folder)?),
        }
        resolve(folder, entities);
        resolve(folder, policy);
        for path in [invariants, policy_tested].into_iter().flatten() {
            resolve(folder, path);
        }
        resolve(folder, &mut audit.directory);
        settle_auth(auth, folder)?;
        Ok(self)
    }
}

/// Somebody must be able to prove who they are, or the file says that nobody shall.
fn settle_auth(auth: &mut Auth, folder: &Path) -> Result<(), ConfigError> {
    let Auth {
        tokens,
        api_keys,
        sessions,
        certificates,
        public_only,
    } = auth;
    let is_provable = tokens.is_some() || api_keys.is_some() || sessions.is_some() || certificates.is_some();
    match (is_provable, *public_only) {
        (true, false) | (false, true) => {}
        (false, false) => return Err(ConfigError::NoProof),
        (true, true) => return Err(ConfigError::ProofForNobody),
    }
    if let Some(tokens) = tokens {
        for path in tokens.keys.iter_mut().filter_map(|key| key.public_key.as_mut()) {
            resolve(folder, path);
        }
        if let Some(path) = &mut tokens.jwks {
            resolve(folder, path);
        }
    }
    if let Some(path) = api_keys {
        resolve(folder, path);
    }
    Ok(())
}

fn settle_postgresql(postgresql: &mut Postgresql, folder: &Path) -> Result<(), ConfigError> {
    let Postgresql {
        host,
        port: _,
        database: _,
        user: _,
        password: _,
        schema: _,
        ssl_mode,
        channel_binding,
        ca_file,
        pool_size: _,
        target: _,
        create_tables: _,
    } = postgresql;
    let is_remote = host
        .iter()
        .any(|host| matches!(host, Host::Tcp { name: _, port: _ }));
    if is_remote && ca_file.is_none() && ssl_mode.is_verifying() {
        return Err(ConfigError::NoAuthority {
            kind: "postgresql",
            ssl_mode: ssl_mode.name(),
        });
    }
    let is_without_tls = |host: &Host| matches!(host, Host::Folder(_)) || *ssl_mode == SslMode::Disable;
    if *channel_binding == ChannelBinding::Require && host.iter().any(is_without_tls) {
        return Err(ConfigError::NothingToBind);
    }
    if let Some(path) = ca_file {
        resolve(folder, path);
    }
    Ok(())
}

fn settle_mysql(mysql: &mut Mysql, folder: &Path) -> Result<(), ConfigError> {
    let Mysql {
        host,
        port: _,
        socket,
        database: _,
        user: _,
        password: _,
        ssl_mode,
        ca_file,
        pool_size: _,
        target: _,
        create_tables: _,
    } = mysql;
    let is_folder = |host: &Host| matches!(host, Host::Folder(_));
    if host.is_empty() != socket.is_some() || host.iter().any(is_folder) {
        return Err(ConfigError::HostOrSocket);
    }
    if !host.is_empty() && ca_file.is_none() && ssl_mode.is_verifying() {
        return Err(ConfigError::NoAuthority {
            kind: "mysql",
            ssl_mode: ssl_mode.name(),
        });
    }
    for path in [socket, ca_file].into_iter().flatten() {
        resolve(folder, path);
    }
    Ok(())
}

/// What an operator should know of it.
fn settle_prisma(prisma: &mut Prisma, folder: &Path) -> Result<Option<String>, ConfigError> {
    let Prisma {
        url,
        token: _,
        dialect: _,
        ca_file,
        allow_plain_http,
        pool_size: _,
    } = prisma;
    let is_encrypted = matches!(
        url,
        Bridge::Tcp {
            scheme: Scheme::Https,
            ..
        }
    );
    if is_encrypted && ca_file.is_none() {
        return Err(ConfigError::NoBridgeAuthority);
    }
    if let Some(path) = ca_file {
        resolve(folder, path);
    }
    if !url.is_plain() || url.is_local() {
        return Ok(None);
    }
    if !*allow_plain_http {
        return Err(ConfigError::PlainBridge);
    }
    Ok(Some(format!(
        "`database.prisma.url` is {url}: the bridge's token and all rows cross the network in clear, and whoever stands between \
         can take and change them"
    )))
}

fn resolve(folder: &Path, path: &mut PathBuf) {
    // `join` keeps an absolute path as it is.
    *path = folder.join(&*path);
}

fn socket_mode() -> u32 {
    0o660
}

fn readers() -> u32 {
    2
}

fn interval_ms() -> u32 {
    100
}

fn rotate_mib() -> u32 {
    64
}

fn rotate_hours() -> u32 {
    24
}

fn compress() -> bool {
    true
}

fn checkpoint_records() -> u32 {
    1_000
}

fn maybe_from_1_to_65_536<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    from_1_to_65_536(deserializer).map(Some)
}

fn checkpoint_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let key = SecretString::deserialize(deserializer)?;
    if is_key(&key) {
        Ok(Some(key))
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Other("another text"),
            &"a key of checkpoints: 64 hexadecimal digits (in quotes), as `dbal keygen --checkpoints` makes them",
        ))
    }
}

fn cursor_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    let keys = Vec::<SecretString>::deserialize(deserializer)?;
    if keys.len() <= CURSOR_KEYS && keys.iter().all(is_key) {
        Ok(keys)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Other("another list"),
            &"up to 8 keys of cursors, each of 64 hexadecimal digits (in quotes), as `dbal keygen --cursors` makes them",
        ))
    }
}

/// 32 bytes in hexadecimal.
fn is_key(key: &SecretString) -> bool {
    let mut digits = key.expose_secret().bytes();
    digits.len() == 64 && digits.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// File modes are octal to everyone but YAML, to which `0660` is six hundred and sixty.
fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(_) | Err(_) => Err(D::Error::invalid_value(
            Unexpected::Str(&text),
            &"a file mode in octal, such as 0660",
        )),
    }
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D, most: u32, expected: &str) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Unsigned(number.into()),
            &expected,
        ))
    }
}

pub(crate) fn from_1_to_64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 64, "a number from 1 to 64")
}

pub(crate) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = bounded(deserializer, 65_535, "a port from 1 to 65535")?;
    u16::try_from(number).map_err(D::Error::custom)
}

fn from_1_to_29_000<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 29_000, "milliseconds from 1 to 29000")
}

fn from_1_to_60_000<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 60_000, "milliseconds from 1 to 60000")
}

pub(crate) fn from_1_to_3_600<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 3_600, "seconds from 1 to 3600")
}

fn from_1_to_8_760<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 8_760, "a number of hours from 1 to 8760, a year")
}

fn from_1_to_86_400<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 86_400, "seconds from 1 to 86400, a day")
}

fn from_1_to_65_536<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 65_536, "a number from 1 to 65536")
}
