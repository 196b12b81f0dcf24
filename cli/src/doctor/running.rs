//! What running daemons say of themselves: whether they run, agree, reach their database and hold their layers.

use std::net::SocketAddr;

use serde_json::Value;

use super::check::Check;
use super::deployment::Deployment;
use crate::admin::{self, is, number, text};
use crate::daemons::{daemons, name_of};
use crate::error::ToolError;

/// `hash` is that of the policy as its files are.
pub(super) fn checks(deployment: &Deployment, hash: Option<&str>) -> Vec<Check> {
    let configured = deployment.broker.as_ref().ok().and_then(|broker| broker.admin);
    let admin = configured.unwrap_or(admin::BY_SOCKET_UNIT);
    let start = deployment.start_command();
    match admin::health(admin) {
        Ok(health) => told(&health, hash, &start),
        Err(error) => silent(configured, &error, &start),
    }
}

/// Nobody answers: nobody runs, or nobody may be asked.
fn silent(configured: Option<SocketAddr>, error: &ToolError, start: &str) -> Vec<Check> {
    let what = "daemons";
    let database = Check::unseen(
        "database",
        "only the worker can reach it, and could not be asked",
        "look again when the daemons run; or: dbal schema check --config WORKER.YAML -i IDENTITY",
    );
    let runs = daemons()
        .into_iter()
        .filter_map(name_of)
        .any(|name| name == "dbal-broker");
    let daemon = if configured.is_some() || !runs {
        Check::error(what, format!("no broker answers: {error}"), start)
    } else {
        Check::unseen(
            what,
            "a broker runs, and has no administrative port to ask",
            "`admin: \"127.0.0.1:9464\"` in broker.yaml; under systemd: systemctl enable --now dbal-broker-admin.socket, \
             and restart dbal-broker",
        )
    };
    vec![daemon, database]
}

pub(super) fn told(health: &Value, hash: Option<&str>, start: &str) -> Vec<Check> {
    vec![
        worker(health, start),
        database(health),
        agreement(health),
        files(health, hash),
        reloads(health),
        layers(health, "broker"),
        layers(health, "worker"),
    ]
}

fn worker(health: &Value, start: &str) -> Check {
    let what = "broker and worker";
    if !is(health, "/worker/connected") {
        return Check::error(
            what,
            "the broker runs and has no worker: calls are answered 503",
            start,
        );
    }
    let (broker, worker) = (text(health, "/version"), text(health, "/worker/version"));
    if broker != worker {
        return Check::warning(
            what,
            format!("run, but of two versions: broker {broker}, worker {worker}"),
            "restart the older one",
        );
    }
    let restarts = number(health, "/worker/restarts");
    Check::ok(
        what,
        format!("run, version {broker}; the worker was seen to restart {restarts} times"),
    )
}

fn database(health: &Value) -> Check {
    let what = "database";
    if is(health, "/database/connected") {
        let latency = health.pointer("/database/latency_ms").and_then(Value::as_f64);
        let latency = latency.map_or_else(String::new, |latency| format!(" within {latency:.1} ms"));
        Check::ok(
            what,
            format!("{} answers{latency}", text(health, "/worker/adapter")),
        )
    } else {
        Check::error(
            what,
            "the worker can't reach it: calls are answered 503",
            "journalctl -u dbal-worker -n 50 says why; then the server, its address, TLS and password",
        )
    }
}

fn agreement(health: &Value) -> Check {
    let what = "policy in force";
    if is(health, "/policies_agree") {
        Check::ok(what, format!("the same in both, {}", text(health, "/policy")))
    } else {
        Check::error(
            what,
            format!(
                "broker {} and worker {} differ: calls are answered 503",
                text(health, "/policy"),
                text(health, "/worker/policy")
            ),
            "let both read the same files: dbal policy reload",
        )
    }
}

fn files(health: &Value, hash: Option<&str>) -> Check {
    let what = "policy in its files";
    match hash {
        Some(hash) if hash == text(health, "/policy") => Check::ok(what, "the one in force"),
        Some(hash) => Check::warning(
            what,
            format!("{hash} is not the one in force: the files were changed since"),
            "dbal policy diff OLD NEW, then dbal policy reload",
        ),
        None => Check::warning(
            what,
            "does not load; the daemons keep the old one, and would not start again",
            "see above",
        ),
    }
}

fn reloads(health: &Value) -> Check {
    let what = "last reload";
    let (broker, worker) = (
        number(health, "/reloads/failed"),
        number(health, "/worker/failed_reloads"),
    );
    match health.pointer("/reloads/error").and_then(Value::as_str) {
        Some(why) => Check::warning(
            what,
            format!("refused by the broker: {why}"),
            "correct it, then dbal policy reload",
        ),
        None => Check::ok(
            what,
            format!("refused by the broker {broker} times, by the worker {worker} times, since they started"),
        ),
    }
}

fn layers(health: &Value, daemon: &str) -> Check {
    let what = format!("sandbox of the {daemon}");
    let layers = admin::layers(health, daemon);
    if layers.is_empty() {
        return Check::unseen(what, "not told", "dbal sandbox status");
    }
    let missing: Vec<&str> = layers
        .iter()
        .filter(|(_, state)| *state != "in force" && *state != "off")
        .map(|(name, _)| *name)
        .collect();
    let in_force = layers.iter().filter(|(_, state)| *state == "in force").count();
    if !missing.is_empty() {
        return Check::warning(
            what,
            format!("missing: {}", missing.join(", ")),
            "dbal sandbox status says why; docs/sandbox.md what each is for",
        );
    }
    if in_force == 0 {
        return Check::warning(what, "off: nothing holds it", "security: {sandbox: strict}");
    }
    Check::ok(what, format!("{in_force} layers in force"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::Verdict;
    use super::*;

    fn healthy() -> Value {
        json!({
            "version": "1", "policy": "p", "policies_agree": true,
            "database": {"connected": true, "latency_ms": 0.3},
            "reloads": {"succeeded": 0, "failed": 0, "error": null},
            "worker": {"connected": true, "version": "1", "policy": "p", "adapter": "sqlite", "restarts": 0},
            "sandbox": {
                "broker": [{"layer": "seccomp", "state": "in force"}],
                "worker": [{"layer": "seccomp", "state": "in force"}, {"layer": "bounding_set", "state": "off"}],
            },
        })
    }

    fn worst(health: &Value, hash: Option<&str>) -> Vec<(Verdict, String)> {
        let checks = told(health, hash, "start").into_iter();
        checks
            .filter(|check| check.verdict != Verdict::Ok)
            .map(|check| (check.verdict, check.said))
            .collect()
    }

    #[test]
    fn what_daemons_say_of_themselves_is_judged_line_by_line() {
        assert_eq!(worst(&healthy(), Some("p")), []);
        let table = [
            ("/worker/connected", json!(false), Verdict::Error, "no worker"),
            ("/worker/version", json!("2"), Verdict::Warning, "two versions"),
            (
                "/database/connected",
                json!(false),
                Verdict::Error,
                "can't reach it",
            ),
            ("/policies_agree", json!(false), Verdict::Error, "differ"),
            ("/policy", json!("q"), Verdict::Warning, "changed since"),
            ("/reloads/error", json!("bad line"), Verdict::Warning, "bad line"),
            (
                "/sandbox/broker/0/state",
                json!("missing"),
                Verdict::Warning,
                "seccomp",
            ),
            (
                "/sandbox/worker/0",
                json!({"layer": "seccomp", "state": "missing", "why": "why"}),
                Verdict::Warning,
                "seccomp",
            ),
            (
                "/sandbox/worker/0/state",
                json!("off"),
                Verdict::Warning,
                "nothing holds it",
            ),
            ("/sandbox/worker", json!([]), Verdict::Unseen, "not told"),
        ];
        for (path, value, verdict, says) in table {
            let mut health = healthy();
            *health.pointer_mut(path).unwrap() = value;
            let found = worst(&health, Some("p"));
            assert_eq!(found.len(), 1, "{path}: {found:?}");
            assert!(
                found[0].0 == verdict && found[0].1.contains(says),
                "{path}: {found:?}"
            );
        }
        assert_eq!(worst(&healthy(), None).len(), 1);
    }

    #[test]
    fn a_broker_that_does_not_answer_where_it_should_is_an_error() {
        let error = ToolError::Usage("refused".to_owned());
        let checks = silent(Some(SocketAddr::from(([127, 0, 0, 1], 1))), &error, "start it");
        assert_eq!(checks[0].verdict, Verdict::Error);
        assert_eq!(checks[0].mend.as_deref(), Some("start it"));
        assert_eq!(checks[1].verdict, Verdict::Unseen);
    }
}
