//! Private database servers for tests: real ones, each in a temporary folder, on a free port, with TLS. No driver is in here;
//! what has to be said to a server is said by its own command line client.
#![forbid(unsafe_code)]

pub mod bridge;
pub mod certificate;
pub mod impostor;
pub mod keeper;
pub mod mariadb;
pub mod mysql;
pub mod postgres;
pub mod proxy;
pub mod scissors;
pub mod scripted;
pub mod small_disk;
pub mod watch;
