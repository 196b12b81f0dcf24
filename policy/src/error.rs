//! Why a policy doesn't load: every problem at once, each with its place.

use std::path::PathBuf;

use dbal_schema::error::Problems;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The rules file can't be read.
    #[error("{path}: can't be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Rules or inline acls say something that they must not.
    #[error("{0}")]
    Invalid(Problems),
}
