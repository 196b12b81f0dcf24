//! `dbal config`: sealing, editing, showing and checking configuration.

mod editor;
mod effective;
mod environment;
mod single_file;
mod split;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dbal_config::{Database, Identity, Recipient, WorkerConfig};
use dbal_policy::Policy;
use dbal_schema::Schema;
use dbal_shared::causes::causes;
use zeroize::Zeroizing;

use crate::doctor;
use crate::error::ToolError;
use crate::files::{self, PRIVATE};
use crate::output;
use crate::supervise::beside;

/// Seal, edit, show and check configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Seal worker.yaml into worker.yaml.age, after checking it.
    Encrypt {
        /// The plain configuration.
        file: PathBuf,
        /// Who can open it (age1…, as `dbal keygen` prints it); may be given several times.
        #[arg(short, long, value_name = "RECIPIENT")]
        recipient: Vec<String>,
        /// An identity that can open it, instead of or beside recipients.
        #[arg(short, long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Where to put it; FILE.age otherwise.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Open a sealed configuration in $VISUAL or $EDITOR, check it, seal it again.
    Edit {
        /// The sealed configuration.
        file: PathBuf,
        #[command(flatten)]
        identity: With,
        /// Whom to seal it for, if it was sealed for more than this identity.
        #[arg(short, long, value_name = "RECIPIENT")]
        recipient: Vec<String>,
    },
    /// Print a worker configuration as the worker understands it: defaults filled in, secrets left out.
    Show {
        /// The configuration, plain or sealed.
        file: PathBuf,
        #[command(flatten)]
        identity: With,
    },
    /// Make broker.yaml and worker.yaml of the one file of an older deployment (server, database, security, acl, performance).
    Split {
        /// The old file. `${NAME}` in it is taken from the environment.
        file: PathBuf,
        /// Where to put the two; beside the old one otherwise.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
        /// Seal the worker's for this recipient at once (age1…); may be given several times.
        #[arg(short, long, value_name = "RECIPIENT")]
        recipient: Vec<String>,
        #[command(flatten)]
        wishes: split::Wishes,
    },
    /// Check configuration files, with the entities and the policy that they name.
    Check {
        /// worker.yaml, worker.yaml.age or broker.yaml.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        identity: With,
    },
}

#[derive(Debug, clap::Args)]
struct With {
    /// The age identity that opens a sealed file.
    #[arg(short, long, value_name = "FILE", env = "DBAL_IDENTITY")]
    identity: Option<PathBuf>,
}

impl With {
    fn identity(self) -> Option<Identity> {
        self.identity.map(Identity::File)
    }
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Sub::Encrypt {
            file,
            recipient,
            identity,
            output,
        } => encrypt(&file, &recipient, identity, output),
        Sub::Edit {
            file,
            identity,
            recipient,
        } => edit(&file, identity.identity(), &recipient),
        Sub::Show { file, identity } => {
            let config = dbal_config::open(&file, identity.identity())?;
            output::print(effective::text(&config))
        }
        Sub::Split {
            file,
            into,
            recipient,
            wishes,
        } => split_up(&file, into, &recipient, &wishes),
        Sub::Check { files, identity } => check(&files, identity.identity()),
    }
}

fn encrypt(
    file: &Path,
    recipients: &[String],
    identity: Option<PathBuf>,
    output: Option<PathBuf>,
) -> Result<(), ToolError> {
    let plain = dbal_config::read_plain(file, None)?;
    let mut recipients = parsed(recipients)?;
    if let Some(identity) = identity {
        recipients.push(dbal_config::recipient(&Identity::File(identity))?);
    }
    if recipients.is_empty() {
        return Err(ToolError::Usage(
            "nobody could open it: name a --recipient (`dbal keygen` prints one) or an --identity".to_owned(),
        ));
    }
    let output = output.unwrap_or_else(|| {
        let mut name = file.as_os_str().to_owned();
        name.push(".age");
        name.into()
    });
    // A file that can't be opened again is found now, not at the next start.
    dbal_config::open_text(&output, &plain.text)?;
    files::replace(&output, &dbal_config::encrypt(&plain.text, &recipients)?, PRIVATE)?;
    output::line(format_args!(
        "{} sealed for {}; now remove {}",
        output.display(),
        count(recipients.len(), "recipient"),
        file.display()
    ))
}

fn edit(file: &Path, identity: Option<Identity>, recipients: &[String]) -> Result<(), ToolError> {
    let identity = identity.ok_or_else(|| {
        ToolError::Usage("name the --identity that opens it (or set DBAL_IDENTITY to its file)".to_owned())
    })?;
    let sealed = fs::read(file).map_err(|source| ToolError::file(file, source))?;
    if !dbal_config::is_sealed(&sealed) {
        return Err(ToolError::Usage(format!(
            "{} is not sealed; edit it as it is, then `dbal config encrypt` it",
            file.display()
        )));
    }
    let mut recipients = parsed(recipients)?;
    let others = dbal_config::recipient_count(&sealed);
    if others > 1 && recipients.is_empty() {
        return Err(ToolError::Usage(format!(
            "{} was sealed for {others} recipients, and a sealed file does not tell who they are; \
             name all of them with --recipient, or the others could not open it any more",
            file.display()
        )));
    }
    if recipients.is_empty() {
        recipients.push(dbal_config::recipient(&identity)?);
    }
    let before = dbal_config::read_plain(file, Some(identity))?.text;
    let after = editor::edit(&before)?;
    if *after == *before {
        return output::line(format_args!("{} is unchanged", file.display()));
    }
    dbal_config::open_text(file, &after)?;
    files::replace(file, &dbal_config::encrypt(&after, &recipients)?, PRIVATE)?;
    output::line(format_args!(
        "{} sealed for {}",
        file.display(),
        count(recipients.len(), "recipient")
    ))
}

fn split_up(
    file: &Path,
    into: Option<PathBuf>,
    recipients: &[String],
    wishes: &split::Wishes,
) -> Result<(), ToolError> {
    let recipients = parsed(recipients)?;
    let absolute = std::path::absolute(file).map_err(|source| ToolError::file(file, source))?;
    let home = absolute.parent().unwrap_or(Path::new("/"));
    let is_elsewhere = into.as_deref().is_some_and(|into| into != home);
    let folder = into.unwrap_or_else(|| file.parent().map(Path::to_owned).unwrap_or_default());
    let old = dbal_settings::parse(file, &Zeroizing::new(files::read(file)?))?;
    let variables = |name: &str| std::env::var(name).ok();
    let source = split::Source {
        file,
        base: is_elsewhere.then_some(home),
        variables: &variables,
    };
    let split = split::split(&source, &old, wishes)
        .map_err(|error| ToolError::Failed(format!("{}: {error}", file.display())))?;
    let broker = folder.join("broker.yaml");
    let worker = folder.join(if recipients.is_empty() {
        "worker.yaml"
    } else {
        "worker.yaml.age"
    });
    // What a worker would not take is found now; and neither file is written if the other one can't be.
    dbal_config::open_text(&worker, &split.worker)?;
    for path in [&broker, &worker] {
        if path.exists() {
            return Err(ToolError::Usage(format!(
                "{} exists already; remove it, or choose another folder with --into",
                path.display()
            )));
        }
    }
    files::replace(&broker, split.broker.as_bytes(), files::PUBLIC)?;
    if recipients.is_empty() {
        files::replace(&worker, split.worker.as_bytes(), PRIVATE)?;
    } else {
        files::replace(
            &worker,
            &dbal_config::encrypt(&split.worker, &recipients)?,
            PRIVATE,
        )?;
    }
    for note in &split.notes {
        output::say(format_args!("note: {note}"));
    }
    output::line(format_args!("{} and {}", broker.display(), worker.display()))?;
    let seal = if recipients.is_empty() {
        format!("; then `dbal config encrypt {}`", worker.display())
    } else {
        String::new()
    };
    output::say(format_args!(
        "next: `dbal config check {} {}`{seal}",
        broker.display(),
        worker.display()
    ));
    Ok(())
}

/// All of them: what is wrong with the second is no less wrong because the first is. And whether they agree.
fn check(files: &[PathBuf], identity: Option<Identity>) -> Result<(), ToolError> {
    let (mut broker, mut worker, mut failed) = (None, None, None::<ToolError>);
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let checked = if name.starts_with("broker") {
            check_broker(file).map(|()| broker = Some(file))
        } else if name.starts_with("worker") {
            check_worker(file, identity.clone()).map(|config| worker = Some(config))
        } else {
            Err(ToolError::Usage(format!(
                "{}: whose configuration is it? Its name begins neither with `broker` nor with `worker`",
                file.display()
            )))
        };
        if let Err(error) = checked
            && let Some(earlier) = failed.replace(error)
        {
            output::say(format_args!("dbal: {}", causes(&earlier)));
        }
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    if let (Some(broker), Some(worker)) = (broker, worker) {
        let differ = doctor::differences(broker, &worker)?;
        if !differ.is_empty() {
            output::say(format_args!(
                "warning: the two differ in {}: unless both come to the same, calls are refused",
                differ.join(", ")
            ));
        }
    }
    Ok(())
}

fn check_worker(file: &Path, identity: Option<Identity>) -> Result<WorkerConfig, ToolError> {
    let (config, warnings) = examine_worker(file, identity)?;
    for warning in warnings {
        output::say(format_args!("warning: {warning}"));
    }
    output::line(format_args!("{}: sound", file.display()))?;
    Ok(config)
}

/// The worker's configuration with all that it names, as the worker would load it, and what is odd about it.
pub(crate) fn examine_worker(
    file: &Path,
    identity: Option<Identity>,
) -> Result<(WorkerConfig, Vec<String>), ToolError> {
    let config = dbal_config::open(file, identity)?;
    let WorkerConfig {
        entities,
        policy,
        invariants,
        policy_tested,
        warnings,
        auth,
        database,
        ..
    } = &config;
    if let Some(authorities) = authorities(database) {
        File::open(authorities).map_err(|source| ToolError::file(authorities, source))?;
    }
    let schema = Schema::load(entities)?;
    let policy = Policy::load(policy, invariants.as_deref(), Arc::new(schema.schema))?;
    if let Some(note) = policy_tested {
        dbal_policy::tested::confirm(&policy.policy, note)
            .map_err(|error| ToolError::Failed(error.to_string()))?;
    }
    dbal_identity::Verifier::new(auth.tokens.as_ref(), dbal_identity::Secrets::Allowed)?;
    if let Some(path) = &auth.api_keys {
        dbal_identity::ApiKeys::load(path)?;
    }
    let all = warnings
        .iter()
        .cloned()
        .chain(schema.warnings.iter().map(ToString::to_string))
        .chain(policy.warnings.iter().map(ToString::to_string))
        .collect();
    Ok((config, all))
}

/// The file of those that may speak for the database.
fn authorities(database: &Database) -> Option<&Path> {
    match database {
        Database::Sqlite(_) => None,
        Database::Postgresql(postgresql) => postgresql.ca_file.as_deref(),
        Database::Mysql(mysql) => mysql.ca_file.as_deref(),
        Database::Prisma(prisma) => prisma.ca_file.as_deref(),
    }
}

/// The broker's own program knows best what it understands; its types are not in this one.
fn check_broker(file: &Path) -> Result<(), ToolError> {
    let status = Command::new(beside("dbal-broker")?)
        .arg("--config")
        .arg(file)
        .arg("--check")
        .status()
        .map_err(|source| ToolError::Spawn {
            name: "dbal-broker",
            source,
        })?;
    if status.success() {
        output::line(format_args!("{}: sound", file.display()))
    } else {
        Err(ToolError::Failed(format!(
            "{}: not sound; see above",
            file.display()
        )))
    }
}

fn parsed(recipients: &[String]) -> Result<Vec<Recipient>, ToolError> {
    recipients.iter().map(|text| Ok(text.parse()?)).collect()
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}
