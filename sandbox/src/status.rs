//! `/proc/<pid>/status` (proc_pid_status(5)): what the kernel says of a process or thread.

use std::fs::File;
use std::io::{self, Read};

/// The lines that tell about confinement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Real, effective, saved and file system user ids.
    pub(crate) uids: Vec<u32>,
    /// The same of the group.
    pub(crate) gids: Vec<u32>,
    pub(crate) groups: Vec<u32>,
    pub(crate) threads: u32,
    /// Inheritable, permitted, effective and ambient.
    pub(crate) acting: Vec<u64>,
    pub(crate) bounding: Option<u64>,
    pub(crate) no_new_privs: u32,
    /// 2 is filter mode.
    pub(crate) seccomp: u32,
}

/// Longest status that is read; real ones have 2 KiB, and a long list of groups more.
const STATUS_BYTES: u64 = 64 * 1024;

impl Status {
    /// Through a descriptor, because by the time it matters the path can't be opened any more.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut text = String::new();
        file.take(STATUS_BYTES).read_to_string(&mut text)?;
        Self::parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut status = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name {
                "Uid" => status.uids = numbers(value)?,
                "Gid" => status.gids = numbers(value)?,
                "Groups" => status.groups = numbers(value)?,
                "Threads" => status.threads = value.parse().ok()?,
                "CapInh" | "CapPrm" | "CapEff" | "CapAmb" => {
                    status.acting.push(u64::from_str_radix(value, 16).ok()?);
                }
                "CapBnd" => status.bounding = Some(u64::from_str_radix(value, 16).ok()?),
                "NoNewPrivs" => status.no_new_privs = value.parse().ok()?,
                "Seccomp" => status.seccomp = value.parse().ok()?,
                _ => {}
            }
        }
        // A line that is missing must not read as "nothing there".
        let is_whole = status.uids.len() == 4 && status.acting.len() == 4 && status.bounding.is_some();
        is_whole.then_some(status)
    }
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split_ascii_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKED: &str = "Name:\tx\nUid:\t998\t998\t998\t998\nGid:\t997\t997\t997\t997\nGroups:\t\nThreads:\t3\n\
                          CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                          CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                          Seccomp_filters:\t4\n";

    #[test]
    fn the_lines_are_read_as_the_kernel_writes_them() {
        let status = Status::parse(LOCKED).unwrap();
        assert_eq!(status.uids, [998; 4]);
        assert_eq!(status.groups, [0; 0]);
        assert_eq!((status.threads, status.no_new_privs, status.seccomp), (3, 1, 2));
        assert_eq!(status.acting, [0; 4]);
        assert_eq!(status.bounding, Some(0x1ff_ffff_ffff));
    }

    #[test]
    fn a_status_without_a_capability_line_is_not_taken_for_an_empty_set() {
        for line in ["CapEff", "CapBnd", "CapAmb", "Uid"] {
            assert_eq!(Status::parse(&LOCKED.replace(line, "Other")), None, "{line}");
        }
    }
}
