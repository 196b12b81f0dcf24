//! Who may depend on whom. A crate boundary is a security claim; this is where the claim is held.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use serde_json::Value;

use super::Finding;
use crate::run::{SHIPPED, command, output, root, say};

/// Our crates, and which of ours each may name. In the order in which a request meets them.
const DIRECTIONS: [(&str, &[&str]); 16] = [
    ("dbal-shared", &[]),
    ("dbal-witness", &["dbal-shared"]),
    ("dbal-schema", &["dbal-shared"]),
    ("dbal-policy", &["dbal-shared", "dbal-schema"]),
    (
        "dbal-review",
        &["dbal-shared", "dbal-schema", "dbal-policy", "dbal-call"],
    ),
    ("dbal-identity", &["dbal-shared", "dbal-settings"]),
    ("dbal-sandbox", &[]),
    ("dbal-settings", &["dbal-shared"]),
    ("dbal-daemon", &["dbal-shared", "dbal-sandbox", "dbal-settings"]),
    ("dbal-call", &["dbal-shared", "dbal-schema", "dbal-policy"]),
    (
        "dbal-broker",
        &[
            "dbal-shared",
            "dbal-witness",
            "dbal-schema",
            "dbal-policy",
            "dbal-call",
            "dbal-identity",
            "dbal-sandbox",
            "dbal-settings",
            "dbal-daemon",
        ],
    ),
    ("dbal-sql", &["dbal-shared", "dbal-schema", "dbal-policy"]),
    ("dbal-config", &["dbal-shared", "dbal-identity", "dbal-settings"]),
    ("dbal-audit", &["dbal-shared", "dbal-witness"]),
    (
        "dbal-worker",
        &[
            "dbal-shared",
            "dbal-witness",
            "dbal-schema",
            "dbal-policy",
            "dbal-identity",
            "dbal-sandbox",
            "dbal-daemon",
            "dbal-sql",
            "dbal-config",
            "dbal-audit",
        ],
    ),
    (
        "dbal",
        &[
            "dbal-shared",
            "dbal-schema",
            "dbal-policy",
            "dbal-review",
            "dbal-call",
            "dbal-identity",
            "dbal-sandbox",
            "dbal-settings",
            "dbal-sql",
            "dbal-config",
            "dbal-audit",
        ],
    ),
];

const DRIVERS: [&str; 6] = [
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "postgres",
    "mysql",
    "mysql_async",
];
const NETWORK: [&str; 5] = ["tokio", "mio", "rustls", "hyper", "tungstenite"];
const DECRYPTION: [&str; 2] = ["age", "age-core"];
/// The worker has `hyper` as the client of one bridge; its other half is no type of the worker's (`worker/clippy.toml`).
const CLIENT_SIDE: [&str; 2] = ["tungstenite", "tokio-tungstenite"];

/// What must never be found below a crate, however deep.
const NEVER: [(&str, &[&[&str]]); 16] = [
    (
        "dbal-shared",
        &[&DRIVERS, &NETWORK, &DECRYPTION, &["jiff", "uuid", "nix"]],
    ),
    ("dbal-witness", &[&DRIVERS, &NETWORK, &DECRYPTION, &["flate2"]]),
    ("dbal-schema", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-policy", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-review", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-identity", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-sandbox", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-settings", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-daemon", &[&DRIVERS, &DECRYPTION, &CLIENT_SIDE, &["hyper"]]),
    ("dbal-call", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    (
        "dbal-broker",
        &[
            &DRIVERS,
            &DECRYPTION,
            &[
                "dbal-sql",
                "dbal-config",
                "dbal-audit",
                "dbal-worker",
                "dbal-review",
            ],
        ],
    ),
    ("dbal-sql", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-config", &[&DRIVERS, &NETWORK]),
    ("dbal-audit", &[&DRIVERS, &NETWORK, &DECRYPTION]),
    ("dbal-worker", &[&CLIENT_SIDE, &["dbal-broker", "dbal-review"]]),
    ("dbal", &[&DRIVERS, &["dbal-worker", "dbal-broker"]]),
];

/// Directions, forbidden crates, and the closures that auditors have seen.
pub fn check(is_update: bool) -> Result<Vec<Finding>, Box<dyn Error>> {
    Ok(vec![directions()?, never()?, golden(is_update)?])
}

fn directions() -> Result<Finding, Box<dyn Error>> {
    let metadata = output(command(
        "cargo",
        ["metadata", "--locked", "--no-deps", "--format-version", "1"],
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let allowed: BTreeMap<&str, &[&str]> = DIRECTIONS.into_iter().collect();
    let (mut seen, mut broken) = (0, Vec::new());
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if [
            "dbal-tests",
            "dbal-servers",
            "dbal-bench",
            "dbal-attacks",
            "dbal-man",
            "xtask",
        ]
        .contains(&name)
        {
            continue;
        }
        seen += 1;
        let Some(allowed) = allowed.get(name) else {
            broken.push(format!(
                "{name} stands in no table: say in xtask what it may depend on"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if on.starts_with("dbal") && dependency["kind"].is_null() && !allowed.contains(&on) {
                broken.push(format!("{name} depends on {on}"));
            }
        }
    }
    Ok(Finding {
        rule: "our crates depend on each other in one direction",
        seen,
        broken,
    })
}

fn never() -> Result<Finding, Box<dyn Error>> {
    let mut broken = Vec::new();
    for (package, lists) in NEVER {
        let closure = closure(package)?;
        let found = lists
            .iter()
            .flat_map(|list| list.iter())
            .filter(|name| closure.contains(**name));
        broken.extend(
            found.map(|name| {
                format!("{package} drags in {name}: cargo tree -p {package} -e normal -i {name}")
            }),
        );
    }
    Ok(Finding {
        rule: "no crate drags in what its process must not hold",
        seen: NEVER.len(),
        broken,
    })
}

/// `docs/dependencies/<binary>.txt`: a new crate in a shipped binary is a line in a diff, not a surprise.
fn golden(is_update: bool) -> Result<Finding, Box<dyn Error>> {
    let mut broken = Vec::new();
    for package in SHIPPED {
        let path = root().join("docs/dependencies").join(format!("{package}.txt"));
        let now = closure(package)?;
        if is_update {
            let lines: String = now.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
            std::fs::write(&path, lines)?;
            say(&format!("wrote {} crates to {}", now.len(), path.display()));
            continue;
        }
        let before: BTreeSet<String> = std::fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        broken.extend(
            now.difference(&before)
                .map(|name| format!("{package} gained {name}")),
        );
        broken.extend(
            before
                .difference(&now)
                .map(|name| format!("{package} lost {name}")),
        );
    }
    if !broken.is_empty() {
        broken
            .push("if this is meant: cargo xtask check --update, and argue for it in the commit".to_owned());
    }
    Ok(Finding {
        rule: "shipped binaries hold the crates that docs/dependencies lists",
        seen: SHIPPED.len(),
        broken,
    })
}

/// Names of everything that ends up in a package's binary or library, itself left out.
fn closure(package: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let tree = output(command(
        "cargo",
        [
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    ))?;
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != package).map(str::to_owned).collect())
}
