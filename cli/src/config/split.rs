//! `dbal config split`: the one file of an older deployment becomes the broker's, which holds no secret, and the worker's. What has
//! another place, or none, is told; nothing is left out without a word.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::environment::{Unset, Variables, expanded};
use super::single_file::{Adapter, Connection, SingleFile};

/// Longest time of a call that a worker takes, in ms.
const LONGEST_CALL_MS: u64 = 29_000;

/// What an old file does not tell.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Wishes {
    /// The folder of entity files, for both daemons.
    #[arg(long, value_name = "DIR", default_value = "entities")]
    entities: PathBuf,
    /// Where the two daemons meet.
    #[arg(long, value_name = "FILE", default_value = "/run/dbal/worker.sock")]
    socket: PathBuf,
    /// Who issues the tokens that clients show.
    #[arg(long, value_name = "URL", requires_all = ["audience", "jwks"], required_unless_present = "public_only")]
    issuer: Option<String>,
    /// For whom they are issued.
    #[arg(long, value_name = "NAME", requires = "issuer")]
    audience: Option<String>,
    /// The issuer's public keys, a JSON Web Key Set.
    #[arg(long, value_name = "FILE", requires = "issuer")]
    jwks: Option<PathBuf>,
    /// Nobody proves anything: what the policy lets nobody in particular do is all that is done.
    #[arg(long, conflicts_with = "issuer")]
    public_only: bool,
}

/// The two files, and what an operator has to know.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) broker: String,
    pub(super) worker: Zeroizing<String>,
    pub(super) notes: Vec<String>,
}

/// Why an old file can't be split.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error(transparent)]
    Unset(#[from] Unset),
    #[error("`{key}` is missing; {adapter:?} needs it")]
    Missing { key: &'static str, adapter: Adapter },
    #[error("`{key}` has no place with {adapter:?}; take it out")]
    Misplaced { key: &'static str, adapter: Adapter },
    #[error(
        "`server.tls.enabled` is false, but dbal listens with TLS only; `dbal dev` makes a certificate to try with"
    )]
    Plain,
    #[error("`security.audit_log` is false, but dbal keeps an audit of every call; take the line out")]
    NoAudit,
}

/// Where an old file lies, and what its texts may name.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    /// Where its relative paths begin; none where the two files come to lie in the same folder.
    pub(super) base: Option<&'a Path>,
    pub(super) variables: Variables<'a>,
}

impl Source<'_> {
    fn text(&self, key: &'static str, text: &str) -> Result<SecretString, SplitError> {
        Ok(expanded(key, text, self.variables)?)
    }

    /// A path, as a YAML text.
    fn path(&self, key: &'static str, text: &str) -> Result<String, SplitError> {
        let text = self.text(key, text)?;
        let path = Path::new(text.expose_secret());
        Ok(match self.base {
            Some(base) => quoted_path(&base.join(path)),
            None => quoted_path(path),
        })
    }
}

/// Splits an old file.
pub(super) fn split(source: &Source<'_>, file: &SingleFile, wishes: &Wishes) -> Result<Split, SplitError> {
    if !file.server.tls.enabled {
        return Err(SplitError::Plain);
    }
    if file.security.audit_log == Some(false) {
        return Err(SplitError::NoAudit);
    }
    let mut notes = Vec::new();
    let common = common(source, file, wishes)?;
    let head = format!("# Made by `dbal config split` from {}.\n", source.file.display());

    let mut broker = head.clone();
    let host = source.text("server.host", &file.server.host)?;
    let host = host.expose_secret();
    let address = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{}", file.server.port)
    } else {
        format!("{host}:{}", file.server.port)
    };
    line(&mut broker, 0, "listen", &quoted(&address));
    broker.push_str("tls:\n");
    let certificate = source.path("server.tls.cert_file", &file.server.tls.cert_file)?;
    let key = source.path("server.tls.key_file", &file.server.tls.key_file)?;
    line(&mut broker, 2, "certificate", &certificate);
    line(&mut broker, 2, "key", &key);
    if let Some(ca) = &file.server.tls.ca_file {
        broker.push_str("  clients:\n");
        line(&mut broker, 4, "ca", &source.path("server.tls.ca_file", ca)?);
        line(&mut broker, 4, "required", "false");
        notes.push(
            "`server.tls.ca_file` became `tls.clients.ca`: who signs certificates of clients. `required: true` lets in nobody \
             without one; take `clients` out if it was meant for something else"
                .to_owned(),
        );
    }
    broker.push_str("worker:\n");
    line(&mut broker, 2, "socket", &quoted_path(&wishes.socket));
    broker.push_str(&common);
    if let Some(tokens) = tokens(wishes) {
        broker.push_str(&tokens);
    }

    let mut worker = Zeroizing::new(head);
    worker.push_str("socket:\n");
    line(&mut worker, 2, "path", &quoted_path(&wishes.socket));
    worker.push_str("  # allow_uid: [990]   # the broker's user, where it is not the worker's own\n");
    worker.push_str("database:\n");
    database(source, file, &mut worker, &mut notes)?;
    worker.push_str(&common);
    match tokens(wishes) {
        Some(tokens) => worker.push_str(&tokens),
        None => worker.push_str("auth: {public_only: true}\n"),
    }
    worker.push_str("audit:\n");
    let log = file.security.audit_log_path.as_deref();
    let log = source.text(
        "security.audit_log_path",
        log.unwrap_or("/var/log/dbal/audit.log"),
    )?;
    let folder = Path::new(log.expose_secret()).parent().unwrap_or(Path::new("."));
    line(&mut worker, 2, "directory", &quoted_path(folder));
    notes.push(format!(
        "the audit is written to files of dbal's own in {}; `security.audit_log_path` named one there",
        folder.display()
    ));
    limits(file, &mut worker, &mut notes);
    rates(file, &mut notes);
    Ok(Split {
        broker,
        worker,
        notes,
    })
}

/// What both files say in the same words.
fn common(source: &Source<'_>, file: &SingleFile, wishes: &Wishes) -> Result<String, SplitError> {
    let mut common = String::new();
    line(&mut common, 0, "entities", &quoted_path(&wishes.entities));
    line(
        &mut common,
        0,
        "policy",
        &source.path("acl.rules_file", &file.acl.rules_file)?,
    );
    let sandbox = file.security.sandbox.as_deref().unwrap_or("strict");
    let sandbox = source.text("security.sandbox", sandbox)?;
    common.push_str("security:\n");
    line(&mut common, 2, "sandbox", &quoted(sandbox.expose_secret()));
    Ok(common)
}

fn tokens(wishes: &Wishes) -> Option<String> {
    let (issuer, audience, jwks) = (
        wishes.issuer.as_ref()?,
        wishes.audience.as_ref()?,
        wishes.jwks.as_ref()?,
    );
    let mut tokens = "auth:\n  tokens:\n".to_owned();
    line(&mut tokens, 4, "issuer", &quoted(issuer));
    line(&mut tokens, 4, "audience", &quoted(audience));
    line(&mut tokens, 4, "jwks", &quoted_path(jwks));
    Some(tokens)
}

/// One key of `database.connection`: its name here, what the file says, its name in worker.yaml, whether it must be there.
type Entry<'a> = (&'static str, Option<&'a String>, &'static str, bool);

fn database(
    source: &Source<'_>,
    file: &SingleFile,
    worker: &mut String,
    notes: &mut Vec<String>,
) -> Result<(), SplitError> {
    let adapter = file.database.adapter;
    let Connection {
        host,
        port,
        database,
        path,
        user,
        password,
        ssl_mode,
        ca_file,
        url,
        token,
        pool_size,
        timeout: _,
    } = &file.database.connection;
    let host: Entry<'_> = ("database.connection.host", host.as_ref(), "host", true);
    let name: Entry<'_> = (
        "database.connection.database",
        database.as_ref(),
        "database",
        true,
    );
    let user: Entry<'_> = ("database.connection.user", user.as_ref(), "user", true);
    let password: Entry<'_> = (
        "database.connection.password",
        password.as_ref(),
        "password",
        false,
    );
    let ssl_mode: Entry<'_> = (
        "database.connection.ssl_mode",
        ssl_mode.as_ref(),
        "ssl_mode",
        false,
    );
    let ca_file: Entry<'_> = ("database.connection.ca_file", ca_file.as_ref(), "ca_file", false);
    let url: Entry<'_> = ("database.connection.url", url.as_ref(), "url", true);
    let token: Entry<'_> = ("database.connection.token", token.as_ref(), "token", true);
    let path: Entry<'_> = (
        "database.connection.path",
        path.as_ref().or(database.as_ref()),
        "path",
        true,
    );
    let (kind, wanted, rest): (_, &[Entry<'_>], &[Entry<'_>]) = match adapter {
        Adapter::Postgresql | Adapter::Mysql => (
            if adapter == Adapter::Mysql {
                "mysql"
            } else {
                "postgresql"
            },
            &[host, name, user, password, ssl_mode, ca_file],
            &[url, token],
        ),
        Adapter::Sqlite => (
            "sqlite",
            &[path],
            &[host, user, password, ssl_mode, ca_file, url, token],
        ),
        Adapter::Prisma => (
            "prisma",
            &[url, token, ca_file],
            &[host, name, user, password, ssl_mode],
        ),
    };
    if let Some((key, ..)) = rest.iter().find(|(_, said, ..)| said.is_some()) {
        return Err(SplitError::Misplaced { key, adapter });
    }
    let _ = writeln!(worker, "  {kind}:");
    for (key, said, own, is_needed) in wanted {
        let text = match said {
            Some(text) if matches!(*own, "path" | "ca_file") => source.path(key, text)?,
            Some(text) => quoted(source.text(key, text)?.expose_secret()),
            None if *is_needed => return Err(SplitError::Missing { key, adapter }),
            None => continue,
        };
        line(worker, 4, own, &text);
    }
    match (adapter, port) {
        (Adapter::Postgresql | Adapter::Mysql, Some(port)) => line(worker, 4, "port", &port.to_string()),
        (Adapter::Sqlite | Adapter::Prisma, Some(_)) => {
            let key = "database.connection.port";
            return Err(SplitError::Misplaced { key, adapter });
        }
        (_, None) => {}
    }
    if adapter == Adapter::Prisma {
        line(worker, 4, "dialect", "postgresql");
    }
    let pools = [
        file.database.pool_size,
        *pool_size,
        file.performance.connection_pool_size,
    ];
    let said: Vec<u32> = pools.into_iter().flatten().collect();
    if let Some(pool) = said.iter().copied().max() {
        if adapter == Adapter::Sqlite {
            notes.push("SQLite has no pool: `readers` says how many connections read".to_owned());
        } else {
            line(worker, 4, "pool_size", &pool.to_string());
        }
        if said.iter().any(|other| *other != pool) {
            notes.push(format!(
                "sizes of the pool differ in the file; {pool} is the largest of them"
            ));
        }
    }
    Ok(())
}

fn limits(file: &SingleFile, worker: &mut String, notes: &mut Vec<String>) {
    let connection = file.database.timeout.or(file.database.connection.timeout);
    if let Some(asked) = file.performance.query_timeout.or(connection) {
        let taken = asked.clamp(1, LONGEST_CALL_MS);
        worker.push_str("limits:\n");
        line(worker, 2, "query_timeout_ms", &taken.to_string());
        if taken != asked {
            notes.push(format!(
                "a call may take {taken} ms, not {asked}: clients give up after 30 s, and have to be told before"
            ));
        }
    }
    if connection.is_some() && file.performance.query_timeout.is_some() {
        notes.push("`timeout` of the database has no place: `limits.query_timeout_ms` holds for all that a call does".to_owned());
    }
    let performance = &file.performance;
    if performance.cache_enabled.is_some() || performance.cache_size_mb.is_some() {
        worker.push_str("cache:\n");
        if let Some(is_enabled) = performance.cache_enabled {
            line(worker, 2, "enabled", &is_enabled.to_string());
        }
        if let Some(size) = performance.cache_size_mb {
            line(worker, 2, "size_mb", &size.to_string());
        }
        notes.push("answers are kept only where an entity says `cache` (docs/cache.md)".to_owned());
    }
    if file.acl.cache_ttl.is_some() {
        notes.push(
            "`acl.cache_ttl` has no place: every call is decided anew, in a few microseconds".to_owned(),
        );
    }
}

/// Rates and complexity are the policy's.
fn rates(file: &SingleFile, notes: &mut Vec<String>) {
    let rate = file.security.rate_limit.as_ref().filter(|rate| rate.enabled);
    let limits = [
        (
            "requests_per_minute",
            rate.and_then(|rate| rate.requests_per_minute),
        ),
        ("burst", rate.and_then(|rate| rate.burst)),
        ("max_complexity", file.performance.max_query_complexity),
    ];
    let limits: Vec<String> = limits
        .iter()
        .filter_map(|(name, said)| said.map(|said| format!("{name}: {said}")))
        .collect();
    if !limits.is_empty() {
        notes.push(format!(
            "rates and complexity are the policy's: put `{{{}}}` under `limits:` there, for each role",
            limits.join(", ")
        ));
    }
}

fn line(out: &mut String, indent: usize, key: &str, value: &str) {
    // To a string: it can't fail.
    let _ = writeln!(out, "{:indent$}{key}: {value}", "");
}

/// A JSON string is a YAML one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use dbal_config::Database;

    use super::*;

    /// As older deployments have it.
    const OLD: &str = r#"
server:
  host: "0.0.0.0"
  port: 50051
  tls: {enabled: true, cert_file: "/etc/dbal/server.crt", key_file: server.key, ca_file: "/etc/dbal/ca.crt"}
database:
  adapter: "postgresql"
  connection:
    host: "db.example.com"
    port: 5432
    database: "shop"
    user: "dbal_service"
    password: "${DBAL_DB_PASSWORD}"
    ssl_mode: "require"
  pool_size: 20
  timeout: 30000
security:
  sandbox: "strict"
  audit_log: true
  audit_log_path: "/var/log/dbal/audit.log"
  rate_limit: {enabled: true, requests_per_minute: 100, burst: 20}
acl: {rules_file: "/etc/dbal/acl_rules.yaml", cache_ttl: 300}
performance:
  query_timeout: 30000
  max_query_complexity: 1000
  connection_pool_size: 20
  cache_enabled: true
  cache_size_mb: 256
"#;

    fn wishes() -> Wishes {
        Wishes {
            entities: "entities".into(),
            socket: "/run/dbal/worker.sock".into(),
            issuer: Some("https://issuer.example".to_owned()),
            audience: Some("dbal".to_owned()),
            jwks: Some("keys.json".into()),
            public_only: false,
        }
    }

    fn of(text: &str) -> Result<Split, String> {
        let file: SingleFile =
            dbal_settings::parse(Path::new("config.yaml"), text).map_err(|mistake| mistake.to_string())?;
        let variables = |name: &str| (name == "DBAL_DB_PASSWORD").then(|| "s\"ecret: #1".to_owned());
        let source = Source {
            file: Path::new("config.yaml"),
            base: Some(Path::new("/old")),
            variables: &variables,
        };
        split(&source, &file, &wishes()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_old_file_becomes_two_of_which_only_the_workers_has_the_password() {
        let Split {
            broker,
            worker,
            notes,
        } = of(OLD).unwrap();
        assert!(!broker.contains("ecret"), "{broker}");
        assert!(
            broker.contains("listen: \"0.0.0.0:50051\"\n") && broker.contains("key: \"/old/server.key\"\n")
        );
        let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &worker).unwrap();
        let Database::Postgresql(database) = &config.database else {
            panic!("{config:?}");
        };
        assert_eq!(
            (database.port, database.user.as_str(), database.pool_size),
            (5432, "dbal_service", 20)
        );
        let password = database.password.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!(password, Some("s\"ecret: #1"));
        assert_eq!(config.limits.query_timeout_ms, 29_000);
        assert_eq!(config.audit.directory, Path::new("/var/log/dbal"));
        let notes = notes.join("\n");
        for said in [
            "29000 ms, not 30000",
            "{requests_per_minute: 100, burst: 20, max_complexity: 1000}",
            "acl.cache_ttl",
            "tls.clients.ca",
            "timeout",
        ] {
            assert!(notes.contains(said), "{said}: {notes}");
        }
    }

    #[test]
    fn what_dbal_never_does_and_what_it_does_not_know_is_refused_by_name() {
        for (from, to, said) in [
            (
                "enabled: true, cert",
                "enabled: false, cert",
                "`server.tls.enabled` is false",
            ),
            (
                "audit_log: true",
                "audit_log: false",
                "`security.audit_log` is false",
            ),
            ("pool_size: 20\n", "pol_size: 20\n", "pool_size"),
            ("DBAL_DB_PASSWORD", "OTHER", "${OTHER}"),
            (
                "    user: \"dbal_service\"\n",
                "",
                "`database.connection.user` is missing",
            ),
            (
                "adapter: \"postgresql\"",
                "adapter: sqlite",
                "has no place with Sqlite",
            ),
        ] {
            assert!(OLD.contains(from), "{from}");
            let told = of(&OLD.replacen(from, to, 1)).unwrap_err();
            assert!(told.contains(said), "{said}: {told}");
            assert!(!told.contains("ecret"), "{told}");
        }
    }

    #[test]
    fn files_and_bridges_are_databases_too() {
        let begin = OLD.find("database:\n").unwrap();
        let end = OLD.find("security:\n").unwrap();
        for (database, kind) in [
            (
                "database: {adapter: sqlite, connection: {path: app.sqlite}}\n",
                "sqlite:\n    path: \"/old/app.sqlite\"\n",
            ),
            (
                "database: {adapter: native-prisma, connection: {url: \"http://127.0.0.1:7411\", token: 0123456789abcdef0123456789abcdef}}\n",
                "prisma:\n    url: \"http://127.0.0.1:7411\"\n",
            ),
            (
                "database: {adapter: mariadb, connection: {host: db, database: app, user: dbal, ssl_mode: disable}}\n",
                "mysql:\n    host: \"db\"\n",
            ),
        ] {
            let text = format!("{}{database}{}", &OLD[..begin], &OLD[end..]);
            let split = of(&text).unwrap();
            assert!(split.worker.contains(kind), "{}", *split.worker);
            dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &split.worker).unwrap();
        }
    }
}
