//! `dbal dev`: one command to a running daemon. Makes what is missing in a folder, starts both processes, says how to call them.

mod folder;
mod separate;
mod certificate;
mod examples;
mod settings;
mod people;
mod seed;
mod greeting;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::client::status_of;
use crate::error::ToolError;
use crate::files;
use crate::output;
use crate::supervise::{Asked, Pair, Signals, block_on, close_inherited};
use folder::Folder;

pub(crate) use folder::signing_key;
pub(crate) use people::{AUDIENCE, ISSUER};

/// Start a daemon for development and keep it running until Ctrl-C.
///
/// Makes, once, in its folder: a certificate authority and a server certificate for localhost, a key that signs tokens,
/// an age identity and a sealed worker configuration, example entities and an example policy, users alice, bob (user),
/// carol (moderator) and admin (admin), a SQLite database and an audit trail. Starting again keeps all of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder.
    #[arg(long, value_name = "DIR", default_value = ".dbal-dev")]
    dir: PathBuf,
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Print one line of JSON when ready, and nothing else.
    #[arg(long)]
    json: bool,
    /// Entities to use instead of the examples; copied into the folder.
    #[arg(long, value_name = "DIR", requires = "policy")]
    entities: Option<PathBuf>,
    /// The policy to use instead of the example; copied into the folder.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// What `--json` prints, and what `dbal call --dir` reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) endpoint: String,
    pub(crate) ca: PathBuf,
    pub(crate) health: String,
    pub(crate) metrics: String,
    pub(crate) users: BTreeMap<String, User>,
}

/// Somebody one can be.
#[expect(
    clippy::struct_field_names,
    reason = "the names are the line's, which scripts read"
)]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) token: String,
    pub(crate) user_id: String,
    pub(crate) roles: Vec<String>,
}

impl Ready {
    /// What the daemon in this folder said when it was ready last.
    pub(crate) fn read(dir: &Path) -> Result<Self, ToolError> {
        let path = folder::ready_line(dir);
        if !path.exists() {
            return Err(ToolError::Usage(format!(
                "{} is no development folder in use; start one with `dbal dev --dir {}`, or name a daemon with --endpoint",
                dir.display(),
                dir.display()
            )));
        }
        serde_json::from_str(&files::read(&path)?).map_err(|error| {
            ToolError::Failed(format!("{}: {error}; `dbal dev` writes it anew", path.display()))
        })
    }

    /// One of its users.
    pub(crate) fn user(&self, name: &str) -> Result<&User, ToolError> {
        self.users.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.users.keys().map(String::as_str).collect();
            ToolError::Usage(format!(
                "there is no user `{name}`; there are {}",
                known.join(", ")
            ))
        })
    }
}

/// How long it may take from "both serve" to "both serve together".
const TOGETHER_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    close_inherited()?;
    let Options {
        dir,
        listen,
        json,
        entities,
        policy,
    } = options;
    if !listen.ip().is_loopback() {
        return Err(ToolError::Usage(format!(
            "{listen} can be reached from other machines, and development tokens are good for ten years; \
             listen on 127.0.0.1 or [::1], or write a configuration (docs/config.md) and use `dbal run`"
        )));
    }
    let folder = Folder::prepare(&dir, listen, entities.as_deref(), policy.as_deref())?;
    block_on(async {
        // A developer who closes the terminal has left.
        let mut signals = Signals::watch(Asked::End)?;
        let (pair, ready) = tokio::select! {
            started = start(&folder) => started?,
            () = signals.end() => return Ok(()),
        };
        let said = if json {
            serde_json::to_string(&ready)
                .map(|line| format!("{line}\n"))
                .map_err(|error| ToolError::Failed(error.to_string()))?
        } else {
            greeting::text(&dir, &ready)
        };
        output::print(&said)?;
        pair.keep(signals).await;
        Ok(())
    })
}

async fn start(folder: &Folder) -> Result<(Pair, Ready), ToolError> {
    let pair = Pair::start(folder.worker()?, folder.broker()?).await?;
    // A broker that is started again must come back where its clients look for it.
    folder.pin(&pair.serving)?;
    let ready = folder.ready(&pair.serving)?;
    wait_until_whole(&pair.serving.listen, &ready.ca).await?;
    seed::users(folder, &ready).await?;
    Ok((pair, ready))
}

/// Waits until the broker says that it has its worker and that has its database.
async fn wait_until_whole(listen: &str, ca: &Path) -> Result<(), ToolError> {
    let until = Instant::now().checked_add(TOGETHER_WITHIN);
    loop {
        let status = status_of(listen, "/readyz", ca).await?;
        if status == 200 {
            return Ok(());
        }
        if until.is_none_or(|until| Instant::now() > until) {
            return Err(ToolError::Failed(format!(
                "the daemon serves but is not ready (/readyz says {status}); its own words stand above"
            )));
        }
        sleep(Duration::from_millis(10)).await;
    }
}
