//! What the processes that take part have used: CPU time (`/proc/<pid>/stat`, proc_pid_stat(5)) and how often one of their
//! threads gave a CPU up (`/proc/<pid>/task/*/status`). On a machine that others use as well, this tells more than the clock.

use std::fs;

use crate::world::World;

/// Of the two times in `stat` each tick is so long, in µs: `USER_HZ` is 100 on every architecture that we build for.
const TICK_US: u64 = 10_000;

/// The processes that take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The exposed process.
    Broker,
    /// The one with the credentials. SQLite is inside of it.
    Worker,
    /// The database server with all its processes.
    Database,
    /// This process.
    Clients,
}

impl Part {
    /// In the order of a call's way.
    pub const ALL: [Part; 4] = [Part::Clients, Part::Broker, Part::Worker, Part::Database];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Broker => "broker",
            Part::Worker => "worker",
            Part::Database => "database",
            Part::Clients => "clients",
        }
    }
}

/// What one part has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, in µs.
    pub cpu_us: u64,
    /// Times that a thread gave up its CPU to wait.
    pub waits: u64,
}

/// What each part has used, in the order of [`Part::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Used([Usage; Part::ALL.len()]);

impl Used {
    /// From the beginning until now.
    pub fn by_now(world: &World) -> Self {
        Self(Part::ALL.map(|part| {
            let mut sum = Usage::default();
            for pid in world.processes(part) {
                let one = of_process(pid);
                sum.cpu_us += one.cpu_us;
                sum.waits += one.waits;
            }
            sum
        }))
    }

    /// What was used between an earlier look and this one.
    pub fn since(self, earlier: Self) -> Self {
        let mut used = self;
        for (now, then) in used.0.iter_mut().zip(earlier.0) {
            now.cpu_us = now.cpu_us.saturating_sub(then.cpu_us);
            now.waits = now.waits.saturating_sub(then.waits);
        }
        used
    }

    /// Of one part.
    pub fn of(&self, part: Part) -> Usage {
        let at = Part::ALL.iter().position(|one| *one == part).expect("a part");
        self.0[at]
    }
}

/// CPU time that a process has used so far, in µs.
pub fn cpu_us(pid: u32) -> u64 {
    of_process(pid).cpu_us
}

/// One that has ended meanwhile has used nothing.
fn of_process(pid: u32) -> Usage {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let waits = tasks.flatten().filter_map(|task| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    Usage {
        cpu_us: ticks(&stat).unwrap_or(0) * TICK_US,
        waits: waits.sum(),
    }
}

/// Of its threads, those that have ended among them, and not of its children: user and system.
fn ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may hold anything; behind it the third field comes first.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_that_looks_like_fields() {
        let stat = "7 (a) 1 2 (b) S 1 7 7 0 -1 4194304 1 2 3 4 30 12 99 99 20 0 1 0 5";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn what_this_process_computes_is_counted() {
        let before = of_process(std::process::id());
        let mut sum = 0_u64;
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(of_process(std::process::id()).cpu_us > before.cpu_us, "{sum}");
    }
}
