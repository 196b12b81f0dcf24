//! Everything that can be wrong with a configuration: where it is wrong and what to do. Never a value from the file.

use std::path::PathBuf;

use dbal_settings::Mistake;

/// Why a configuration could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A plain file that others may read.
    #[error(
        "{}: holds secrets in plain text and others may read it (mode {mode:04o}); \
         `chmod 600 {}`, or better `dbal config encrypt {}`",
        path.display(), path.display(), path.display()
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Sealed, and nothing to open it with.
    #[error(
        "{}: is sealed with age; name its identity by `--identity FILE`, `--identity-fd N` \
         or the systemd credential `dbal-identity`",
        path.display()
    )]
    NoIdentity {
        /// The file.
        path: PathBuf,
    },
    /// The identity can't be had, or does not fit.
    #[error("{}: {source}", path.display())]
    Sealed {
        /// The configuration file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// Not YAML, or not what a configuration may say.
    #[error("{0}")]
    Content(#[from] Mistake),
    /// Each key is what it may be, and together they are not.
    #[error("{}: {source}", path.display())]
    Together {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<ConfigError>,
    },
    /// TLS that is to be verified against nobody.
    #[error(
        "`database.{kind}.ssl_mode` is {ssl_mode}, which needs `ca_file`: the certificate authorities, PEM, that may speak \
         for the server"
    )]
    NoAuthority {
        /// The kind of database.
        kind: &'static str,
        /// The mode.
        ssl_mode: &'static str,
    },
    /// Without TLS there is no certificate.
    #[error(
        "`database.postgresql.channel_binding` is require, which needs TLS: no `host` that is a folder, and another `ssl_mode` than disable"
    )]
    NothingToBind,
    /// The same for a bridge, which has no modes.
    #[error(
        "`database.prisma.url` is https, which needs `ca_file`: the certificate authorities, PEM, that may speak for the bridge"
    )]
    NoBridgeAuthority,
    /// A token in clear.
    #[error(
        "`database.prisma.url` is http and leads away from this machine: token and rows would cross the network in clear; \
         use https, or say `allow_plain_http: true` where something else encrypts"
    )]
    PlainBridge,
    /// Nobody could log in, and nobody said that this is meant.
    #[error(
        "`auth` names no way to prove who one is: give it `tokens`, `api_keys`, `sessions` or `certificates`; \
         or say `auth: {{public_only: true}}` where everybody shall be `public`"
    )]
    NoProof,
    /// Both at once.
    #[error("`auth.public_only` is true beside ways to prove who one is: take out the one or the others")]
    ProofForNobody,
    /// A server is in one place.
    #[error("`database.mysql` needs a `host` (names or addresses) or a `socket` (a path), and not both")]
    HostOrSocket,
    /// Something is accepted that there is no need to accept.
    #[error(
        "`cache.other_daemons` is not for `database.postgresql`: what other daemons write there is heard; leave it out"
    )]
    OthersAreHeard,
    /// The kernel takes no longer path for a socket.
    #[error("`socket.path` {} has {bytes} bytes; a Unix socket's path may have 107", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

/// Why something could not be sealed or opened with age.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The identity can't be read.
    #[error("identity {from}: can't be read: {source}")]
    IdentityRead {
        /// Where it was looked for.
        from: String,
        /// Why.
        source: std::io::Error,
    },
    /// The identity is open to others.
    #[error("identity {}: others may read it (mode {mode:04o}); `chmod 600 {}`", path.display(), path.display())]
    IdentityReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is no such credential.
    #[error(
        "the systemd credential `dbal-identity` is not there; the unit needs \
         `LoadCredential=dbal-identity:…` or `LoadCredentialEncrypted=dbal-identity:…`"
    )]
    NoCredential,
    /// Not an age identity.
    #[error("identity {from}: holds no line that begins with AGE-SECRET-KEY-1; `dbal keygen` makes one")]
    NotAnIdentity {
        /// Where it was looked for.
        from: String,
    },
    /// Not an age recipient.
    #[error("`{given}` is not an age recipient; one begins with age1 and is printed by `dbal keygen`")]
    NotARecipient {
        /// What was given.
        given: String,
    },
    /// Nobody to seal for.
    #[error("no recipient given: nobody could open the file again")]
    NoRecipient,
    /// The identity is another one.
    #[error("this identity does not open it; the file was sealed for another recipient")]
    WrongIdentity,
    /// Not an age file, cut short or changed.
    #[error("is not an age file, or was cut or changed: {0}")]
    Damaged(String),
    /// What was sealed is not text.
    #[error("what was sealed is not UTF-8 text")]
    NotText,
    /// Longer than any configuration.
    #[error("is longer than {most} bytes, which no configuration needs")]
    TooLong {
        /// The bound.
        most: u64,
    },
}
