//! `dbal sandbox status`: what the kernel says about running daemons, whatever their configuration says.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dbal_sandbox::{
    LANDLOCK_STEPS, Landlock, LandlockStep, Layer, SandboxError, State, landlock_here, read_back,
};
use serde_json::Value;

use crate::admin;
use crate::daemons::{daemons, name_of};
use crate::error::ToolError;
use crate::output::Output;
use crate::visible::one_line;

/// Show which layers of the sandbox are in force, as the kernel tells it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read /proc/PID/status, and what landlock this kernel has; exit 1 if a layer is missing.
    Status {
        /// Also ask the broker's administrative port for the layers that only the daemons themselves can try.
        #[arg(long, value_name = "ADDRESS")]
        admin: Option<SocketAddr>,
        /// Processes; all dbal-broker and dbal-worker of this machine if none is named.
        pids: Vec<u32>,
    },
}

/// A daemon that has just been started opens its files before it locks itself in; it is looked at again for so long.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        command: Command::Status { admin, pids },
    } = options;
    let mut output = Output::open();
    output.line(of_kernel(&landlock_here()))?;
    output.flush()?;
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
    if let Some(admin) = admin {
        let health = admin::health(admin)?;
        for daemon in ["broker", "worker"] {
            output.line(format_args!("{daemon}, as it tried when it started"))?;
            for told in health
                .pointer(&format!("/sandbox/{daemon}"))
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let (name, state) = told_layer(told);
                missing |= state.starts_with("missing");
                output.line(format_args!("  {name:<20} {state}"))?;
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

/// What this kernel's landlock has, and each later step with what it would bring.
fn of_kernel(landlock: &Landlock) -> String {
    let in_use = match landlock {
        Landlock::Abi(abi) => *abi,
        Landlock::Missing(_) | Landlock::Off => 0,
    };
    let lacks = LANDLOCK_STEPS.iter().filter(|step| step.abi > in_use);
    let lines = lacks.map(|step| {
        let LandlockStep {
            abi,
            linux: (major, minor),
            layer,
            brings,
        } = step;
        let layer = layer.map_or_else(String::new, |layer| format!("{layer}: "));
        format!("  no ABI {abi} (Linux {major}.{minor}): {layer}{brings}")
    });
    let first = format!("landlock here: {landlock}");
    std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n")
}

/// A layer and its state: the broker tells members, and of the worker what it said, `name: state`. Whatever it tells, each is part of
/// one line.
pub(crate) fn told_layer(told: &Value) -> (String, String) {
    let text = |member| told.get(member).and_then(Value::as_str).unwrap_or_default();
    let (state, why) = (text("state"), text("why"));
    let state = if why.is_empty() {
        state.to_owned()
    } else {
        format!("{state} ({why})")
    };
    (one_line(text("layer")), one_line(&state))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kernel_with_less_is_told_step_by_step() {
        assert_eq!(of_kernel(&Landlock::Abi(7)), "landlock here: ABI 7");
        let old = of_kernel(&Landlock::Abi(4));
        let lines: Vec<&str> = old.lines().collect();
        assert_eq!(lines.len(), 4, "{old}");
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("  no ABI 6 (Linux 6.12): landlock_scopes: ")),
            "{old}"
        );
        let none = of_kernel(&Landlock::Missing("not in this kernel".to_owned()));
        assert!(
            none.starts_with("landlock here: not in this kernel\n  no ABI 1 (Linux 5.13)"),
            "{none}"
        );
    }

    #[test]
    fn what_daemons_tell_of_their_layers_is_one_line_each() {
        let missing = json!({"layer": "landlock_scopes", "state": "missing", "why": "ABI 5"});
        assert_eq!(
            told_layer(&missing),
            ("landlock_scopes".to_owned(), "missing (ABI 5)".to_owned())
        );
        let hostile = json!({"layer": "\u{1b}[2J\n", "state": "\u{9b}", "why": "\u{202e}"});
        assert_eq!(
            told_layer(&hostile),
            ("\u{fffd}[2J\u{fffd}".to_owned(), "\u{fffd} (\u{fffd})".to_owned())
        );
    }
}
