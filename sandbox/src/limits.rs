//! Limits of the process (getrlimit(2)), as a table. The hard limit is set with the soft one, so nothing can raise it again: that
//! takes CAP_SYS_RESOURCE, and a call that the filter kills.
//!
//! Not here: NPROC counts every process of the user, also those of others who share it, so threads are bounded by the unit
//! (`TasksMax=`); FSIZE would end a broker whose log is a file, and a database has no size that could be named.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::layers::State;

/// Descriptors a process may open: 10,000 clients, and as many again while they are replaced after a network cut, with room.
const DESCRIPTORS: u64 = 65_536;

struct Limit {
    name: &'static str,
    resource: Resource,
    at_most: u64,
    reason: &'static str,
}

#[rustfmt::skip] // A table: one line for each limit.
const LIMITS: &[Limit] = &[
    Limit { name: "NOFILE", resource: Resource::RLIMIT_NOFILE, at_most: DESCRIPTORS, reason: "what the daemons' own limits add up to" },
    Limit { name: "CORE", resource: Resource::RLIMIT_CORE, at_most: 0, reason: "keys and rows are in memory" },
    Limit { name: "MSGQUEUE", resource: Resource::RLIMIT_MSGQUEUE, at_most: 0, reason: "no POSIX message queue is used" },
    Limit { name: "RTPRIO", resource: Resource::RLIMIT_RTPRIO, at_most: 0, reason: "nothing is more urgent than others' work" },
    Limit { name: "NICE", resource: Resource::RLIMIT_NICE, at_most: 0, reason: "nothing is more urgent than others' work" },
    Limit { name: "MEMLOCK", resource: Resource::RLIMIT_MEMLOCK, at_most: 0, reason: "no memory is pinned" },
];

/// Sets them all. From the first line of `main` on: nothing that comes before the lock needs more.
pub(crate) fn lower() -> nix::Result<()> {
    for limit in LIMITS {
        let Limit {
            resource, at_most, ..
        } = limit;
        if setrlimit(*resource, *at_most, *at_most).is_err() {
            // An ordinary user can't go beyond the hard limit it was given; that is less than wanted, and will do.
            let (_, hard) = getrlimit(*resource)?;
            setrlimit(*resource, hard, hard)?;
        }
    }
    Ok(())
}

/// How many descriptors this process may have open at once (getrlimit(2)).
pub fn descriptors() -> io::Result<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft)
}

/// Read back: no limit can be raised, and none is above what the table says.
pub(crate) fn hold() -> State {
    for limit in LIMITS {
        let Limit {
            name,
            resource,
            at_most,
            reason,
        } = limit;
        match getrlimit(*resource) {
            Ok((soft, hard)) if soft == hard && hard <= *at_most => {}
            Ok((soft, hard)) => {
                return State::Missing(format!(
                    "{name} is {soft}, and can be raised to {hard}, beyond {at_most}: {reason}"
                ));
            }
            Err(error) => return State::Missing(format!("{name} can't be read: {error}")),
        }
    }
    State::InForce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_reason() {
        assert!(LIMITS.iter().all(|limit| !limit.reason.is_empty()));
    }
}
