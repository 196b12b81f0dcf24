//! How often each line of a list was used, by the phase of the process that made the call.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use dbal_sandbox::Profile;
use dbal_sandbox::filters::{self, Rule};

use super::DAEMONS;
use super::trace::{self, Call, Thread};

/// seccomp(2): the operation that loads a filter.
const SET_MODE_FILTER: u64 = 1;
/// landlock_add_rule(2): a rule about a TCP port, which only a worker with a database over TCP has.
const RULE_NET_PORT: u64 = 2;
/// Larger arguments are addresses: they differ each time and decide nothing.
const ADDRESSES_FROM: u64 = 1 << 20;

/// What was seen of a daemon.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Processes that locked themselves in.
    pub(super) processes: usize,
    /// Processes that ended before (a check of a configuration, a start that was refused).
    pub(super) unlocked: usize,
    /// Before the lock: calls and how often.
    pub(super) before: BTreeMap<String, u64>,
    /// After it: how often each line of its list was used, by the line's place.
    pub(super) used: BTreeMap<usize, u64>,
    /// After it: calls that no line covers.
    pub(super) lacking: BTreeMap<String, u64>,
}

/// What was seen of both.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) of: BTreeMap<&'static str, Seen>,
}

/// The list that a daemon is held against: of a worker the longer one.
pub(super) fn list(daemon: &str) -> Vec<&'static Rule> {
    let profile = match daemon {
        "dbal-broker" => Profile::Broker,
        _ => Profile::Worker { network: true },
    };
    filters::rules(profile).collect()
}

impl Tally {
    pub(super) fn read(traces: &Path) -> io::Result<Self> {
        let mut tally = Self::default();
        let threads = trace::threads(traces)?;
        for daemon in DAEMONS {
            let list = Lines::of(daemon);
            let seen = tally.of.entry(daemon).or_default();
            for process in threads.chunk_by(|one, other| one.process == other.process) {
                if process.iter().any(|thread| thread.daemon == daemon) {
                    seen.add(&list, process)?;
                }
            }
        }
        Ok(tally)
    }
}

/// A list, by the names of its calls.
struct Lines {
    by_name: BTreeMap<&'static str, Vec<(usize, &'static Rule)>>,
    /// Lines that only a worker with a database over TCP has.
    network: BTreeSet<usize>,
    /// How many filters the process loads.
    filters: usize,
}

impl Lines {
    fn of(daemon: &str) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut network = BTreeSet::new();
        let without: Vec<&Rule> = filters::rules(Profile::Worker { network: false }).collect();
        let is_same = |one: &Rule, other: &Rule| one.number == other.number && one.reason == other.reason;
        for (index, rule) in list(daemon).into_iter().enumerate() {
            if daemon == "dbal-worker" && !without.iter().any(|other| is_same(rule, other)) {
                network.insert(index);
            }
            let name = rule.name.strip_prefix("SYS_").unwrap_or(rule.name);
            by_name.entry(name).or_default().push((index, rule));
        }
        let profile = match daemon {
            "dbal-broker" => Profile::Broker,
            _ => Profile::Worker { network: true },
        };
        let count = |filters: Result<filters::Filters, _>| filters.map_or(0, |filters| filters.count());
        Self {
            by_name,
            network,
            filters: count(filters::compile_starting()) + count(filters::compile(profile)),
        }
    }

    fn line(&self, call: &Call<'_>, pid: u32) -> Option<usize> {
        let lines = self.by_name.get(call.name)?;
        let line = lines.iter().find(|(_, rule)| rule.covers(&call.arguments, pid));
        line.map(|(index, _)| *index)
    }
}

impl Seen {
    /// All threads of a process, the first one first: it locks itself in before it has others.
    fn add(&mut self, list: &Lines, process: &[Thread]) -> io::Result<()> {
        let mut loaded = 0;
        let mut is_on_network = false;
        for Thread {
            path,
            process: pid,
            is_first: _,
            daemon: _,
        } in process
        {
            trace::calls(path, |call| {
                if loaded < list.filters {
                    *self.before.entry(call.name.to_owned()).or_default() += 1;
                    if call.name == "seccomp" && call.arguments[0] == SET_MODE_FILTER {
                        loaded += 1;
                    }
                    is_on_network |= call.name == "landlock_add_rule" && call.arguments[1] == RULE_NET_PORT;
                    return;
                }
                match list.line(&call, *pid) {
                    Some(line) if is_on_network || !list.network.contains(&line) => {
                        *self.used.entry(line).or_default() += 1
                    }
                    Some(_) | None => *self.lacking.entry(shown(&call)).or_default() += 1,
                }
            })?;
        }
        if loaded < list.filters {
            self.unlocked += 1;
        } else {
            self.processes += 1;
        }
        Ok(())
    }
}

/// A call with its small arguments, which are those that a line may look at.
fn shown(call: &Call<'_>) -> String {
    let arguments: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| {
            if *argument < ADDRESSES_FROM {
                format!("{argument:#x}")
            } else {
                "…".to_owned()
            }
        })
        .collect();
    format!("{}({})", call.name, arguments.join(", "))
}
