//! `deploy/monitoring`: Prometheus's own tool reads the alerts and plays their tests; the dashboard is JSON with panels.

use std::error::Error;
use std::fs;

use serde_json::Value;

use super::Finding;
use crate::run::{command, needed, root};

/// That metrics exist is tested against a broker: `tests/tests/daemon/monitoring.rs`.
pub fn check() -> Result<Finding, Box<dyn Error>> {
    let rule = "promtool accepts the alerts, each is seen to fire, and health raises none";
    if let Err(missing) = needed("promtool", "prometheus") {
        return Ok(Finding {
            rule,
            seen: 0,
            broken: vec![missing],
        });
    }
    let folder = root().join("deploy/monitoring");
    let (mut seen, mut broken) = (0, Vec::new());
    for arguments in [
        ["check", "rules", "--lint-fatal", "alerts.yaml"].as_slice(),
        &["test", "rules", "alerts.test.yaml"],
    ] {
        seen += 1;
        let told = command("promtool", arguments).current_dir(&folder).output()?;
        if !told.status.success() {
            for words in [&told.stdout, &told.stderr] {
                broken.extend(String::from_utf8_lossy(words).lines().map(str::to_owned));
            }
        }
    }
    // An alert that no test expects to fire could be one that never does.
    let rules = fs::read_to_string(folder.join("alerts.yaml"))?;
    let tests = fs::read_to_string(folder.join("alerts.test.yaml"))?;
    for alert in rules
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
    {
        seen += 1;
        if !tests.contains(&format!("alertname=\"{alert}\"")) {
            broken.push(format!("no test has {alert} fire"));
        }
    }
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(folder.join("dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().map_or(0, Vec::len);
    seen += panels;
    if panels == 0 {
        broken.push("the dashboard has no panels".to_owned());
    }
    Ok(Finding { rule, seen, broken })
}
