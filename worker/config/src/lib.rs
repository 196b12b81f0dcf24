//! `worker.yaml`, plain or sealed with age: found, opened, read into types. The only crate that sees the identity.
#![forbid(unsafe_code)]

mod identity;
mod sealed;
mod open;
mod worker;
mod yaml;
mod suggest;
mod error;

pub use error::{ConfigError, Location, SealError};
pub use identity::Identity;
pub use open::{Plain, open, open_text, read_plain};
pub use sealed::{KeyPair, Recipient, decrypt, encrypt, is_sealed, keygen, recipient, recipient_count};
pub use suggest::nearest;
pub use worker::{
    Audit, Auth, Database, Durability, Limits, Log, LogFormat, LogLevel, OnFailure, Sandbox, Security,
    Socket, Sqlite, Synchronous, WorkerConfig,
};
