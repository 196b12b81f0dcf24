//! `dbal doctor`: looks at a deployment and says in plain words what is wrong with it. One file per kind of question; it changes nothing.

mod check;
mod report;
mod told;
mod deployment;
mod kernel;
mod units;
mod access;
mod configuration;
mod certificate;
mod clock;
mod rules;
mod journal;
mod running;
mod space;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use dbal_config::WorkerConfig;

use crate::diagnostics::Colour;
use crate::error::ToolError;
use crate::output;
use check::{Check, Section};
use deployment::{Broker, Deployment};
use rules::Rules;

/// Look at a deployment and say what is wrong and how to mend it. Changes nothing.
///
/// Looks at kernel, units, files and who can reach them, both configurations, certificate, clock, policy, audit journal, running
/// daemons and room. Root sees all of it. Exit 0: all is well. 1: something is wrong. 2: nothing is, but there are warnings, or
/// something could not be looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of both configurations; that of `dbal dev` is .dbal-dev.
    #[arg(long, value_name = "DIR", default_value = "/etc/dbal")]
    config: PathBuf,
    /// The age identity that opens a sealed worker configuration; else DIR/identity, if it is there.
    #[arg(short, long, value_name = "FILE", env = "DBAL_IDENTITY")]
    identity: Option<PathBuf>,
    /// A name or address by which clients connect, for which the certificate must be; may be given several times.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Keys of both configurations that should come to the same, and are not the same.
pub(crate) fn differences(broker: &Path, worker: &WorkerConfig) -> Result<Vec<&'static str>, ToolError> {
    let absolute = std::path::absolute(broker).map_err(|source| ToolError::file(broker, source))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let broker = Broker::read(folder, broker)?;
    Ok(configuration::differences(&broker, worker))
}

pub(crate) fn run(options: Options) -> Result<ExitCode, ToolError> {
    let Options {
        config,
        identity,
        name,
        json,
    } = options;
    let deployment = Deployment::read(&config, identity).map_err(|error| {
        ToolError::Usage(format!(
            "no deployment there ({error}); name its folder with --config"
        ))
    })?;
    let sections = looked_at(&deployment, &name);
    if json {
        output::line(format_args!("{}", report::json(&sections)))?;
    } else {
        let colour = if std::io::stdout().is_terminal() {
            Colour::wanted()
        } else {
            Colour::No
        };
        output::print_painted(report::text(&sections, colour))?;
    }
    Ok(ExitCode::from(report::exit_code(&sections)))
}

fn looked_at(deployment: &Deployment, names: &[String]) -> Vec<Section> {
    let broker_file = deployment.dir.join("broker.yaml");
    let rules = match &deployment.broker {
        Ok(_) => rules::look(&broker_file),
        Err(unread) => Rules {
            checks: vec![unread.check("policy", "see the configuration, above")],
            hash: None,
        },
    };
    let running = running::checks(deployment, rules.hash.as_deref());
    let sections = [
        ("kernel", kernel::Kernel::read().checks()),
        ("systemd", units::checks(Path::new("/"), deployment.is_dev)),
        ("files", access::checks(deployment)),
        ("configuration", configuration::checks(deployment)),
        ("certificate", certificate_of(deployment, names)),
        ("clock", clock_of(deployment)),
        ("policy", rules.checks),
        ("audit", journal::checks(deployment)),
        ("daemons", running),
        ("room", room(deployment)),
    ];
    sections.map(|(title, checks)| Section { title, checks }).into()
}

fn certificate_of(deployment: &Deployment, names: &[String]) -> Vec<Check> {
    match &deployment.broker {
        Ok(Broker { tls, .. }) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now_s = now.map_or(0, |now| now.as_secs());
            certificate::checks(&tls.certificate, &tls.key, names, now_s)
        }
        Err(_) => vec![Check::unseen(
            "certificate",
            "broker.yaml, which names it, can't be read",
            "see the configuration, above",
        )],
    }
}

fn clock_of(deployment: &Deployment) -> Vec<Check> {
    let broker = deployment.broker.as_ref().ok();
    let named = broker.map(|broker| [broker.policy.as_path(), broker.tls.certificate.as_path()]);
    let own = deployment.dir.join("broker.yaml");
    let files: Vec<&Path> = [own.as_path()]
        .into_iter()
        .chain(deployment.worker_file.as_deref())
        .chain(named.into_iter().flatten())
        .collect();
    clock::checks(&files, SystemTime::now(), deployment.is_dev)
}

fn room(deployment: &Deployment) -> Vec<Check> {
    let mut checks = vec![space::disk("audit journal", &deployment.audit())];
    let sealed = deployment.sealed();
    if sealed.exists() {
        checks.push(space::disk("sealed journal", &sealed));
    }
    checks.extend(deployment.sqlite().map(|file| space::disk("database", file)));
    let connections = deployment.broker.as_ref().ok();
    let connections = connections.and_then(|broker| broker.limits.connections);
    checks.push(space::files(connections));
    checks
}

/// For the fuzz targets: what is told of what a broker says of itself.
#[cfg(fuzzing)]
pub(crate) fn fuzzed(health: &serde_json::Value) -> Vec<crate::fuzzed::Shown> {
    use crate::fuzzed::{COLOURS, Shown};

    let sections = [Section {
        title: "daemons",
        checks: running::told(health, Some("p"), "start"),
    }];
    let mut shown: Vec<Shown> = COLOURS
        .into_iter()
        .map(|(colour, is_painted)| Shown::Lines(report::text(&sections, colour), is_painted))
        .collect();
    shown.push(Shown::Json(report::json(&sections).to_string()));
    shown
}
