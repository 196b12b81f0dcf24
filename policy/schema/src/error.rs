//! Why entity files don't load: all problems of all files at once, each with its place.

use std::fmt;
use std::path::PathBuf;

use crate::source::Location;

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A file or folder can't be read.
    #[error("{path}: can't be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The files say something that they must not.
    #[error("{0}")]
    Invalid(Problems),
    /// There is nothing to serve, which is never what was meant.
    #[error("no file declares an entity")]
    Empty,
    /// The same of a folder.
    #[error("{path}: no *.yaml file in it declares an entity", path = path.display())]
    EmptyFolder {
        /// Which.
        path: PathBuf,
    },
}

/// Everything that is wrong, in the order of the files.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Location,
    /// What, and what to do.
    pub text: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            if nth > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{}: {}", problem.at, problem.text)?;
        }
        Ok(())
    }
}
