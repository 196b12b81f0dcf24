//! What broker and worker do alike because they are daemons: log, trace, obey whoever started them, name causes.
#![forbid(unsafe_code)]

pub mod local_stream;
pub mod log;
pub mod reload;
pub mod spans;
pub mod supervisor;

pub use dbal_shared::causes::causes;
