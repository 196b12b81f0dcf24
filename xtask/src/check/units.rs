//! What systemd itself says of the shipped units: that it understands every line, and how exposed each service is.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Finding;
use crate::run::{command, needed, output, root, target};

/// A service as it is installed, and how exposed systemd may find it.
struct Unit {
    service: &'static str,
    /// An example that is laid over it.
    drop_in: Option<&'static str>,
    /// In tenths of a point; 0 is unexposed, 100 is everything.
    at_most: u64,
    /// The directives that cost something, by systemd's names. Their reasons stand in `systemd/README.md`.
    remaining: &'static [&'static str],
}

const HOST_FILES: &str = "RootDirectory=/RootImage=";
const UNIX_SOCKETS: &str = "RestrictAddressFamilies=~AF_UNIX";
const INTERNET_SOCKETS: &str = "RestrictAddressFamilies=~AF_(INET|INET6)";
const DEVICES: &str = "DeviceAllow=";
const GROUP_READS: &str = "UMask=";

const UNITS: [Unit; 4] = [
    Unit {
        service: "dbal-broker.service",
        drop_in: None,
        at_most: 2,
        remaining: &[HOST_FILES, UNIX_SOCKETS, DEVICES],
    },
    Unit {
        service: "dbal-audit.service",
        drop_in: None,
        at_most: 2,
        remaining: &[HOST_FILES, UNIX_SOCKETS, DEVICES],
    },
    Unit {
        service: "dbal-worker.service",
        drop_in: None,
        at_most: 2,
        remaining: &[HOST_FILES, UNIX_SOCKETS, DEVICES, GROUP_READS],
    },
    Unit {
        service: "dbal-worker.service",
        drop_in: Some("systemd/examples/tcp.conf"),
        at_most: 9,
        remaining: &[
            HOST_FILES,
            UNIX_SOCKETS,
            DEVICES,
            GROUP_READS,
            INTERNET_SOCKETS,
            "PrivateNetwork=",
            "IPAddressDeny=",
        ],
    },
];

/// Programs that the units name; systemd looks whether they are there.
const PROGRAMS: [&str; 4] = ["dbal", "dbal-broker", "dbal-worker", "kill"];

/// Scores and syntax. A machine without systemd's tool is told so: then nothing was looked at.
pub fn check() -> Result<Vec<Finding>, Box<dyn Error>> {
    match needed("systemd-analyze", "systemd") {
        Ok(()) => Ok(vec![exposure()?, syntax()?]),
        Err(missing) => Ok(vec![Finding {
            rule: "systemd judges the units",
            seen: 0,
            broken: vec![missing],
        }]),
    }
}

fn exposure() -> Result<Finding, Box<dyn Error>> {
    let readme = fs::read_to_string(root().join("systemd/README.md"))?;
    let mut broken = Vec::new();
    for unit in UNITS {
        let name = shown(&unit);
        let path = laid_out(&unit)?;
        let page = analyzed(&["security", "--offline=true", "--no-pager"], &path)?;
        match tenths(&page) {
            Some(score) if score <= unit.at_most => {}
            Some(score) => broken.push(format!(
                "{name}: {score} tenths of a point, {} allowed",
                unit.at_most
            )),
            None => broken.push(format!("{name}: systemd-analyze gave no score")),
        }
        let table = analyzed(&["security", "--offline=true", "--json=short"], &path)?;
        let costly = costly(&serde_json::from_str(&table)?);
        let known: BTreeSet<String> = unit.remaining.iter().map(|&name| name.to_owned()).collect();
        broken.extend(costly.difference(&known).map(|directive| {
            format!("{name}: `{directive}` costs something and nobody said why (xtask/src/check/units.rs)")
        }));
        broken.extend(
            known
                .difference(&costly)
                .map(|directive| format!("{name}: `{directive}` costs nothing any more; take it out")),
        );
        broken.extend(
            known
                .iter()
                .filter(|directive| !readme.contains(&format!("`{directive}`")))
                .map(|directive| format!("systemd/README.md does not say why `{directive}` remains")),
        );
    }
    Ok(Finding {
        rule: "systemd finds no service more exposed than we say, and each point has its reason",
        seen: UNITS.len(),
        broken,
    })
}

/// `systemd-analyze verify` in a root that holds our units, systemd's own, and programs of the right names.
fn syntax() -> Result<Finding, Box<dyn Error>> {
    let tree = target().join("units/root");
    let units = tree.join("usr/lib/systemd/system");
    fresh(&tree)?;
    for folder in [tree.join("usr/bin"), tree.join("etc"), units.clone()] {
        fs::create_dir_all(folder)?;
    }
    std::os::unix::fs::symlink("usr/bin", tree.join("bin"))?;
    std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
    for program in PROGRAMS {
        // A copy of anything that may be executed will do.
        fs::copy("/bin/true", tree.join("usr/bin").join(program))?;
    }
    for entry in fs::read_dir("/lib/systemd/system")? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, units.join(name))?;
        }
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("systemd"))? {
        let path = entry?.path();
        let is_unit = path
            .extension()
            .is_some_and(|kind| kind == "service" || kind == "socket");
        if let (true, Some(name)) = (is_unit, path.file_name()) {
            fs::copy(&path, units.join(name))?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    let with_tcp = tree.join("etc/systemd/system/dbal-worker.service.d");
    fs::create_dir_all(&with_tcp)?;
    fs::copy(
        root().join("systemd/examples/tcp.conf"),
        with_tcp.join("tcp.conf"),
    )?;
    let mut verify = command("systemd-analyze", ["verify", "--man=no", "--root"]);
    let told = verify.arg(&tree).args(&names).output()?;
    // It calls an unknown directive a warning and succeeds: any word is one too many.
    let mut broken: Vec<String> = String::from_utf8_lossy(&told.stderr)
        .lines()
        .chain(String::from_utf8_lossy(&told.stdout).lines())
        .map(str::to_owned)
        .collect();
    if !told.status.success() {
        broken.push(format!("systemd-analyze verify: {}", told.status));
    }
    Ok(Finding {
        rule: "systemd understands every line of the units",
        seen: names.len(),
        broken,
    })
}

/// The unit in a folder of its own, since its drop-ins are looked for beside it.
fn laid_out(unit: &Unit) -> Result<PathBuf, Box<dyn Error>> {
    let folder = target().join("units/security");
    fresh(&folder)?;
    let path = folder.join(unit.service);
    fs::copy(root().join("systemd").join(unit.service), &path)?;
    if let Some(drop_in) = unit.drop_in {
        let beside = folder.join(format!("{}.d", unit.service));
        fs::create_dir_all(&beside)?;
        fs::copy(root().join(drop_in), beside.join("example.conf"))?;
    }
    Ok(path)
}

fn fresh(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

fn analyzed(arguments: &[&str], unit: &Path) -> Result<String, Box<dyn Error>> {
    let mut analyze = command("systemd-analyze", arguments);
    analyze.arg(unit);
    output(analyze)
}

/// The figure of `→ Overall exposure level for dbal-broker.service: 0.2 SAFE`, times ten.
fn tenths(page: &str) -> Option<u64> {
    let line = page
        .lines()
        .find(|line| line.contains("Overall exposure level"))?;
    let figure = line.split(": ").nth(1)?.split_whitespace().next()?;
    let (whole, tenth) = figure.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 10 + tenth.parse::<u64>().ok()?)
}

/// The names of what costs something. systemd gives the exposure as a text, null where there is none.
fn costly(table: &Value) -> BTreeSet<String> {
    let rows = table.as_array().into_iter().flatten();
    rows.filter(|row| row["exposure"].as_str().is_some_and(|exposure| exposure != "0.0"))
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect()
}

fn shown(unit: &Unit) -> String {
    match unit.drop_in {
        Some(drop_in) => format!("{} with {drop_in}", unit.service),
        None => unit.service.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_read_from_systemds_own_line() {
        let page = "✓ UMask=\n\n→ Overall exposure level for dbal-broker.service: 0.2 SAFE 😀\n";
        assert_eq!(tenths(page), Some(2));
        assert_eq!(
            tenths("→ Overall exposure level for x.service: 10.0 UNSAFE"),
            Some(100)
        );
        assert_eq!(tenths("nothing of the kind"), None);
    }

    #[test]
    fn what_costs_nothing_is_not_among_what_remains() {
        let table = serde_json::json!([
            {"name": "PrivateNetwork=", "exposure": "0.5"},
            {"name": "UMask=", "exposure": "0.0"},
            {"name": "User=", "exposure": null},
        ]);
        assert_eq!(costly(&table), BTreeSet::from(["PrivateNetwork=".to_owned()]));
    }
}
