//! The one file of deployments older than the two daemons: what it may say. Texts may name variables of the environment.

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SingleFile {
    pub(super) server: Server,
    pub(super) database: Database,
    #[serde(default)]
    pub(super) security: Security,
    pub(super) acl: Acl,
    #[serde(default)]
    pub(super) performance: Performance,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    #[serde(default = "everywhere")]
    pub(super) host: String,
    #[serde(default = "usual_port")]
    pub(super) port: u16,
    pub(super) tls: Tls,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) ca_file: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub(super) adapter: Adapter,
    pub(super) connection: Connection,
    pub(super) pool_size: Option<u32>,
    pub(super) timeout: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Adapter {
    #[serde(alias = "postgres")]
    Postgresql,
    #[serde(alias = "mariadb")]
    Mysql,
    Sqlite,
    #[serde(alias = "native-prisma")]
    Prisma,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    /// SQLite's file.
    pub(super) path: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) ssl_mode: Option<String>,
    pub(super) ca_file: Option<String>,
    /// Of a Prisma bridge.
    pub(super) url: Option<String>,
    pub(super) token: Option<String>,
    pub(super) pool_size: Option<u32>,
    pub(super) timeout: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Security {
    pub(super) sandbox: Option<String>,
    pub(super) audit_log: Option<bool>,
    pub(super) audit_log_path: Option<String>,
    pub(super) rate_limit: Option<RateLimit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    pub(super) requests_per_minute: Option<u32>,
    pub(super) burst: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acl {
    pub(super) rules_file: String,
    pub(super) cache_ttl: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Performance {
    pub(super) query_timeout: Option<u64>,
    pub(super) max_query_complexity: Option<u32>,
    pub(super) connection_pool_size: Option<u32>,
    pub(super) cache_enabled: Option<bool>,
    pub(super) cache_size_mb: Option<u32>,
}

fn yes() -> bool {
    true
}

fn everywhere() -> String {
    "0.0.0.0".to_owned()
}

fn usual_port() -> u16 {
    50051
}
