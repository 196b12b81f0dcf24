//! `worker.yaml`, plain or sealed with age: found, opened, read into types. The only crate that sees the identity.
#![forbid(unsafe_code)]

mod identity;
mod sealed;
mod open;
mod ssl_mode;
mod channel_binding;
mod host;
mod mysql;
mod postgresql;
mod prisma;
mod sessions;
mod certificates;
mod worker;
mod error;

pub use certificates::{CertificateName, CertificateRules};
pub use channel_binding::ChannelBinding;
pub use dbal_settings::{Location, Log, LogFormat, LogLevel, Mistake, SpanOutput};
pub use error::{ConfigError, SealError};
pub use host::{Host, Target};
pub use identity::Identity;
pub use mysql::Mysql;
pub use open::{Plain, open, open_text, read_plain};
pub use postgresql::Postgresql;
pub use prisma::{Bridge, BridgedDialect, Prisma, Scheme};
pub use sealed::{KeyPair, Recipient, decrypt, encrypt, is_sealed, keygen, recipient, recipient_count};
pub use sessions::{Hashed, SessionRoles, SessionRules};
pub use ssl_mode::SslMode;
pub use worker::{
    Audit, Auth, Cache, Database, Durability, Expiry, Limits, OnFailure, OtherDaemons, Sandbox, Security,
    Socket, Sqlite, Synchronous, Traces, WorkerConfig,
};
