//! `dbal key`: API keys, made, listed and revoked in the file that the worker reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dbal_identity::{ClaimValue, KeyRecord, NewKey, read_records, write_records};
use dbal_schema::time::push_datetime;

use crate::error::ToolError;
use crate::files;
use crate::output::{self, Output};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A key that nobody renews ends after so many days.
const DAYS: u32 = 90;
/// Files beside which a file may be rewritten but not replaced (docs/config.md, Reloading).
const CONFIGURATION: [&str; 4] = ["worker.yaml", "worker.yaml.age", "broker.yaml", "identity"];

/// Make, list and revoke API keys.
///
/// The file holds hashes only; the worker reads it (`auth.api_keys`), at start, at SIGHUP and when it changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Make a key and print it, once.
    New {
        #[command(flatten)]
        file: KeyFile,
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Whom its bearer acts as: the principal's id.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// A role of the principal; may be given several times.
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        /// The principal's tenant.
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        /// What policies may know as `$user.NAME`: NAME=true, NAME=12 or NAME=text; may be given several times.
        #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
        claim: Vec<(String, ClaimValue)>,
        /// Days until it ends.
        #[arg(long, value_name = "DAYS", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// It never ends.
        #[arg(long, conflicts_with = "days")]
        forever: bool,
    },
    /// Print all keys of the file: prefix, state, end, name, subject, roles.
    List {
        #[command(flatten)]
        file: KeyFile,
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Make a key worthless; it stays in the list.
    Revoke {
        #[command(flatten)]
        file: KeyFile,
        /// The key's prefix, as `list` prints it, or the whole key.
        #[arg(value_name = "PREFIX")]
        key: String,
    },
}

#[derive(Debug, clap::Args)]
struct KeyFile {
    /// The file of API keys.
    #[arg(
        long,
        value_name = "FILE",
        env = "DBAL_API_KEYS",
        default_value = ".dbal-dev/keys/api-keys.yaml"
    )]
    file: PathBuf,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Sub::New {
            file: KeyFile { file },
            name,
            subject,
            role,
            tenant,
            claim,
            days,
            forever,
        } => {
            let created = now_ms()?;
            let lifetime = i64::from(days).saturating_mul(DAY_MS);
            let key = NewKey::generate()?;
            let shown = key.shown();
            let _alone = files::alone(&file)?;
            let mut records = known(&file)?;
            if records.iter().any(|record| record.prefix == shown.prefix()) {
                return Err(ToolError::Failed(
                    "by chance another key has the same prefix; try again".to_owned(),
                ));
            }
            records.push(KeyRecord {
                prefix: shown.prefix().to_owned(),
                hash: shown.hash(),
                name,
                subject,
                roles: role,
                tenant,
                claims: claim.into_iter().collect::<BTreeMap<_, _>>(),
                created,
                expires: (!forever).then(|| created.saturating_add(lifetime)),
                revoked: None,
            });
            put(&file, &records)?;
            output::line(format_args!("{}", key.text()))?;
            output::say(format_args!(
                "dbal: this is the only time that the key is shown; {} has its hash",
                file.display()
            ));
            Ok(())
        }
        Sub::List {
            file: KeyFile { file },
            json,
        } => {
            let now_ms = now_ms()?;
            let mut output = Output::open();
            for record in read_records(&file)? {
                output.line(if json {
                    as_json(&record, now_ms)
                } else {
                    as_line(&record, now_ms)
                })?;
            }
            output.flush()
        }
        Sub::Revoke {
            file: KeyFile { file },
            key,
        } => {
            let prefix = dbal_identity::ShownKey::parse(&key).map_or_else(
                || key.strip_prefix("dbal_").unwrap_or(&key),
                |shown| shown.prefix(),
            );
            let _alone = files::alone(&file)?;
            let mut records = read_records(&file)?;
            let record = records
                .iter_mut()
                .find(|record| record.prefix == prefix)
                .ok_or_else(|| {
                    // A mistyped key is a key all the same: it is not repeated.
                    ToolError::Usage(format!(
                        "{}: no key has this prefix; `dbal key list` shows them",
                        file.display()
                    ))
                })?;
            if record.revoked.is_none() {
                record.revoked = Some(now_ms()?);
            }
            let said = format!("{} ({}) is revoked", record.prefix, record.name);
            put(&file, &records)?;
            output::line(format_args!(
                "{said}; a worker that is running takes it up within seconds, or at SIGHUP"
            ))
        }
    }
}

/// The keys so far; none where there is no file yet.
fn known(file: &Path) -> Result<Vec<KeyRecord>, ToolError> {
    if file.exists() {
        Ok(read_records(file)?)
    } else {
        Ok(Vec::new())
    }
}

/// Replaces the file in one step, for the user who owned it or owns its folder: the worker, not root.
fn put(file: &Path, records: &[KeyRecord]) -> Result<(), ToolError> {
    let folder = files::folder_of(file);
    let owner = fs::metadata(file).or_else(|_| fs::metadata(folder));
    let owner = owner.map_err(|source| ToolError::file(folder, source))?;
    files::replace_for(
        file,
        write_records(records).as_bytes(),
        files::PRIVATE,
        (owner.uid(), owner.gid()),
    )?;
    // Read back: what the worker could not read must not wait for the worker to say so.
    read_records(file)?;
    if CONFIGURATION.iter().any(|name| folder.join(name).exists()) {
        output::say(format_args!(
            "dbal: warning: {} lies beside a configuration, where a locked-in worker sees no replaced file until it is \
             started again; keep it in a folder of its own",
            file.display()
        ));
    }
    Ok(())
}

fn claim(text: &str) -> Result<(String, ClaimValue), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = match (value, value.parse()) {
        ("true", _) => ClaimValue::Bool(true),
        ("false", _) => ClaimValue::Bool(false),
        (_, Ok(number)) => ClaimValue::Int(number),
        (text, Err(_)) => ClaimValue::Text(text.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn state(record: &KeyRecord, now_ms: i64) -> &'static str {
    if record.revoked.is_some() {
        "revoked"
    } else if record.expires.is_some_and(|end| end <= now_ms) {
        "expired"
    } else {
        "valid"
    }
}

fn as_line(record: &KeyRecord, now_ms: i64) -> String {
    format!(
        "{}  {:<7}  {:<24}  {}  {}  [{}]",
        record.prefix,
        state(record, now_ms),
        record.expires.map_or_else(|| "forever".to_owned(), moment),
        // Control characters could repaint the terminal.
        record.name.escape_debug(),
        record.subject.escape_debug(),
        record.roles.join(", ").escape_debug(),
    )
}

fn as_json(record: &KeyRecord, now_ms: i64) -> String {
    serde_json::json!({
        "prefix": record.prefix, "state": state(record, now_ms), "name": record.name, "subject": record.subject,
        "roles": record.roles, "tenant": record.tenant, "created": moment(record.created),
        "expires": record.expires.map(moment), "revoked": record.revoked.map(moment),
    })
    .to_string()
}

fn moment(ms: i64) -> String {
    let mut text = String::new();
    push_datetime(ms, &mut text);
    text
}

fn now_ms() -> Result<i64, ToolError> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .ok_or_else(|| ToolError::Failed("the clock does not tell the time".to_owned()))
}
