//! `dbal policy reload`: has running daemons take up the policy, if it is sound, and tells what became of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dbal_review::trial::terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::inputs::Named;
use super::trial::{passed, record, tried};
use crate::admin::health;
use crate::daemons::{daemons, name_of};
use crate::error::ToolError;
use crate::output;

/// Have running daemons read their policy again.
///
/// First the policy is loaded here, its invariants are proven and its tests (`policy_tests`) are run: where one fails, no daemon hears
/// of it. That they passed is noted, where the daemons look for it (`policy_tested`). Then worker and broker get SIGHUP, and what they make of it is told, where broker.yaml names an `admin` address.
/// Exit 1: refused, here or by a daemon; the old policy stays in force.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The broker's configuration; else ./broker.yaml or /etc/dbal/broker.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Processes of the daemons; else the one broker and the one worker that run here.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
}

/// How long the daemons may take to read their files.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options { config, pids } = options;
    let named = Named::configured(config.as_deref())?;
    let policy = named.examine()?.policy()?;
    let tested = tried(&policy, &named.tests()?)?;
    if !tested.is_empty() {
        output::print(terminal(&tested))?;
    }
    passed(&tested)?;
    if let Some(note) = &named.policy_tested {
        record(&policy, &tested, note)?;
    }
    let pids = those(pids)?;
    let before = named.admin.map(health).transpose()?;
    for (name, pid) in &pids {
        hang_up(name, *pid)?;
    }
    let hash = policy.hash().to_string();
    if let (Some(admin), Some(before)) = (named.admin, before) {
        return followed(admin, &before, &hash);
    }
    output::line(format_args!(
        "signalled, with policy {hash}; the daemons' logs say what became of it (no `admin` in the configuration)"
    ))
}

/// The worker first: while only it goes by the new policy calls are tried again, and it has the last word.
fn those(pids: Vec<u32>) -> Result<Vec<(String, u32)>, ToolError> {
    let are_named = !pids.is_empty();
    let pids = if are_named { pids } else { daemons() };
    let mut found: Vec<(String, u32)> = Vec::new();
    for pid in pids {
        match name_of(pid).filter(|name| name == "dbal-broker" || name == "dbal-worker") {
            Some(name) => found.push((name, pid)),
            None => {
                return Err(ToolError::Usage(format!(
                    "process {pid} is no dbal-broker and no dbal-worker"
                )));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    let count = |name: &str| found.iter().filter(|(found, _)| found == name).count();
    let (brokers, workers) = (count("dbal-broker"), count("dbal-worker"));
    if !are_named && (brokers, workers) != (1, 1) {
        return Err(ToolError::Usage(format!(
            "{brokers} dbal-broker and {workers} dbal-worker run here; name those that are meant with --pid"
        )));
    }
    Ok(found)
}

fn hang_up(name: &str, pid: u32) -> Result<(), ToolError> {
    let number = i32::try_from(pid).map_err(|_| ToolError::Usage(format!("there is no process {pid}")))?;
    kill(Pid::from_raw(number), Signal::SIGHUP)
        .map_err(|error| ToolError::Failed(format!("{name} ({pid}) can't be signalled: {error}")))
}

/// Waits until both daemons have said what they made of it.
fn followed(admin: SocketAddr, before: &Value, hash: &str) -> Result<(), ToolError> {
    let since = Instant::now();
    let number = |health: &Value, path: &str| health.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    loop {
        let now = health(admin)?;
        let has_grown = |path: &str| number(&now, path) > number(before, path);
        let broker_failed = has_grown("/reloads/failed");
        let worker_failed = has_grown("/worker/failed_reloads");
        if broker_failed {
            let why = now
                .pointer("/reloads/error")
                .and_then(Value::as_str)
                .unwrap_or_default();
            return Err(ToolError::Failed(format!(
                "the broker keeps the old policy: {why}"
            )));
        }
        if worker_failed {
            return Err(ToolError::Failed(
                "the worker keeps the old policy; its log and the audit say why".to_owned(),
            ));
        }
        let goes_by = |path: &str| now.pointer(path).and_then(Value::as_str) == Some(hash);
        if has_grown("/reloads/succeeded") && goes_by("/policy") && goes_by("/worker/policy") {
            return output::line(format_args!("broker and worker go by policy {hash}"));
        }
        if since.elapsed() > TAKEN_UP_WITHIN {
            let seconds = TAKEN_UP_WITHIN.as_secs();
            return Err(ToolError::Failed(format!(
                "after {seconds} s not both daemons go by policy {hash}: do they read the same files? /health says {now}"
            )));
        }
        sleep(LOOK);
    }
}
