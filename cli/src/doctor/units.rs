//! Whether systemd has our units, as we ship them, and starts them.

use std::fs;
use std::path::Path;

use super::check::{Check, shell};

/// What `systemd/` ships, and whether a machine needs it enabled.
const UNITS: [(&str, &str, Start); 6] = [
    (
        "dbal-broker.service",
        include_str!("../../../systemd/dbal-broker.service"),
        Start::Enabled,
    ),
    (
        "dbal-broker.socket",
        include_str!("../../../systemd/dbal-broker.socket"),
        Start::Enabled,
    ),
    (
        "dbal-worker.socket",
        include_str!("../../../systemd/dbal-worker.socket"),
        Start::Enabled,
    ),
    (
        "dbal-audit.service",
        include_str!("../../../systemd/dbal-audit.service"),
        Start::Enabled,
    ),
    // Its socket starts it.
    (
        "dbal-worker.service",
        include_str!("../../../systemd/dbal-worker.service"),
        Start::ByAnother,
    ),
    // By choice.
    (
        "dbal-broker-admin.socket",
        include_str!("../../../systemd/dbal-broker-admin.socket"),
        Start::ByAnother,
    ),
];

const TCP: &str = include_str!("../../../systemd/examples/tcp.conf");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Enabled,
    ByAnother,
}

/// Where units are sought; the first one wins (systemd.unit(5)).
const FOLDERS: [&str; 4] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// Looks below `root`, which is `/` but for tests.
pub(super) fn checks(root: &Path, is_dev: bool) -> Vec<Check> {
    let found = UNITS.iter().any(|(name, ..)| unit(root, name).is_some());
    if !found {
        let by = if is_dev {
            "`dbal dev` starts the daemons itself"
        } else {
            "no unit of dbal is installed: containers and `dbal run` need none"
        };
        return vec![Check::ok("units", by)];
    }
    UNITS
        .iter()
        .flat_map(|(name, shipped, start)| one(root, name, shipped, *start))
        .collect()
}

fn one(root: &Path, name: &str, shipped: &str, start: Start) -> Vec<Check> {
    let what = format!("unit {name}");
    let Some(text) = unit(root, name) else {
        return vec![if name == "dbal-broker-admin.socket" {
            Check::ok(
                what,
                "not installed: no metrics and no detailed health under systemd",
            )
        } else {
            Check::error(
                what,
                "not installed, though others of dbal are",
                "install the package again, or copy it from systemd/ (systemd/README.md)",
            )
        }];
    };
    let mut checks = Vec::new();
    if text == shipped {
        checks.push(Check::ok(what.clone(), "installed as shipped"));
    } else {
        checks.push(Check::warning(
            what.clone(),
            "differs from the one that is shipped with this program",
            format!("systemctl cat {name}; systemd-analyze security {name}; put what is yours in a drop-in and take the shipped unit"),
        ));
    }
    if start == Start::Enabled && !is_enabled(root, name) {
        checks.push(Check::warning(
            what.clone(),
            "not enabled: it will not start with the machine",
            format!("systemctl enable --now {name}"),
        ));
    }
    for (path, text) in drop_ins(root, name) {
        if text != TCP {
            checks.push(Check::warning(
                what.clone(),
                format!("{path} changes it; our checks of the units don't know how"),
                format!("systemd-analyze security {name}, and compare with systemd/README.md"),
            ));
        }
    }
    checks
}

fn unit(root: &Path, name: &str) -> Option<String> {
    FOLDERS
        .iter()
        .find_map(|folder| fs::read_to_string(root.join(folder).join(name)).ok())
}

fn is_enabled(root: &Path, name: &str) -> bool {
    ["multi-user.target.wants", "sockets.target.wants"]
        .iter()
        .any(|wants| {
            root.join("etc/systemd/system")
                .join(wants)
                .join(name)
                .is_symlink()
        })
}

fn drop_ins(root: &Path, name: &str) -> Vec<(String, String)> {
    let folders = FOLDERS
        .iter()
        .map(|folder| root.join(folder).join(format!("{name}.d")));
    let entries = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut found: Vec<(String, String)> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        .filter_map(|path| Some((shell(&path), fs::read_to_string(&path).ok()?)))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn worst(root: &Path) -> Vec<(Verdict, String)> {
        let checks = checks(root, false).into_iter();
        checks
            .filter(|check| check.verdict != Verdict::Ok)
            .map(|check| (check.verdict, check.said))
            .collect()
    }

    #[test]
    fn units_are_ours_and_enabled_or_it_is_said() {
        let root = tempfile::TempDir::new().unwrap();
        assert_eq!(worst(root.path()), []);

        let units = root.path().join("usr/lib/systemd/system");
        fs::create_dir_all(&units).unwrap();
        for (name, text, _) in UNITS {
            fs::write(units.join(name), text).unwrap();
        }
        let etc = root.path().join("etc/systemd/system");
        for wants in ["multi-user.target.wants", "sockets.target.wants"] {
            fs::create_dir_all(etc.join(wants)).unwrap();
        }
        assert_eq!(worst(root.path()).len(), 4, "four are to be enabled");
        for (wants, name) in [
            ("multi-user.target.wants", "dbal-broker.service"),
            ("multi-user.target.wants", "dbal-audit.service"),
            ("sockets.target.wants", "dbal-broker.socket"),
            ("sockets.target.wants", "dbal-worker.socket"),
        ] {
            std::os::unix::fs::symlink(units.join(name), etc.join(wants).join(name)).unwrap();
        }
        assert_eq!(worst(root.path()), []);

        let changed = UNITS[0].1.replace("PrivateNetwork=true", "PrivateNetwork=false");
        fs::write(units.join("dbal-broker.service"), changed).unwrap();
        assert!(worst(root.path())[0].1.starts_with("differs"));
        fs::remove_file(units.join("dbal-broker.service")).unwrap();
        assert_eq!(worst(root.path())[0].0, Verdict::Error);

        fs::create_dir(etc.join("dbal-worker.service.d")).unwrap();
        fs::write(etc.join("dbal-worker.service.d/tcp.conf"), TCP).unwrap();
        assert_eq!(worst(root.path()).len(), 1, "our own drop-in is no finding");
        fs::write(etc.join("dbal-worker.service.d/mine.conf"), "[Service]\n").unwrap();
        assert_eq!(worst(root.path()).len(), 2);
    }
}
