//! The system calls that a process may make, as tables: one line each with its condition and its reason. There are two phases:
//! while it starts, `starting` names what kills; once it is locked in, whatever the other tables don't name kills.
//!
//! Read `runtime` (what both need), then `broker` or `worker`, then `refused` (what gets an error instead of death).

mod rule;
mod starting;
mod runtime;
mod broker;
mod worker;
mod refused;
mod compile;

pub use compile::Filters;
pub use refused::PROBE_ANSWER;
pub use rule::{Check, Rule, Verdict};

use crate::{Profile, SandboxError};

/// The lines that apply while a process starts: what they name is forbidden.
pub fn starting() -> &'static [Rule] {
    starting::RULES
}

/// The lines that apply once a process is locked in, in the order of the tables: what they don't name is forbidden.
pub fn rules(profile: Profile) -> impl Iterator<Item = &'static Rule> {
    let own: [&[Rule]; 2] = match profile {
        Profile::Broker => [broker::RULES, &[]],
        Profile::Worker { network: false } => [worker::RULES, &[]],
        Profile::Worker { network: true } => [worker::RULES, worker::NETWORK],
    };
    runtime::RULES
        .iter()
        .chain(own.into_iter().flatten())
        .chain(refused::RULES)
}

/// Makes the filters of a process that starts.
pub fn compile_starting() -> Result<Filters, SandboxError> {
    Filters::forbid(starting()).map_err(|source| SandboxError::Filter { source })
}

/// Makes the filters of a process that is locked in.
pub fn compile(profile: Profile) -> Result<Filters, SandboxError> {
    Filters::allow_only(rules(profile)).map_err(|source| SandboxError::Filter { source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PROFILES: [Profile; 3] = [
        Profile::Broker,
        Profile::Worker { network: false },
        Profile::Worker { network: true },
    ];

    #[test]
    fn each_profile_compiles() {
        for profile in PROFILES {
            assert!(compile(profile).is_ok(), "{profile:?}");
        }
        assert!(compile_starting().is_ok());
    }

    /// What kills a starting process must not be on the list of a locked one: the severest answer counts, so the line would be dead.
    #[test]
    fn nothing_that_is_forbidden_at_the_start_is_permitted_later() {
        for profile in PROFILES {
            for rule in rules(profile) {
                assert_ne!(rule.verdict, Verdict::Kill, "{}", rule.name);
                let forbidden = starting().iter().find(|early| early.number == rule.number);
                let only_processes = forbidden.is_none_or(|early| early.verdict != Verdict::Kill)
                    || rule.number == libc::SYS_clone;
                assert!(only_processes, "{profile:?}: {}", rule.name);
            }
        }
    }

    #[test]
    fn no_line_is_made_needless_by_another() {
        for profile in PROFILES {
            let mut lines: BTreeMap<i64, Vec<&Rule>> = BTreeMap::new();
            for rule in rules(profile) {
                assert!(!rule.reason.is_empty(), "{}", rule.name);
                lines.entry(rule.number).or_default().push(rule);
            }
            for of_one_call in lines.values() {
                let always = of_one_call.iter().any(|rule| rule.when.is_empty());
                assert!(!always || of_one_call.len() == 1, "{profile:?}: {of_one_call:#?}");
            }
        }
    }

    #[test]
    fn only_a_worker_with_network_has_sockets_of_other_families_than_unix() {
        for profile in PROFILES {
            let families: Vec<i32> = rules(profile)
                .filter(|rule| rule.number == libc::SYS_socket)
                .map(|rule| match rule.when.first() {
                    Some(Check::Is(0, family)) => *family,
                    other => panic!("{other:?}"),
                })
                .collect();
            let expected: &[i32] = match profile {
                Profile::Broker | Profile::Worker { network: false } => &[libc::AF_UNIX; 2],
                Profile::Worker { network: true } => {
                    &[libc::AF_UNIX, libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
                }
            };
            assert_eq!(families, expected, "{profile:?}");
        }
    }

    #[test]
    fn no_memory_can_be_made_executable() {
        for profile in PROFILES {
            for rule in rules(profile) {
                if [libc::SYS_mmap, libc::SYS_mprotect].contains(&rule.number) {
                    assert!(
                        matches!(rule.when, [Check::Without(2, libc::PROT_EXEC)]),
                        "{}",
                        rule.name
                    );
                }
            }
        }
    }
}
