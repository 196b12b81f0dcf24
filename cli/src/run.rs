//! `dbal run`: the supervisor for containers and laptops, where no service manager starts the two units.

use std::path::{Path, PathBuf};

use crate::error::ToolError;
use crate::output;
use crate::supervise::{Asked, Daemon, Pair, Prints, Signals, beside, block_on, close_inherited};

/// Start broker and worker from their configuration and keep them running.
///
/// SIGTERM and Ctrl-C drain both; SIGHUP is passed on, so that they read their files again; one that dies is started
/// again. Started as root, each daemon becomes the user that its `security.run_as` names. This process opens the
/// identity and hands it to the worker unread.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder with broker.yaml and worker.yaml.age (or worker.yaml), or one of these files.
    #[arg(long, value_name = "PATH", default_value = "/etc/dbal")]
    config: PathBuf,
    /// The age identity that opens worker.yaml.age.
    #[arg(long, value_name = "FILE", env = "DBAL_IDENTITY")]
    identity: Option<PathBuf>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    close_inherited()?;
    let Options { config, identity } = options;
    config
        .metadata()
        .map_err(|source| ToolError::file(&config, source))?;
    let folder = if config.is_dir() {
        config.as_path()
    } else {
        config.parent().unwrap_or(Path::new("."))
    };
    let worker = Daemon {
        name: "dbal-worker",
        program: beside("dbal-worker")?,
        config: first_of(folder, &["worker.yaml.age", "worker.yaml"])?,
        identity,
        prints: Prints::ToStdout,
    };
    let broker = Daemon {
        name: "dbal-broker",
        program: beside("dbal-broker")?,
        config: first_of(folder, &["broker.yaml"])?,
        identity: None,
        prints: Prints::ToStdout,
    };
    block_on(async {
        let mut signals = Signals::watch(Asked::Reload)?;
        let pair = tokio::select! {
            pair = Pair::start(worker, broker) => pair?,
            () = signals.end() => return Ok(()),
        };
        output::say(format_args!("dbal: serving on {}", pair.serving.listen));
        pair.keep(signals).await;
        Ok(())
    })
}

fn first_of(folder: &Path, names: &[&str]) -> Result<PathBuf, ToolError> {
    names
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists())
        .ok_or_else(|| {
            ToolError::Usage(format!(
                "{} holds no {}; `dbal dev` makes a folder to learn from",
                folder.display(),
                names.join(" and no ")
            ))
        })
}
