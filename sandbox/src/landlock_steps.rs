//! What each ABI of landlock brought (landlock(7)), so that a step down is told by name and not only by number.

/// One ABI.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its number; they are counted from 1.
    pub abi: u8,
    /// The first kernel that has it, major and minor.
    pub linux: (u32, u32),
    /// The layer that needs it. None where nothing is lost without it.
    pub layer: Option<&'static str>,
    /// What it brought, and what holds where it is missing.
    pub brings: &'static str,
}

/// The ABIs that these rules were written for, oldest first. A later one may restrict things that the process needs (9: connecting
/// to Unix sockets by path), so it is taken up with its tests.
#[rustfmt::skip] // A table: one line for each ABI.
pub const STEPS: [Step; 7] = [
    Step { abi: 1, linux: (5, 13), layer: Some("landlock_files"), brings: "files; nothing else keeps a process to its folders" },
    Step { abi: 2, linux: (5, 19), layer: None, brings: "renaming from one folder to another as a right; before, it is refused always" },
    Step { abi: 3, linux: (6, 2), layer: Some("landlock_truncate"), brings: "cutting files as a right; before, opening for writing is refused, and truncate(2) is on no list" },
    Step { abi: 4, linux: (6, 7), layer: Some("landlock_tcp"), brings: "TCP ports; before, the broker has no TCP sockets by its filter, a worker with a database over TCP reaches any port" },
    Step { abi: 5, linux: (6, 10), layer: Some("landlock_devices"), brings: "ioctl on devices; before, the filter has one ioctl, and no device can be opened" },
    Step { abi: 6, linux: (6, 12), layer: Some("landlock_scopes"), brings: "signals and abstract sockets; before, the filter has no signals to others, and who left the network reaches no abstract socket" },
    Step { abi: 7, linux: (6, 15), layer: None, brings: "refusals in the kernel's audit log" },
];

/// Landlock as it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// This ABI, of those that the rules were written for.
    Abi(u8),
    /// None; why.
    Missing(String),
    /// Not asked for.
    Off,
}

impl Landlock {
    /// Whether this ABI's rights are in use.
    pub(crate) fn has(&self, abi: u8) -> bool {
        matches!(self, Self::Abi(in_use) if *in_use >= abi)
    }
}

impl std::fmt::Display for Landlock {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Abi(number) => write!(text, "ABI {number}"),
            Self::Missing(why) => text.write_str(why),
            Self::Off => text.write_str("off"),
        }
    }
}

/// The words for a layer that needs a later ABI than there is.
pub(crate) fn comes_with(layer: &str) -> String {
    let step = STEPS.iter().find(|step| step.layer == Some(layer));
    step.map_or_else(String::new, |step| {
        let (major, minor) = step.linux;
        format!("landlock ABI {}, Linux {major}.{minor}", step.abi)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abis_are_counted_from_one_and_each_has_a_later_kernel() {
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(usize::from(step.abi), index + 1);
        }
        assert!(STEPS.is_sorted_by(|before, after| before.linux < after.linux));
    }
}
