//! `dbal sandbox status`: what the kernel says about running daemons, whatever their configuration says.

use std::time::{Duration, Instant};

use dbal_sandbox::{Layer, SandboxError, State, read_back};

use crate::daemons::{daemons, name_of};
use crate::error::ToolError;
use crate::output::Output;

/// Show which layers of the sandbox are in force, as the kernel tells it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read /proc/PID/status; exit 1 if a layer is missing.
    Status {
        /// Processes; all dbal-broker and dbal-worker of this machine if none is named.
        pids: Vec<u32>,
    },
}

/// A daemon that has just been started opens its files before it locks itself in; it is looked at again for so long.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        command: Command::Status { pids },
    } = options;
    let looked_at = if pids.is_empty() {
        // One that ends meanwhile is no running daemon.
        let found = daemons().into_iter();
        found
            .filter_map(|pid| started(pid).ok().map(|layers| (pid, layers)))
            .collect()
    } else {
        let named = pids.into_iter().map(|pid| {
            let layers = started(pid);
            layers
                .map(|layers| (pid, layers))
                .map_err(|error| ToolError::Failed(format!("process {pid}: {error}")))
        });
        named.collect::<Result<Vec<_>, _>>()?
    };
    if looked_at.is_empty() {
        return Err(ToolError::Failed(
            "no dbal-broker and no dbal-worker runs here".to_owned(),
        ));
    }
    let mut missing = false;
    let mut output = Output::open();
    for (pid, layers) in looked_at {
        output.line(format_args!("{pid} {}", name_of(pid).unwrap_or_default()))?;
        for Layer { name, state } in layers {
            match state {
                State::InForce => output.line(format_args!("  {name:<20} in force"))?,
                State::Off => output.line(format_args!("  {name:<20} off"))?,
                State::Missing(why) => {
                    missing = true;
                    output.line(format_args!("  {name:<20} MISSING: {why}"))?;
                }
            }
        }
    }
    output.flush()?;
    if missing {
        Err(ToolError::Failed("a layer is missing".to_owned()))
    } else {
        Ok(())
    }
}

/// The layers of a process, once it has had the time to lock itself in.
fn started(pid: u32) -> Result<Vec<Layer>, SandboxError> {
    let since = Instant::now();
    loop {
        let layers = read_back(pid)?;
        let is_missing = |layer: &Layer| matches!(layer.state, State::Missing(_));
        if since.elapsed() >= STARTS_WITHIN || !layers.iter().any(is_missing) {
            return Ok(layers);
        }
        std::thread::sleep(LOOK);
    }
}
