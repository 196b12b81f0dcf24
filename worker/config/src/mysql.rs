//! `database.mysql`: which MariaDB or MySQL server, how it proves who it is, as whom, how many connections.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::host::{Host, Target, hosts};
use crate::ssl_mode::SslMode;
use crate::worker::{from_1_to_64, port};

/// A MariaDB or MySQL database and how it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mysql {
    /// Where it is: one server, or several of which one takes writes at a time; they are tried in turn. Names are resolved
    /// once, at start.
    #[serde(default, deserialize_with = "hosts")]
    pub host: Vec<Host>,
    /// Port of the hosts that name none.
    #[serde(default = "mysql_port", deserialize_with = "port")]
    pub port: u16,
    /// The server's Unix socket, instead of a host.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The database in which the tables are.
    pub database: String,
    /// The user to log in as. It should own nothing and may do no more than the entities need.
    pub user: String,
    /// Its password; none where the server asks for none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// How much of TLS must hold. Not used on the Unix socket.
    #[serde(default)]
    pub ssl_mode: SslMode,
    /// Certificate authorities, PEM, that may speak for the server.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Connections for calls. One more asks whether the database answers, and stops statements.
    #[serde(default = "pool_size", deserialize_with = "from_1_to_64")]
    pub pool_size: u32,
    /// Which servers will do.
    #[serde(default)]
    pub target: Target,
    /// Whether missing tables are made from the entities at start.
    #[serde(default)]
    pub create_tables: bool,
}

fn mysql_port() -> u16 {
    3_306
}

fn pool_size() -> u32 {
    8
}
