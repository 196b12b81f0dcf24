//! The system calls that a locked process may make: tables, one line each with its condition and its reason. Whatever is
//! not in a table kills the process.
//!
//! Read `runtime` (what both need), then `broker` or `worker`, then `refused` (what gets an error instead of death).

mod rule;
mod runtime;
mod broker;
mod worker;
mod refused;
mod compile;

pub use compile::Filters;
pub use refused::PROBE_ANSWER;
pub use rule::{Check, Rule, Verdict};

use crate::{Profile, SandboxError};

/// The lines that apply to a process, in the order of the tables.
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

/// Makes the filters of a process.
pub(crate) fn compile(profile: Profile) -> Result<Filters, SandboxError> {
    Filters::compile(rules(profile)).map_err(|source| SandboxError::Filter { source })
}
