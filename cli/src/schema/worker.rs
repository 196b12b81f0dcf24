//! Asks the worker's program, which holds the drivers, and the configuration's secrets only for as long as it runs.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

use crate::error::ToolError;
use crate::output;
use crate::supervise::beside;

const WORKER: &str = "dbal-worker";
/// Longest answer, in bytes: a thousand tables with all their columns take a few MiB.
const ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Whose database.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The worker's configuration, plain or sealed.
    #[arg(long, value_name = "FILE", default_value = "/etc/dbal/worker.yaml.age")]
    config: PathBuf,
    /// The age identity that opens a sealed one.
    #[arg(short, long, value_name = "FILE", env = "DBAL_IDENTITY")]
    identity: Option<PathBuf>,
}

impl Asked {
    /// The answer, as the worker gave it. What it says besides is shown only if it gives none.
    pub(super) fn answer(&self, task: &str) -> Result<String, ToolError> {
        let spawn = |source| ToolError::Spawn { name: WORKER, source };
        let mut command = Command::new(beside(WORKER)?);
        command.arg("--config").arg(&self.config).args(["--schema", task]);
        if let Some(identity) = &self.identity {
            command.arg("--identity").arg(identity);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(spawn)?;
        // Read beside the answer, or the worker could wait for room in this pipe while we wait for the other.
        let said = child.stderr.take();
        let said = std::thread::spawn(move || text(said));
        let answer = text(child.stdout.take());
        let status = child.wait().map_err(spawn)?;
        let said = said.join().unwrap_or_default();
        if !status.success() {
            output::say_text(&said);
            return Err(ToolError::NotAsked(format!("{WORKER} ended early ({status})")));
        }
        Ok(answer)
    }
}

/// The answer in its parts.
pub(super) fn parsed<T: DeserializeOwned>(answer: &str) -> Result<T, ToolError> {
    serde_json::from_str(answer).map_err(|error| {
        ToolError::NotAsked(format!(
            "{WORKER} is of another version than this program: {error}"
        ))
    })
}

fn text(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before an error is shown as far as it goes.
        let _ = stream.take(ANSWER_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
