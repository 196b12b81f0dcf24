//! The SQLite adapter: bundled library, one file, write-ahead log.

pub mod open;
mod functions;
mod values;
mod rows;
mod trouble;
mod read;
mod write;
mod watch;
pub mod observer;
pub mod reader;
pub mod writer;

pub use open::{Connections, OpenError, open};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod agreement;
