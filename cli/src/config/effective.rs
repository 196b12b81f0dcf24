//! A worker configuration as the worker understands it, in the form of the file. Secrets are told, not shown.

use std::fmt::{self, Display, Write};
use std::path::Path;

use dbal_config::{
    Audit, Auth, Cache, CertificateName, CertificateRules, Database, Durability, Expiry, Hashed, Limits, Log,
    LogFormat, Mysql, OnFailure, OtherDaemons, Postgresql, Prisma, Security, SessionRoles, SessionRules,
    Socket, Sqlite, Synchronous, Traces, WorkerConfig,
};
use dbal_identity::{ClaimNames, KeyRule, TokenRules};

/// The text.
pub(super) fn text(config: &WorkerConfig) -> String {
    let mut out = String::new();
    // Writing into a string can't fail.
    let _ = write(&mut out, config);
    out
}

fn write(out: &mut String, config: &WorkerConfig) -> fmt::Result {
    // Every struct is taken apart by name: a new setting that is not shown here does not compile.
    let WorkerConfig {
        socket: Socket {
            path,
            mode,
            allow_uid,
        },
        database,
        entities,
        policy,
        invariants,
        policy_tested,
        auth:
            Auth {
                tokens,
                api_keys,
                sessions,
                certificates,
                public_only,
            },
        audit,
        security: Security { sandbox, run_as },
        cursor_keys,
        limits:
            Limits {
                query_timeout_ms,
                queue,
                queue_ms,
                drain_ms,
                idempotency_hours,
                resolve_again_s,
            },
        cache:
            Cache {
                enabled,
                size_mb,
                ttl,
                other_daemons,
            },
        expiry: Expiry {
            enabled: expires,
            interval_s,
        },
        log: Log { format, level },
        traces: Traces {
            spans,
            calls_per_second,
        },
        warnings: _,
    } = config;
    writeln!(out, "socket:")?;
    optional(out, "  path", path.as_deref().map(Path::display))?;
    writeln!(out, "  mode: \"{mode:04o}\"")?;
    writeln!(out, "  allow_uid: {allow_uid:?}")?;
    match database {
        Database::Sqlite(Sqlite {
            path,
            readers,
            synchronous,
            create_tables,
        }) => {
            writeln!(out, "database:\n  sqlite:")?;
            line(out, "    path", path.display())?;
            writeln!(out, "    readers: {readers}")?;
            writeln!(
                out,
                "    synchronous: {}",
                match synchronous {
                    Synchronous::Full => "full",
                    Synchronous::Normal => "normal",
                }
            )?;
            writeln!(out, "    create_tables: {create_tables}")?;
        }
        Database::Postgresql(postgresql) => write_postgresql(out, postgresql)?,
        Database::Mysql(mysql) => write_mysql(out, mysql)?,
        Database::Prisma(prisma) => write_prisma(out, prisma)?,
    }
    line(out, "entities", entities.display())?;
    line(out, "policy", policy.display())?;
    optional(out, "invariants", invariants.as_deref().map(Path::display))?;
    optional(out, "policy_tested", policy_tested.as_deref().map(Path::display))?;
    writeln!(out, "auth:")?;
    writeln!(out, "  public_only: {public_only}")?;
    if let Some(tokens) = tokens {
        write_tokens(out, tokens)?;
    }
    optional(out, "  api_keys", api_keys.as_deref().map(Path::display))?;
    if let Some(sessions) = sessions {
        write_sessions(out, sessions)?;
    }
    if let Some(CertificateRules { trust_broker, names }) = certificates {
        writeln!(
            out,
            "  certificates:\n    trust_broker: {trust_broker}\n    names:"
        )?;
        for CertificateName {
            name,
            subject,
            roles,
            tenant,
        } in names
        {
            line(out, "      - name", name)?;
            line(out, "        subject", subject)?;
            writeln!(out, "        roles: {}", serde_json::json!(roles))?;
            optional(out, "        tenant", tenant.as_ref())?;
        }
    }
    let Audit {
        directory,
        on_failure,
        durability,
        interval_ms,
        rotate_mib,
        rotate_hours,
        keep_files,
        keep_days,
        compress,
        checkpoint_key,
        checkpoint_records,
    } = audit;
    writeln!(out, "audit:")?;
    line(out, "  directory", directory.display())?;
    writeln!(
        out,
        "  on_failure: {}",
        match on_failure {
            OnFailure::Refuse => "refuse",
            OnFailure::Continue => "continue",
        }
    )?;
    writeln!(
        out,
        "  durability: {}",
        match durability {
            Durability::Interval => "interval",
            Durability::Always => "always",
        }
    )?;
    writeln!(out, "  interval_ms: {interval_ms}")?;
    writeln!(out, "  rotate_mib: {rotate_mib}\n  rotate_hours: {rotate_hours}")?;
    for (name, number) in [("keep_files", keep_files), ("keep_days", keep_days)] {
        if let Some(number) = number {
            writeln!(out, "  {name}: {number}")?;
        }
    }
    writeln!(out, "  compress: {compress}")?;
    if checkpoint_key.is_some() {
        // Nothing could stand here in its place that would be a key.
        writeln!(out, "  # checkpoint_key: set, not shown")?;
    }
    writeln!(out, "  checkpoint_records: {checkpoint_records}")?;
    writeln!(out, "security:\n  sandbox: {}", sandbox.name())?;
    optional(out, "  run_as", run_as.as_ref())?;
    if !cursor_keys.is_empty() {
        writeln!(out, "# cursor_keys: {} set, not shown", cursor_keys.len())?;
    }
    writeln!(
        out,
        "limits:\n  query_timeout_ms: {query_timeout_ms}\n  queue: {queue}\n  queue_ms: {queue_ms}\n  drain_ms: {drain_ms}\n  idempotency_hours: {idempotency_hours}\n  resolve_again_s: {resolve_again_s}"
    )?;
    writeln!(
        out,
        "cache:\n  enabled: {enabled}\n  size_mb: {size_mb}\n  ttl: {ttl}"
    )?;
    if let Some(OtherDaemons::WithinTtl) = other_daemons {
        writeln!(out, "  other_daemons: within_ttl")?;
    }
    writeln!(out, "expiry:\n  enabled: {expires}\n  interval_s: {interval_s}")?;
    writeln!(
        out,
        "log:\n  format: {}\n  level: {}",
        match format {
            LogFormat::Auto => "auto",
            LogFormat::Text => "text",
            LogFormat::Json => "json",
            LogFormat::Journald => "journald",
        },
        level.name()
    )?;
    writeln!(
        out,
        "traces:\n  spans: {}\n  calls_per_second: {calls_per_second}",
        spans.name()
    )
}

fn write_postgresql(out: &mut String, postgresql: &Postgresql) -> fmt::Result {
    let Postgresql {
        host,
        port,
        database,
        user,
        password,
        schema,
        ssl_mode,
        channel_binding,
        ca_file,
        pool_size,
        target,
        create_tables,
    } = postgresql;
    writeln!(out, "database:\n  postgresql:\n    host:")?;
    for host in host {
        writeln!(out, "      - {}", serde_json::Value::String(host.to_string()))?;
    }
    writeln!(out, "    port: {port}")?;
    line(out, "    database", database)?;
    line(out, "    user", user)?;
    // Not its length either: that is a hint, too.
    optional(out, "    password", password.as_ref().map(|_| "(set, not shown)"))?;
    line(out, "    schema", schema)?;
    writeln!(out, "    ssl_mode: {}", ssl_mode.name())?;
    writeln!(out, "    channel_binding: {}", channel_binding.name())?;
    optional(out, "    ca_file", ca_file.as_deref().map(Path::display))?;
    writeln!(out, "    pool_size: {pool_size}")?;
    writeln!(out, "    target: {}", target.name())?;
    writeln!(out, "    create_tables: {create_tables}")
}

fn write_mysql(out: &mut String, mysql: &Mysql) -> fmt::Result {
    let Mysql {
        host,
        port,
        socket,
        database,
        user,
        password,
        ssl_mode,
        ca_file,
        pool_size,
        target,
        create_tables,
    } = mysql;
    writeln!(out, "database:\n  mysql:")?;
    if !host.is_empty() {
        writeln!(out, "    host:")?;
    }
    for host in host {
        writeln!(out, "      - {}", serde_json::Value::String(host.to_string()))?;
    }
    writeln!(out, "    port: {port}")?;
    optional(out, "    socket", socket.as_deref().map(Path::display))?;
    line(out, "    database", database)?;
    line(out, "    user", user)?;
    // Not its length either: that is a hint, too.
    optional(out, "    password", password.as_ref().map(|_| "(set, not shown)"))?;
    writeln!(out, "    ssl_mode: {}", ssl_mode.name())?;
    optional(out, "    ca_file", ca_file.as_deref().map(Path::display))?;
    writeln!(out, "    pool_size: {pool_size}")?;
    writeln!(out, "    target: {}", target.name())?;
    writeln!(out, "    create_tables: {create_tables}")
}

fn write_prisma(out: &mut String, prisma: &Prisma) -> fmt::Result {
    let Prisma {
        url,
        token: _,
        dialect,
        ca_file,
        allow_plain_http,
        pool_size,
    } = prisma;
    writeln!(out, "database:\n  prisma:")?;
    line(out, "    url", url)?;
    // As long as one has to be, whatever the length of the true one.
    line(out, "    token", "(set,not-shown)(set,not-shown)---")?;
    writeln!(out, "    dialect: {}", dialect.name())?;
    optional(out, "    ca_file", ca_file.as_deref().map(Path::display))?;
    writeln!(out, "    allow_plain_http: {allow_plain_http}")?;
    writeln!(out, "    pool_size: {pool_size}")
}

fn write_tokens(out: &mut String, tokens: &TokenRules) -> fmt::Result {
    let TokenRules {
        issuer,
        audience,
        leeway_s,
        max_age_s,
        claims: ClaimNames { id, roles, tenant },
        keys,
        jwks,
    } = tokens;
    writeln!(out, "  tokens:")?;
    line(out, "    issuer", issuer)?;
    line(out, "    audience", audience)?;
    writeln!(out, "    leeway_s: {leeway_s}")?;
    if let Some(max_age_s) = max_age_s {
        writeln!(out, "    max_age_s: {max_age_s}")?;
    }
    writeln!(out, "    claims:")?;
    line(out, "      id", id)?;
    line(out, "      roles", roles)?;
    line(out, "      tenant", tenant)?;
    optional(out, "    jwks", jwks.as_deref().map(Path::display))?;
    writeln!(out, "    keys:{}", if keys.is_empty() { " []" } else { "" })?;
    for KeyRule {
        kid,
        algorithm,
        public_key,
        secret,
    } in keys
    {
        line(out, "      - kid", kid)?;
        writeln!(out, "        algorithm: {algorithm}")?;
        optional(
            out,
            "        public_key",
            public_key.as_deref().map(Path::display),
        )?;
        // Not its length either: that is a hint, too.
        optional(out, "        secret", secret.as_ref().map(|_| "(set, not shown)"))?;
    }
    Ok(())
}

fn write_sessions(out: &mut String, sessions: &SessionRules) -> fmt::Result {
    let SessionRules {
        entity,
        token,
        hashed,
        user,
        expires,
        revoked,
        tenant,
        roles: SessionRoles {
            fixed,
            field,
            entity: of,
        },
        recheck_seconds,
    } = sessions;
    writeln!(out, "  sessions:")?;
    line(out, "    entity", entity)?;
    line(out, "    token", token)?;
    writeln!(
        out,
        "    hashed: {}",
        match hashed {
            Hashed::Sha256 => "sha256",
            Hashed::No => "no",
        }
    )?;
    line(out, "    user", user)?;
    line(out, "    expires", expires)?;
    optional(out, "    revoked", revoked.as_ref())?;
    optional(out, "    tenant", tenant.as_ref())?;
    writeln!(out, "    roles:\n      fixed: {}", serde_json::json!(fixed))?;
    optional(out, "      field", field.as_ref())?;
    optional(out, "      entity", of.as_ref())?;
    writeln!(out, "    recheck_seconds: {recheck_seconds}")
}

fn optional(out: &mut String, name: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| line(out, name, value))
}

/// A text in double quotes: JSON's strings are YAML's (YAML 1.2 §1.3).
fn line(out: &mut String, name: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "{name}: {}", serde_json::Value::String(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
socket: {path: run/worker.sock, allow_uid: [7]}
database: {sqlite: {path: data/dbal.sqlite}}
entities: entities
policy: acl.yaml
invariants: invariants.yaml
policy_tested: policy.tested
auth: {tokens: {issuer: \"a: b\", audience: dbal, keys: [{kid: k, algorithm: HS256, secret: correct-horse}]}, api_keys: keys/api.yaml, \
       sessions: {entity: Session, token: hash, user: userId, expires: end, roles: {field: role, entity: User}}, \
       certificates: {trust_broker: true, names: [{name: \"dns:ci\", subject: s, roles: [r]}]}}
audit: {directory: audit, rotate_mib: 3, keep_files: 7, keep_days: 9}
security: {run_as: \"1:1\"}
";

    const SQLITE: &str = "{sqlite: {path: data/dbal.sqlite}}";
    const POSTGRESQL: &str = "{postgresql: {host: [a, \"b:1\", /run], port: 2, database: d, user: u, \
        password: correct-horse, ca_file: ca.pem, target: any}}";
    const MYSQL: &str = "{mysql: {host: db.example, port: 2, database: d, user: u, password: correct-horse, ca_file: ca.pem}}";

    const PRISMA: &str = "{prisma: {url: \"https://[::1]/db\", token: correct-horse-correct-horse-correct-horse, \
        dialect: postgresql, ca_file: ca.pem}}";

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration_but_for_secrets() {
        for database in [SQLITE, POSTGRESQL, MYSQL, PRISMA] {
            let config = CONFIG.replace(SQLITE, database);
            let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &config).unwrap();
            let shown = text(&config);
            assert!(!shown.contains("correct-horse"));
            let again = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &shown).unwrap();
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
            assert_eq!(text(&again), shown);
        }
        let (before, rest) = CONFIG.split_once("auth: ").unwrap();
        let (_, after) = rest.split_once("audit:").unwrap();
        for auth in ["{public_only: true}", "{api_keys: keys/api.yaml}"] {
            let config = format!("{before}auth: {auth}\naudit:{after}");
            let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &config).unwrap();
            let again = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &text(&config)).unwrap();
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
        }
    }
}
