//! Room: on the disks that the worker writes to, and in the broker's table of files.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::check::{Check, shell};
use crate::daemons::{daemons, name_of};

/// Less than this is soon gone, in bytes.
const LITTLE: u64 = 1_024 * 1_024 * 1_024;
/// Less than this is as good as none.
const NONE: u64 = 64 * 1_024 * 1_024;
/// Files beyond one for each connection: listeners, logs, the channel, keys read again.
const BESIDES: u64 = 64;
/// Connections that the broker takes if its configuration does not say.
const CONNECTIONS: u64 = 10_000;

/// Whether there is room where `what` is written.
pub(super) fn disk(what: &str, folder: &Path) -> Check {
    let what = format!("disk of the {what}");
    // Before the first start there is only the folder above.
    let Some(there) = folder.ancestors().find(|folder| folder.exists()) else {
        return Check::unseen(what, "is not there yet", "start the daemons");
    };
    match statvfs(there) {
        Err(error) => Check::unseen(what, error.to_string(), "run `dbal doctor` as root"),
        Ok(disk) => {
            let free = disk.blocks_available().saturating_mul(disk.fragment_size());
            let all = disk.blocks().saturating_mul(disk.fragment_size());
            room(what, there, free, all)
        }
    }
}

fn room(what: String, at: &Path, free: u64, all: u64) -> Check {
    let told = format!("{} MiB free of {}", free / 1_048_576, all / 1_048_576);
    let mend = format!(
        "make room: du -xsh {}; a full disk ends in 503 (`audit.on_failure: refuse`), and nothing is sealed on one",
        shell(at)
    );
    if free < NONE {
        Check::error(what, told, mend)
    } else if free < LITTLE {
        Check::warning(what, told, mend)
    } else {
        Check::ok(what, told)
    }
}

/// Whether the running broker may have as many files open as its configuration lets in connections.
pub(super) fn files(connections: Option<u64>) -> Check {
    let what = "open files of the broker";
    let brokers = daemons().into_iter();
    let limits = brokers
        .filter(|pid| name_of(*pid).is_some_and(|name| name == "dbal-broker"))
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok());
    match limits.filter_map(|limits| most_open(&limits)).min() {
        None => Check::unseen(
            what,
            "no broker runs, or you may not look at it",
            "look again when it runs, as root",
        ),
        Some(most) => enough(what, most, connections.unwrap_or(CONNECTIONS)),
    }
}

fn enough(what: &str, most: u64, connections: u64) -> Check {
    let needed = connections.saturating_add(BESIDES);
    if most < needed {
        Check::warning(
            what,
            format!(
                "{most}, but `limits.connections` is {connections}: clients beyond the first are refused"
            ),
            format!(
                "LimitNOFILE={needed} in the unit (`ulimit -n {needed}` by hand), or lower `limits.connections`"
            ),
        )
    } else {
        Check::ok(what, format!("{most}, for {connections} connections"))
    }
}

/// The soft limit of `Max open files` (proc(5)).
fn most_open(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_told_before_it_is() {
        for (free, verdict) in [
            (0, Verdict::Error),
            (NONE, Verdict::Warning),
            (LITTLE, Verdict::Ok),
        ] {
            assert_eq!(
                room("disk".to_owned(), Path::new("/x"), free, LITTLE).verdict,
                verdict
            );
        }
        let missing = Path::new("/proc/self/nowhere/audit");
        assert!(disk("audit", missing).said.contains("MiB free"));
    }

    #[test]
    fn more_connections_than_files_are_told() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(most_open(limits), Some(1024));
        assert_eq!(
            most_open("Max open files   unlimited unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(most_open(""), None);
        assert_eq!(enough("files", 1_024, 10_000).verdict, Verdict::Warning);
        assert_eq!(enough("files", 1_024, 900).verdict, Verdict::Ok);
    }
}
