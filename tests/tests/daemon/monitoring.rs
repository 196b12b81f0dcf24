//! `deploy/monitoring` against what a broker truly tells: a metric that was renamed must not leave an alert that never fires.

use std::collections::BTreeSet;

use dbal_tests::binaries;
use dbal_tests::client::{Client, http_get};
use dbal_tests::daemon::Daemon;
use serde_json::json;

const FILES: [(&str, &str); 2] = [
    (
        "alerts.yaml",
        include_str!("../../../deploy/monitoring/alerts.yaml"),
    ),
    (
        "dashboard.json",
        include_str!("../../../deploy/monitoring/dashboard.json"),
    ),
];

/// Labels that Prometheus itself sets or computes with.
const PROMETHEUS_OWN: [&str; 2] = ["instance", "le"];

#[tokio::test]
async fn every_metric_that_the_alerts_and_the_dashboard_name_is_on_the_brokers_page() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    client.call("count", json!(["Note"])).await.unwrap();
    client.call("create", json!(["User", {}])).await.unwrap_err();
    let (status, mut page) = http_get(&daemon.ready.metrics).await;
    assert_eq!(status, 200);
    let brokers = page.len();
    page.push_str(&of_the_keeper(&daemon));
    let told: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for (file, text) in FILES {
        let named = metrics(text);
        assert!(named.len() > 10, "{file} names next to nothing: {named:?}");
        for metric in named {
            assert!(
                told.contains(metric),
                "{file} names {metric}, which is not among {told:?}"
            );
        }
        for label in labels(text) {
            assert!(
                PROMETHEUS_OWN.contains(&label) || page.contains(&format!("{label}=\"")),
                "{file} names a label {label}, which no line has:\n{page}"
            );
        }
    }
    // And the other way round: what the dashboard does not show nobody sees.
    let shown = metrics(FILES[1].1);
    let of_the_broker = metrics(page.get(..brokers).unwrap());
    let unseen: Vec<&&str> = told
        .iter()
        .filter(|metric| of_the_broker.contains(**metric))
        .filter(|metric| metric.starts_with("dbal_"))
        .filter(|metric| !metric.ends_with("_sum") && !metric.ends_with("_count"))
        .filter(|metric| !shown.contains(**metric))
        .collect();
    assert!(unseen.is_empty(), "the dashboard shows nothing of {unseen:?}");
}

/// What the keeper of the audit journal says of itself.
fn of_the_keeper(daemon: &Daemon) -> String {
    let (sealed, metrics) = (
        daemon.folder().join("sealed"),
        daemon.folder().join("keeper.prom"),
    );
    let mut command = binaries::command("dbal");
    // What it says is looked at here, not whom it says it as.
    command.args(["audit", "seal", "--sandbox", "off", "--metrics"]);
    command.arg(&metrics);
    let done = command.arg(daemon.audit()).arg(&sealed).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let said = std::fs::read_to_string(metrics).unwrap();
    assert_eq!(said, std::fs::read_to_string(sealed.join("seal.prom")).unwrap());
    said
}

/// Words that begin with `dbal_`.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("dbal_"))
        .collect()
}

/// Names in `{name="…"}`, `{name=~"…"}` and `by (name, …)`.
fn labels(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        !word.is_empty()
            && word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    let grouped = text
        .split("by (")
        .skip(1)
        .filter_map(|behind| behind.split(')').next());
    let selected = text
        .split("dbal_")
        .skip(1)
        .filter_map(|behind| behind.split_once('{'))
        .filter(|(name, _)| is_name(name))
        .filter_map(|(_, behind)| behind.split('}').next());
    let selected = selected.flat_map(|within| within.split(','));
    grouped
        .flat_map(|names| names.split(','))
        .chain(selected.filter_map(|condition| condition.split(['=', '!']).next()))
        .map(str::trim)
        .filter(is_name)
        .collect()
}
