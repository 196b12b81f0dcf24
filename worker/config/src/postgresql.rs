//! `database.postgresql`: which servers, how they prove who they are, as whom, how many connections.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::channel_binding::ChannelBinding;
use crate::host::{Host, Target, hosts};
use crate::ssl_mode::SslMode;

/// A PostgreSQL database and how it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgresql {
    /// Where it is: one server, or several of which one takes writes at a time; they are tried in turn.
    #[serde(deserialize_with = "hosts")]
    pub host: Vec<Host>,
    /// Port of the hosts that name none.
    #[serde(default = "port", deserialize_with = "from_1")]
    pub port: u16,
    /// Its name.
    pub database: String,
    /// The role to log in as. It should own nothing and may do no more than the entities need.
    pub user: String,
    /// Its password; none where the server asks for none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The one schema in which the tables are.
    #[serde(default = "schema")]
    pub schema: String,
    /// How much of TLS must hold. Not used on Unix sockets.
    #[serde(default)]
    pub ssl_mode: SslMode,
    /// Whether the password's proof must be bound to the server's certificate.
    #[serde(default)]
    pub channel_binding: ChannelBinding,
    /// Certificate authorities, PEM, that may speak for the server.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Connections for calls. One more asks whether the database answers.
    #[serde(default = "pool_size", deserialize_with = "from_2_to_64")]
    pub pool_size: u32,
    /// Which servers will do.
    #[serde(default)]
    pub target: Target,
    /// Whether missing tables are made from the entities at start.
    #[serde(default)]
    pub create_tables: bool,
}

fn port() -> u16 {
    5_432
}

fn schema() -> String {
    "public".to_owned()
}

fn pool_size() -> u32 {
    8
}

fn from_1<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(D::Error::invalid_value(
            Unexpected::Unsigned(0),
            &"a port from 1 to 65535",
        )),
        port => Ok(port),
    }
}

/// One would have to serve reads and writes both.
fn from_2_to_64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (2..=64).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Unsigned(number.into()),
            &"a number from 2 to 64",
        ))
    }
}
