//! Whether keys and rows may come to lie on a disk: memory that is swapped out is read by whoever has the disk, long after the process.
//!
//! It is told, and not prevented from inside. Secrets lie where libraries put them (the driver's configuration, the TLS key, the keys of
//! tokens), so locked pages of their own would hold copies of none. Locking all of the process (mlockall(2)) takes RLIMIT_MEMLOCK
//! without bound, or else a stack that has to grow ends it; and of locked memory the allocator can give none back. A control group
//! that may not swap (`MemorySwapMax=0` of the units) does the same at no cost.

use std::fs;
use std::path::Path;

use nix::sys::sysinfo::sysinfo;

use crate::layers::State;

const GROUPS: &str = "/sys/fs/cgroup";

/// As it is now: swap that is switched on later is not seen. Before the lock closes `/proc` and `/sys`.
pub(crate) fn is_out_of_reach() -> State {
    let has_none = sysinfo().is_ok_and(|info| info.swap_total() == 0);
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if has_none || may_not_swap(&group, Path::new(GROUPS)) {
        State::InForce
    } else {
        State::Missing(
            "this machine swaps, and so keys and rows may come to lie on its disk: give the service `MemorySwapMax=0`, encrypt the swap, or switch it off".to_owned(),
        )
    }
}

/// cgroups(7), version 2: `memory.swap.max` of the group that `/proc/self/cgroup` names, or of one above it.
fn may_not_swap(group: &str, root: &Path) -> bool {
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"));
    path.is_some_and(|path| {
        let whole = root.join(path);
        let mut groups = whole.ancestors().take_while(|group| group.starts_with(root));
        groups.any(|group| {
            fs::read_to_string(group.join("memory.swap.max")).is_ok_and(|most| most.trim() == "0")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_not_swap_is_found_also_above() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/dbal-worker.service");
        fs::create_dir_all(&service).unwrap();
        let of = |group: &str| may_not_swap(group, root.path());
        let group = "3:memory:/x\n0::/system.slice/dbal-worker.service\n";
        assert!(!of(group));
        fs::write(service.join("memory.swap.max"), "max\n").unwrap();
        assert!(!of(group));
        fs::write(service.join("memory.swap.max"), "0\n").unwrap();
        assert!(of(group));
        assert!(!of("0::/system.slice\n") && !of("3:memory:/system.slice/dbal-worker.service\n"));
        fs::write(service.join("memory.swap.max"), "1048576\n").unwrap();
        fs::write(root.path().join("system.slice/memory.swap.max"), "0\n").unwrap();
        assert!(of(group));
    }
}
