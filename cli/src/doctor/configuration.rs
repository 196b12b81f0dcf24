//! Whether both configurations can be read, with all that they name, and say the same where they must.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use dbal_config::{Identity, Sandbox, WorkerConfig};
use dbal_identity::TokenRules;
use dbal_shared::causes::causes;

use super::check::{Check, shell};
use super::deployment::{Broker, Deployment};
use crate::config::examine_worker;
use crate::supervise::beside;

pub(super) fn checks(deployment: &Deployment) -> Vec<Check> {
    let mut checks = vec![broker(deployment)];
    checks.extend(worker(deployment));
    if let (Ok(broker), Ok(worker)) = (&deployment.broker, &deployment.worker) {
        checks.push(agreement(broker, worker));
        checks.extend(sandbox(
            "broker.yaml",
            broker.security.sandbox.as_deref(),
            deployment.is_dev,
        ));
        let mode = Some(worker.security.sandbox).filter(|mode| *mode != Sandbox::Strict);
        checks.extend(sandbox("worker.yaml", mode.map(Sandbox::name), deployment.is_dev));
    }
    checks
}

fn broker(deployment: &Deployment) -> Check {
    let path = deployment.dir.join("broker.yaml");
    let what = format!("broker's configuration {}", path.display());
    if let Err(unread) = &deployment.broker {
        return unread.check(
            what,
            "correct it (docs/config.md); `dbal dev` makes one to compare with",
        );
    }
    if let Ok(Broker { tls, .. }) = &deployment.broker
        && File::open(&tls.key).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    {
        return Check::unseen(
            what,
            "names a private key that you may not read",
            "run `dbal doctor` as root",
        );
    }
    let Ok(program) = beside("dbal-broker") else {
        return Check::unseen(
            what,
            "dbal-broker, which knows all of it, is not beside this program",
            "install it beside dbal",
        );
    };
    let output = Command::new(program)
        .arg("--config")
        .arg(&path)
        .arg("--check")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Check::ok(what, "sound"),
        Ok(output) => Check::error(
            what,
            last_line(&String::from_utf8_lossy(&output.stderr)),
            format!("correct it, then: dbal config check {}", shell(&path)),
        ),
        Err(error) => Check::unseen(
            what,
            format!("dbal-broker can't be started: {error}"),
            "install it beside dbal",
        ),
    }
}

/// Its last word is why it ended.
fn last_line(text: &str) -> String {
    let lines = text.lines().rev();
    let line = lines.map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("not sound").to_owned()
}

fn worker(deployment: &Deployment) -> Vec<Check> {
    let seal = "dbal config encrypt worker.yaml -r RECIPIENT (docs/config.md#sealing)";
    let (path, unread) = match (&deployment.worker_file, &deployment.worker) {
        (None, Err(unread)) => return vec![unread.check("worker's configuration", seal)],
        (None, Ok(_)) => return Vec::new(),
        (Some(path), worker) => (path, worker.as_ref().err()),
    };
    let what = format!("worker's configuration {}", path.display());
    if deployment.identity.is_none() && is_sealed(path) {
        return vec![Check::unseen(
            what,
            "sealed, and no identity to open it with",
            format!(
                "as root: (umask 077; systemd-creds decrypt --name=dbal-identity {} /run/dbal-identity) && dbal doctor --identity \
                 /run/dbal-identity; shred -u /run/dbal-identity",
                shell(&deployment.dir.join("identity.cred"))
            ),
        )];
    }
    let again = format!(
        "correct it (dbal config edit), then: dbal config check {} -i IDENTITY",
        shell(path)
    );
    if let Some(unread) = unread {
        return vec![unread.check(what, again)];
    }
    match examine_worker(path, deployment.identity.clone().map(Identity::File)) {
        Ok((_, warnings)) if warnings.is_empty() => vec![Check::ok(what, "sound")],
        Ok((_, warnings)) => warnings
            .into_iter()
            .map(|warning| Check::warning(what.clone(), warning, "see docs/config.md"))
            .collect(),
        Err(error) => vec![Check::error(what, causes(&error), again)],
    }
}

fn is_sealed(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| dbal_config::is_sealed(&bytes))
}

/// Keys that should come to the same in both files, and are not the same.
pub(super) fn differences(broker: &Broker, worker: &WorkerConfig) -> Vec<&'static str> {
    // Where the broker has none, the worker judges every token: nothing can differ.
    let differ = |of: fn(&TokenRules) -> Option<String>| {
        let tokens = broker.auth.tokens.as_ref();
        tokens.is_some_and(|tokens| of(tokens) != worker.auth.tokens.as_ref().and_then(of))
    };
    let differences = [
        (
            "the worker's socket",
            worker
                .socket
                .path
                .as_ref()
                .is_some_and(|path| *path != broker.worker.socket),
        ),
        ("entities", broker.entities != worker.entities),
        ("policy", broker.policy != worker.policy),
        ("invariants", broker.invariants != worker.invariants),
        ("policy_tested", broker.policy_tested != worker.policy_tested),
        ("auth.tokens.issuer", differ(|tokens| Some(tokens.issuer.clone()))),
        (
            "auth.tokens.audience",
            differ(|tokens| Some(tokens.audience.clone())),
        ),
        (
            "auth.tokens.jwks",
            differ(|tokens| tokens.jwks.as_ref().map(|path| path.display().to_string())),
        ),
    ];
    let differ = differences.into_iter();
    differ
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
}

fn agreement(broker: &Broker, worker: &WorkerConfig) -> Check {
    let what = "both configurations";
    let differ = differences(broker, worker);
    if differ.is_empty() {
        Check::ok(
            what,
            "name the same socket, entities, policy, invariants and issuer",
        )
    } else {
        Check::warning(
            what,
            format!(
                "differ in {}: unless both come to the same, calls are refused",
                differ.join(", ")
            ),
            "write the same in broker.yaml and worker.yaml",
        )
    }
}

fn sandbox(file: &str, mode: Option<&str>, is_dev: bool) -> Option<Check> {
    let what = format!("sandbox in {file}");
    match mode {
        None | Some("strict") => None,
        Some("permissive") if is_dev => Some(Check::ok(
            what,
            "permissive, since `dbal dev` was started as root where it can't become another user: for development only",
        )),
        Some(mode) => Some(Check::warning(
            what,
            format!("`{mode}`: a layer that is missing does not keep the daemon from starting"),
            "security: {sandbox: strict}",
        )),
    }
}
