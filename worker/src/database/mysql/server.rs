//! One server: how to reach it, how to be sure that it is the right one, and how each session with it is set up.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use dbal_config::{Mysql, SslMode};
use dbal_sql::Dialect;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use secrecy::ExposeSecret;

use crate::database::unique::Unique;

/// Prepared statements that each connection keeps. A shape of a plan needs one to three.
const STATEMENTS: usize = 256;
/// Largest packet either way: far more than one row of an answer may have.
const PACKET: usize = 64 * 1024 * 1024;
/// How long a dead peer stays unnoticed on an idle connection.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MariaDb,
    MySql,
}

/// A server as it was found at start.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) dialect: &'static Dialect,
    pub(super) kind: Kind,
    pub(super) unique: Unique,
}

/// Where it is, and as whom.
#[derive(Clone)]
pub(super) struct Address {
    opts: Opts,
    /// Tried when the server has no TLS.
    without_tls: Option<Opts>,
}

/// Why there is no way to an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The name is not known.
    #[error("the name `{host}` can't be resolved")]
    Name {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The authorities can't be read.
    #[error("`ca_file` {} can't be read", path.display())]
    Authority {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Address {
    /// Resolves the name and reads the authorities: neither can be done once the process has locked itself in.
    pub(super) fn of(config: &Mysql) -> Result<Self, AddressError> {
        let Mysql {
            host,
            port,
            socket,
            database,
            user,
            password,
            ssl_mode,
            ca_file,
            pool_size: _,
            create_tables: _,
        } = config;
        let builder = OptsBuilder::default()
            .user(Some(user))
            .pass(password.as_ref().map(ExposeSecret::expose_secret))
            .db_name(Some(database))
            .prefer_socket(false)
            .secure_auth(true)
            .client_found_rows(true)
            .stmt_cache_size(STATEMENTS)
            .max_allowed_packet(Some(PACKET))
            // The driver's own idea of a connection's age is for its pool, which we don't use.
            .wait_timeout(Some(31_536_000))
            .tcp_keepalive(Some(KEEPALIVE));
        let Some(host) = host else {
            let socket = socket.as_ref().map(|path| path.to_string_lossy().into_owned());
            return Ok(Self {
                opts: builder.socket(socket).into(),
                without_tls: None,
            });
        };
        let found = (host.as_str(), *port).to_socket_addrs();
        let found = found.map_err(|source| AddressError::Name {
            host: host.clone(),
            source,
        })?;
        let ips: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        let builder = builder
            .ip_or_hostname(host)
            .resolved_ips(Some(ips))
            .tcp_port(*port);
        let authority = ca_file
            .as_ref()
            .map(|path| {
                std::fs::read(path).map_err(|source| AddressError::Authority {
                    path: path.clone(),
                    source,
                })
            })
            .transpose()?;
        let plain: Opts = builder.clone().into();
        Ok(match tls(*ssl_mode, authority) {
            None => Self {
                opts: plain,
                without_tls: None,
            },
            Some(tls) => Self {
                opts: builder.ssl_opts(tls).into(),
                without_tls: (*ssl_mode == SslMode::Prefer).then_some(plain),
            },
        })
    }

    /// A connection, set up.
    pub(super) async fn connect(&self, kind: Kind) -> Result<Conn, mysql_async::Error> {
        let mut connection = self.raw().await?;
        for command in setup(kind) {
            connection.query_drop(*command).await?;
        }
        Ok(connection)
    }

    /// A connection that nothing has been said on, and which of the two kinds it leads to.
    pub(super) async fn first(&self) -> Result<(Conn, Kind, String), mysql_async::Error> {
        let mut connection = self.raw().await?;
        let version: Option<String> = connection.query_first("SELECT VERSION()").await?;
        let version = version.unwrap_or_default();
        let kind = if version.contains("MariaDB") {
            Kind::MariaDb
        } else {
            Kind::MySql
        };
        for command in setup(kind) {
            connection.query_drop(*command).await?;
        }
        Ok((connection, kind, version))
    }

    async fn raw(&self) -> Result<Conn, mysql_async::Error> {
        match (Conn::new(self.opts.clone()).await, &self.without_tls) {
            (Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)), Some(plain)) => {
                Conn::new(plain.clone()).await
            }
            (outcome, _) => outcome,
        }
    }
}

/// None: no TLS. Never the authorities that the driver brings along: whoever gets one of them to sign a name could then
/// stand between.
fn tls(mode: SslMode, authority: Option<Vec<u8>>) -> Option<SslOpts> {
    let anyone = SslOpts::default().with_danger_accept_invalid_certs(true);
    let known = |authority: Vec<u8>| {
        SslOpts::default()
            .with_disable_built_in_roots(true)
            .with_root_certs(vec![authority.into()])
    };
    match (mode, authority) {
        (SslMode::Disable, _) => None,
        (SslMode::Prefer, _) | (SslMode::Require, None) => Some(anyone),
        (SslMode::Require | SslMode::VerifyCa, Some(authority)) => {
            Some(known(authority).with_danger_skip_domain_validation(true))
        }
        (SslMode::VerifyFull, Some(authority)) => Some(known(authority)),
        // The configuration refuses this; should it come through, nobody is trusted.
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => Some(known(Vec::new())),
    }
}

/// What each session is told. The collation holds between parameters; columns have their own. READ COMMITTED: without locks
/// on gaps changes seldom meet in a deadlock, and what comes into a gap is noticed (`Trouble::Serialization`). A key of 0 is 0, and
/// not the next number. The time limit is a net
/// below our own, should we not be there any more to stop a statement.
fn setup(kind: Kind) -> &'static [&'static str] {
    const MODE: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', \
        time_zone = '+00:00', autocommit = 1";
    const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    match kind {
        Kind::MariaDb => &[
            "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
            MODE,
            ISOLATION,
            "SET SESSION max_statement_time = 60",
        ],
        Kind::MySql => &[
            "SET NAMES utf8mb4 COLLATE utf8mb4_0900_bin",
            MODE,
            ISOLATION,
            "SET SESSION max_execution_time = 60000",
        ],
    }
}
