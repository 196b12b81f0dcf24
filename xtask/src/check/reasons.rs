//! `docs/dependencies/reasons.md`: no crate from outside is named by a shipped binary without a reason, and no reason is stale.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use serde_json::Value;

use super::Finding;
use crate::run::{SHIPPED, command, output, root};

const TABLE: &str = "docs/dependencies/reasons.md";
/// A reason that is shorter says nothing.
const REASON_LETTERS: usize = 20;

/// Crates from outside, and which of ours name each.
type Named = BTreeMap<String, BTreeSet<String>>;

/// Compares the table with what the manifests name.
pub fn check() -> Result<Finding, Box<dyn Error>> {
    let metadata = output(command(
        "cargo",
        ["metadata", "--locked", "--no-deps", "--format-version", "1"],
    ))?;
    let named = named(&serde_json::from_str(&metadata)?);
    let (told, mut broken) = told(&std::fs::read_to_string(root().join(TABLE))?);
    broken.extend(compared(&named, &told));
    Ok(Finding {
        rule: "each direct dependency of a shipped binary has a reason, and no reason is stale",
        seen: named.len(),
        broken,
    })
}

/// What our crates in the shipped binaries name.
fn named(metadata: &Value) -> Named {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| Some((package["name"].as_str()?, package)))
        .collect();
    let (mut named, mut seen) = (Named::new(), BTreeSet::new());
    let mut ours = SHIPPED.to_vec();
    while let Some(package) = ours.pop() {
        if !seen.insert(package) {
            continue;
        }
        let dependencies = packages
            .get(package)
            .and_then(|package| package["dependencies"].as_array());
        // A `kind` would say that it is for tests or for the build.
        let dependencies = dependencies
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].is_null());
        for dependency in dependencies.filter_map(|dependency| dependency["name"].as_str()) {
            if packages.contains_key(dependency) {
                ours.push(dependency);
            } else {
                let by = named.entry(dependency.to_owned()).or_default();
                by.insert(short(package).to_owned());
            }
        }
    }
    named
}

/// The tool's package has the bare name; its folder tells more.
fn short(package: &str) -> &str {
    package.strip_prefix("dbal-").unwrap_or("cli")
}

/// The table's first two columns, and rows that say too little.
fn told(page: &str) -> (Named, Vec<String>) {
    let (mut told, mut broken) = (Named::new(), Vec::new());
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, by, reason, author] = cells.as_slice() else {
            broken.push(format!("{TABLE}: four cells are wanted: {line}"));
            continue;
        };
        let name = name.trim_matches('`');
        if reason.chars().count() < REASON_LETTERS || author.is_empty() {
            broken.push(format!("{TABLE}: `{name}` has no reason or nobody behind it"));
        }
        let by = by.split(',').map(|one| one.trim().to_owned()).collect();
        if told.insert(name.to_owned(), by).is_some() {
            broken.push(format!("{TABLE}: `{name}` stands there twice"));
        }
    }
    (told, broken)
}

fn compared(named: &Named, told: &Named) -> Vec<String> {
    let list = |by: &BTreeSet<String>| by.iter().cloned().collect::<Vec<_>>().join(", ");
    let missing = named.iter().filter_map(|(name, by)| match told.get(name) {
        None => Some(format!(
            "{TABLE}: no reason for `{name}`, which {} names",
            list(by)
        )),
        Some(others) if others != by => Some(format!(
            "{TABLE}: `{name}` is named by {}, not by {}",
            list(by),
            list(others)
        )),
        Some(_) => None,
    });
    let stale = told.keys().filter(|name| !named.contains_key(*name));
    let stale = stale.map(|name| format!("{TABLE}: nobody names `{name}` any more"));
    missing.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        let outside = |name: &str, kind: Option<&str>| serde_json::json!({"name": name, "kind": kind});
        serde_json::json!({"packages": [
            {"name": "dbal-broker", "dependencies": [outside("dbal-inner", None), outside("tempfile", Some("dev"))]},
            {"name": "dbal-inner", "dependencies": [outside("serde", None)]},
            {"name": "dbal", "dependencies": [outside("serde", None)]},
            {"name": "xtask", "dependencies": [outside("toml", None)]},
        ]})
    }

    #[test]
    fn what_a_shipped_crate_names_needs_its_row_and_no_other_has_one() {
        let good = "| `serde` | cli, inner | typed configuration of everything | the serde project |";
        let faults = |page: &str| {
            let (told, mut broken) = told(page);
            broken.extend(compared(&named(&metadata()), &told));
            broken.join("\n")
        };
        assert_eq!(faults(good), "");
        for (page, fault) in [
            (String::new(), "no reason for `serde`, which cli, inner names"),
            (good.replace("cli, ", ""), "is named by cli, inner, not by inner"),
            (
                good.replace("typed configuration of everything", "good"),
                "has no reason",
            ),
            (good.replace("the serde project", ""), "nobody behind it"),
            (
                format!("{good}\n{}", good.replace("`serde`", "`toml`")),
                "nobody names `toml`",
            ),
            (format!("{good}\n{good}"), "stands there twice"),
            (good.replace(" | the serde project", ""), "four cells are wanted"),
        ] {
            let told = faults(&page);
            assert!(told.contains(fault), "{fault}: {told}");
        }
    }
}
