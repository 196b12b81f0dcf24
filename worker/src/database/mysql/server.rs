//! The configured servers: how to reach them, how to be sure that it is the right one, and how each session is set
//! up.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use dbal_config::{Host, Mysql, SslMode, Target};
use dbal_sql::Dialect;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, Row, SslOpts};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::trouble::told;
use crate::database::unique::Unique;

/// Prepared statements that each connection keeps. A shape of a plan needs one to three.
const STATEMENTS: usize = 256;
/// Largest packet either way: far more than one row of an answer may have.
const PACKET: usize = 64 * 1024 * 1024;
/// How long one server may take until it has let us in.
const CONNECT: Duration = Duration::from_secs(3);
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
    /// For connections to a server that answers the rows that a statement makes.
    pub(super) new_rows: Option<NewRows>,
    pub(super) kind: Kind,
    pub(super) unique: Unique,
}

/// The dialects for a server that answers the rows that a statement makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRows {
    /// In a transaction.
    pub(super) answering: &'static Dialect,
    /// For a statement that is its own transaction.
    pub(super) alone: &'static Dialect,
}

/// Where it may be, and as whom.
#[derive(Clone)]
pub(super) struct Address {
    endpoints: Vec<Endpoint>,
    target: Target,
}

/// One address of one server.
#[derive(Clone)]
struct Endpoint {
    /// As configured; for the log.
    host: String,
    opts: Opts,
    /// Tried when the server has no TLS.
    without_tls: Option<Opts>,
}

/// Which server it is that answers, as far as it says: an address may lead to another one each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity(Arc<str>);

/// A connection that is set up.
pub(super) struct Reached {
    pub(super) connection: Conn,
    /// Which of the addresses it leads to.
    pub(super) endpoint: usize,
    /// Which server it leads to.
    pub(super) identity: Identity,
    pub(super) kind: Kind,
    pub(super) version: String,
    /// Whether its statements can answer the rows that they make.
    pub(super) answers_new_rows: bool,
    /// It takes no writes.
    pub(super) is_read_only: bool,
    /// Most bytes that it takes at once.
    pub(super) packet: usize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It can't be reached, or refuses.
    #[error("{host}: {}", told(.why))]
    Server {
        /// As configured.
        host: String,
        /// Why. Named no cause: the driver's errors quote theirs, and each of those says the same once more.
        why: mysql_async::Error,
    },
    /// No answer.
    #[error("{host}: no connection within {} s", CONNECT.as_secs())]
    Slow {
        /// As configured.
        host: String,
    },
    /// A replica.
    #[error("{host}: takes no writes (`target: any` would use it for reads)")]
    ReadOnly {
        /// As configured.
        host: String,
    },
    /// MariaDB where MySQL was, or the other way round.
    #[error("{host}: is another kind of server than the one at start")]
    OtherKind {
        /// As configured.
        host: String,
    },
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
    /// Resolves names and reads the authorities: neither can be done once the process has locked itself in.
    pub(super) fn of(config: &Mysql) -> Result<Self, AddressError> {
        let Mysql {
            host: hosts,
            port,
            socket,
            database,
            user,
            password,
            ssl_mode,
            ca_file,
            pool_size: _,
            target,
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
        let mut endpoints = Vec::new();
        if let Some(path) = socket {
            let path = path.to_string_lossy().into_owned();
            endpoints.push(Endpoint {
                host: path.clone(),
                opts: builder.clone().socket(Some(path)).into(),
                without_tls: None,
            });
        }
        let authority = ca_file
            .as_ref()
            .map(|path| {
                std::fs::read(path).map_err(|source| AddressError::Authority {
                    path: path.clone(),
                    source,
                })
            })
            .transpose()?;
        for host in hosts {
            let Host::Tcp { name, port: own } = host else {
                continue;
            };
            let port = own.unwrap_or(*port);
            let shown = Host::Tcp {
                name: name.clone(),
                port: Some(port),
            };
            let unknown = |source| AddressError::Name {
                host: name.clone(),
                source,
            };
            let before = endpoints.len();
            let found = (name.as_str(), port).to_socket_addrs().map_err(unknown)?;
            // Each address by itself: behind one name there may be several servers, and an order to stop a statement has to
            // reach the one that runs it.
            for address in found {
                let builder = builder
                    .clone()
                    .ip_or_hostname(name)
                    .resolved_ips(Some(vec![address.ip()]))
                    .tcp_port(port);
                let plain: Opts = builder.clone().into();
                let (opts, without_tls) = match tls(*ssl_mode, authority.clone()) {
                    None => (plain, None),
                    Some(tls) => (
                        builder.ssl_opts(tls).into(),
                        (*ssl_mode == SslMode::Prefer).then_some(plain),
                    ),
                };
                endpoints.push(Endpoint {
                    host: shown.to_string(),
                    opts,
                    without_tls,
                });
            }
            if endpoints.len() == before {
                return Err(unknown(std::io::Error::other("it has no address")));
            }
        }
        Ok(Self {
            endpoints,
            target: *target,
        })
    }

    /// Whether a server that takes no writes is of no use.
    pub(super) fn must_take_writes(&self) -> bool {
        self.target == Target::ReadWrite
    }

    /// For people.
    pub(super) fn place(&self) -> String {
        let mut hosts: Vec<&str> = self.endpoints.iter().map(|one| one.host.as_str()).collect();
        hosts.dedup();
        hosts.join(", ")
    }

    /// A connection to the first server that will do, counted from the one at `first`; of this kind, if one is known.
    pub(super) async fn connect(&self, first: usize, kind: Option<Kind>) -> Result<Reached, ConnectError> {
        let mut last = None;
        let all = self.endpoints.iter().enumerate();
        for (nth, endpoint) in all.cycle().skip(first).take(self.endpoints.len()) {
            match self.connect_to(nth, endpoint, kind).await {
                Ok(reached) => return Ok(reached),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(ConnectError::Slow { host: String::new() }))
    }

    /// A connection to the server at `nth`, whatever it is, for orders about other connections to it.
    pub(super) async fn connect_again(&self, nth: usize) -> Result<Reached, ConnectError> {
        let Some(endpoint) = self.endpoints.get(nth) else {
            return Err(ConnectError::Slow { host: String::new() });
        };
        endpoint.reach(nth).await
    }

    async fn connect_to(
        &self,
        nth: usize,
        endpoint: &Endpoint,
        kind: Option<Kind>,
    ) -> Result<Reached, ConnectError> {
        let host = || endpoint.host.clone();
        let reached = endpoint.reach(nth).await?;
        if reached.is_read_only && self.must_take_writes() {
            return Err(ConnectError::ReadOnly { host: host() });
        }
        if kind.is_some_and(|kind| kind != reached.kind) {
            return Err(ConnectError::OtherKind { host: host() });
        }
        Ok(reached)
    }
}

impl Endpoint {
    async fn reach(&self, nth: usize) -> Result<Reached, ConnectError> {
        let host = || self.host.clone();
        timeout(CONNECT, self.set_up(nth))
            .await
            .map_err(|_| ConnectError::Slow { host: host() })?
            .map_err(|why| ConnectError::Server { host: host(), why })
    }

    async fn set_up(&self, endpoint: usize) -> Result<Reached, mysql_async::Error> {
        let mut connection = self.raw().await?;
        let told: Option<Row> = connection
            .query_first(
                "SELECT VERSION(), @@global.read_only, CONCAT_WS(' ', @@hostname, @@port, @@server_id), \
                 CAST(@@max_allowed_packet AS CHAR)",
            )
            .await?;
        let text = |nth: usize| {
            let cell = told.as_ref().and_then(|row| row.get_opt::<String, _>(nth));
            cell.and_then(Result::ok).unwrap_or_default()
        };
        let (version, read_only, mut identity) = (text(0), text(1), text(2));
        let kind = if version.contains("MariaDB") {
            Kind::MariaDb
        } else {
            Kind::MySql
        };
        for command in setup(kind) {
            connection.query_drop(*command).await?;
        }
        // MariaDB has none; there the number is one that its operator gave, which for a single server is often 1.
        if kind == Kind::MySql {
            let uuid: Option<String> = connection.query_first("SELECT @@server_uuid").await?;
            identity.push_str(&uuid.unwrap_or_default());
        }
        Ok(Reached {
            connection,
            endpoint,
            identity: Identity(identity.into()),
            kind,
            answers_new_rows: answers_new_rows(kind, &version),
            version,
            is_read_only: !["0", "OFF"].contains(&read_only.as_str()),
            packet: text(3).parse().map_or(PACKET, |packet: usize| packet.min(PACKET)),
        })
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

/// `INSERT … SELECT … RETURNING` came with MariaDB 10.5. Asked of each server that is connected to: behind one address there may be several.
fn answers_new_rows(kind: Kind, version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    kind == Kind::MariaDb && (parts.next(), parts.next()) >= (Some(10), Some(5))
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
    const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";
    // A server may have any of these for all of its sessions: a COMMIT that ends the connection or begins a transaction, SELECTs that
    // leave rows out, references that are not looked at. `wait_timeout` is longer than we keep a connection.
    // Texts are sorted by all that a cursor can hold of them, at three bytes a letter, or what follows a page would not be what stands behind it;
    // and by eight of them, of which the server wants fifteen in its memory.
    const USUAL: &str = "SET SESSION max_sort_length = 24576, sort_buffer_size = GREATEST(@@GLOBAL.sort_buffer_size, CAST(4194304 AS UNSIGNED)), completion_type = 'NO_CHAIN', sql_select_limit = 18446744073709551615, sql_safe_updates = 0, \
        sql_big_selects = 1, sql_auto_is_null = 0, foreign_key_checks = 1, unique_checks = 1, wait_timeout = 7200";
    match kind {
        Kind::MariaDb => &[
            "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
            MODE,
            ISOLATION,
            USUAL,
            "SET SESSION max_statement_time = 60, check_constraint_checks = 1",
        ],
        Kind::MySql => &[
            "SET NAMES utf8mb4 COLLATE utf8mb4_0900_bin",
            MODE,
            ISOLATION,
            USUAL,
            "SET SESSION max_execution_time = 60000",
        ],
    }
}
