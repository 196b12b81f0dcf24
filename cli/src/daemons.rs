//! Which daemons run on this machine, as /proc tells it.

use std::fs;

/// Process ids of all brokers and workers of this machine.
pub(crate) fn daemons() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids
        .filter(|pid| name_of(*pid).is_some_and(|name| name == "dbal-broker" || name == "dbal-worker"))
        .collect();
    pids.sort_unstable();
    pids
}

/// The name of a process's program, up to 15 characters of it (proc(5)).
pub(crate) fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
