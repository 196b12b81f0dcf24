//! What can go wrong in the tool, and the exit code that scripts see.

use std::io;
use std::path::{Path, PathBuf};

/// Everything that ends a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Config(#[from] dbal_config::ConfigError),
    #[error(transparent)]
    Seal(#[from] dbal_config::SealError),
    #[error(transparent)]
    Identity(#[from] dbal_identity::IdentityError),
    #[error(transparent)]
    KeyFile(#[from] dbal_identity::KeyFileError),
    #[error(transparent)]
    Schema(#[from] dbal_schema::SchemaError),
    #[error(transparent)]
    Sql(#[from] dbal_sql::SqlError),
    #[error(transparent)]
    Settings(#[from] dbal_settings::Mistake),
    #[error(transparent)]
    Policy(#[from] dbal_policy::PolicyError),
    #[error(transparent)]
    Journal(#[from] dbal_audit::Broken),
    #[error(transparent)]
    CheckpointKey(#[from] dbal_audit::KeyError),
    #[error("can't make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("{}: not beside {}; build all three programs: `cargo build -p dbal -p dbal-broker -p dbal-worker`", name, beside.display())]
    NoDaemon { name: &'static str, beside: PathBuf },
    #[error("{name} can't be started: {source}")]
    Spawn { name: &'static str, source: io::Error },
    #[error("{name} ended before it served ({status}); its own words stand above")]
    EndedEarly { name: &'static str, status: String },
    #[error("{name} did not serve within {seconds} s; its own words stand above")]
    NotReady { name: &'static str, seconds: u64 },
    #[error("{}: another `dbal dev` runs in this folder; stop it, or choose another with --dir", folder.display())]
    FolderInUse { folder: PathBuf },
    #[error("{at}: can't be reached: {why}")]
    Unreachable { at: String, why: String },
    #[error("the database could not be asked: {0}")]
    NotAsked(String),
    #[error("the daemon answered with error {code}")]
    Refused { code: i64 },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error("nobody reads what is printed")]
    NobodyReads,
    #[error("the policy is widened, or not proven not to be: have somebody look at it")]
    Widened,
}

impl ToolError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// 1: what was asked for does not hold. 2: the question was wrong, or could not be asked. 3: nobody answered. Others: see `dbal call --help`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            ToolError::Usage(_) | ToolError::NotAsked(_) | ToolError::Widened => 2,
            ToolError::Unreachable { .. } => 3,
            // As if SIGPIPE (13) had ended it: 128 and its number, as a shell says it.
            ToolError::NobodyReads => 141,
            ToolError::Refused { code } => match code {
                400 | 413 | 422 | -32_700..=-32_600 => 10,
                401 => 11,
                403 => 12,
                404 => 13,
                409 => 14,
                429 => 15,
                503 | 504 | 507 => 16,
                _ => 1,
            },
            ToolError::File { .. }
            | ToolError::Config(_)
            | ToolError::Seal(_)
            | ToolError::Identity(_)
            | ToolError::KeyFile(_)
            | ToolError::Schema(_)
            | ToolError::Sql(_)
            | ToolError::Policy(_)
            | ToolError::Settings(_)
            | ToolError::Journal(_)
            | ToolError::CheckpointKey(_)
            | ToolError::Certificate(_)
            | ToolError::NoDaemon { .. }
            | ToolError::Spawn { .. }
            | ToolError::EndedEarly { .. }
            | ToolError::NotReady { .. }
            | ToolError::FolderInUse { .. }
            | ToolError::Failed(_) => 1,
        }
    }
}
