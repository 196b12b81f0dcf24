//! What an attacker tries who runs code inside a locked daemon: a table of attempts, and what must come of each.
//!
//! For tests only. Run one inside a process that locked itself in like the broker or the worker, and compare.

mod raw;
mod files;
mod execution;
mod processes;
mod network;
mod privileges;
pub mod own_rules;

use std::path::PathBuf;

pub use raw::Errno;

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name, unique.
    pub name: &'static str,
    /// What the attacker would have if it worked.
    pub harm: &'static str,
    /// What must come of it in the broker.
    pub broker: Outcome,
    /// What must come of it in a worker on a file or Unix socket.
    pub worker: Outcome,
    /// What must come of it in a worker whose database is reached by TCP.
    pub network_worker: Outcome,
    /// The attempt. `Ok` if it worked; of a death it can't tell.
    pub run: fn(&Target) -> Result<(), Errno>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process died of SIGSYS at once.
    Killed,
    /// The call failed for want of permission, or because it is answered as not existing.
    Refused,
    /// There is no such thing for the process: it left the network namespace that holds it.
    OutOfReach,
    /// It worked: the process needs it.
    Works,
}

/// What there is to attack.
#[derive(Clone, Debug)]
pub struct Target {
    /// A process that is none of the attacker's business. The attempts would kill or trace it.
    pub victim: i32,
    /// A TCP port that somebody listens on and the process has no business with.
    pub port: u16,
    /// A folder outside of the rules, in which the attacker's user may write.
    pub outside: PathBuf,
    /// The folder that the process may write to (worker).
    pub inside: PathBuf,
    /// Name of an abstract Unix socket that somebody outside listens on.
    pub abstract_name: String,
    /// A TCP connection that was accepted, to be bent to another address.
    pub accepted: i32,
}

/// What the attempts are after, and the attempts.
pub const BY_AIM: [(&str, &[Attack]); 5] = [
    ("Files", files::ATTACKS),
    ("Code of one's own", execution::ATTACKS),
    ("Other processes", processes::ATTACKS),
    ("The network", network::ATTACKS),
    ("Privileges, and the kernel", privileges::ATTACKS),
];

/// Every attempt, by what it is after.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    BY_AIM.into_iter().flat_map(|(_, attacks)| attacks)
}

/// An attempt that no process survives.
pub(crate) const fn killed(
    name: &'static str,
    harm: &'static str,
    run: fn(&Target) -> Result<(), Errno>,
) -> Attack {
    each(name, harm, [Outcome::Killed; 3], run)
}

/// An attempt that every process survives, without success.
pub(crate) const fn refused(
    name: &'static str,
    harm: &'static str,
    run: fn(&Target) -> Result<(), Errno>,
) -> Attack {
    each(name, harm, [Outcome::Refused; 3], run)
}

/// An attempt with an outcome for broker, worker and network worker.
pub(crate) const fn each(
    name: &'static str,
    harm: &'static str,
    [broker, worker, network_worker]: [Outcome; 3],
    run: fn(&Target) -> Result<(), Errno>,
) -> Attack {
    Attack {
        name,
        harm,
        broker,
        worker,
        network_worker,
        run,
    }
}
