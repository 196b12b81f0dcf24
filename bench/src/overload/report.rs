//! Tables for docs/overload.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use std::{fs, thread};

use super::demand::Demand;
use super::honest::{Calls, Latencies};
use super::idle::Idle;
use super::memory::Resident;

/// Memory that the design grants to 10,000 idle connections, in MiB.
const IDLE_GOAL: f64 = 260.0;

/// What came of one attack.
pub struct Row {
    /// As `--only` calls it.
    pub name: &'static str,
    /// What the attacker did.
    pub what: &'static str,
    /// What the attackers counted.
    pub told: String,
    /// The honest without it.
    pub before: Calls,
    /// The honest beside it.
    pub during: Calls,
    /// Most memory without it.
    pub quiet: Resident,
    /// Most memory with it.
    pub peak: Resident,
    /// What the broker counted.
    pub seen: BTreeMap<String, f64>,
}

impl Row {
    /// For who watches.
    pub fn line(&self) -> String {
        let Self {
            name,
            told,
            before,
            during,
            quiet,
            peak,
            ..
        } = self;
        format!(
            "{name}: steady {} → {}; visits {} → {}; broker {:.0} → {:.0} MiB, worker {:.0} → {:.0} MiB; {told}; {}",
            short(&before.steady),
            short(&during.steady),
            short(&before.visits),
            short(&during.visits),
            quiet.broker,
            peak.broker,
            quiet.worker,
            peak.worker,
            self.counted()
        )
    }

    /// Why connections ended, as the broker counted it, and whom it turned away.
    fn counted(&self) -> String {
        let mut told = Vec::new();
        for (name, count) in &self.seen {
            let reason = name
                .strip_prefix("dbal_closed_connections_total{reason=\"")
                .and_then(|rest| rest.strip_suffix("\"}"));
            let what = match (reason, name.as_str()) {
                (Some("gone"), _) => continue,
                (Some(reason), _) => reason,
                (None, "dbal_turned_away_connections_total") => "turned away",
                (None, "dbal_failed_handshakes_total") => "failed handshakes",
                (None, "dbal_accept_failures_total") => "accept failures",
                (None, "dbal_rate_limited_total") => "429",
                (None, name) if name.contains("code=\"503\"") => "503",
                (None, name) if name.contains("code=\"413\"") => "413",
                (None, _) => continue,
            };
            if *count > 0.0 {
                told.push(format!("{what} {count:.0}"));
            }
        }
        told.join(", ")
    }
}

fn short(latencies: &Latencies) -> String {
    format!(
        "{:.0} % {:.0}/s p50 {:.1} p99 {:.1} ms",
        latencies.answered(),
        latencies.per_second,
        latencies.ms(0.5),
        latencies.ms(0.99)
    )
}

/// What attackers did, and what the honest and the daemon felt of it.
pub fn attacks(rows: &[Row]) -> String {
    let mut out = String::from(
        "| attack | calls/s | answered | p50 ms | p99 ms | visits answered | p99 ms | broker MiB | worker MiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let Row {
            name,
            before,
            during,
            quiet,
            peak,
            ..
        } = row;
        let _ = writeln!(
            out,
            "| {name} | {:.0} → {:.0} | {:.1} % | {:.1} → {:.1} | {:.1} → {:.1} | {:.1} % | {:.0} → {:.0} | {:.0} → {:.0} | {:.0} → {:.0} |",
            before.steady.per_second,
            during.steady.per_second,
            during.steady.answered(),
            before.steady.ms(0.5),
            during.steady.ms(0.5),
            before.steady.ms(0.99),
            during.steady.ms(0.99),
            during.visits.answered(),
            before.visits.ms(0.99),
            during.visits.ms(0.99),
            quiet.broker,
            peak.broker,
            quiet.worker,
            peak.worker,
        );
    }
    out.push_str("\n| attack | what the attacker did | what came of it | what the broker counted |\n|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            row.name,
            row.what,
            row.told,
            row.counted()
        );
    }
    out
}

/// More demand than can be met.
pub fn demand(rows: &[Demand]) -> String {
    let mut out = String::from(
        "| database | call | demand | due/s | sent/s | answered/s | of the peak | refused/s | failed/s | from sending: p50, p99 ms | from due: p50, p99 ms | broker MiB | worker MiB | % of a CPU: clients, broker, worker, database | answered for a CPU second of the last three |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let _ = writeln!(out, "{}", row.line());
    }
    out
}

impl Demand {
    /// As it stands in the table.
    pub fn line(&self) -> String {
        let Self {
            database,
            call,
            what,
            due,
            sent,
            answered,
            from_due,
            of_peak,
            refused,
            failed,
            peak,
            cpu,
        } = self;
        let cpu = cpu.map(|share| format!("{share:.0}")).join(", ");
        format!(
            "| {database} | {call} | {what} | {due:.0} | {sent:.0} | {:.0} | {of_peak:.2} | {refused:.0} | {failed:.0} | {:.1}, {:.1} | {:.1}, {:.1} | {:.0} | {:.0} | {cpu} | {:.0} |",
            answered.per_second,
            answered.ms(0.5),
            answered.ms(0.99),
            from_due.ms(0.5),
            from_due.ms(0.99),
            peak.broker,
            peak.worker,
            self.for_each_cpu_second(),
        )
    }
}

/// Connections that do nothing.
pub fn idle(idle: &Idle) -> String {
    let Idle {
        connections,
        wanted,
        took,
        before,
        with,
        calls,
    } = idle;
    let each = (with.broker - before.broker) * 1024.0 / (*connections).max(1) as f64;
    format!(
        "| idle connections | made in s | broker MiB | worker MiB | KiB of the broker for each | goal for 10,000 | a call on some of them, p50 and p99 ms |\n\
         |--:|--:|--:|--:|--:|--:|--:|\n\
         | {connections} of {wanted} | {:.1} | {:.0} → {:.0} | {:.0} → {:.0} | {each:.1} | {IDLE_GOAL:.0} MiB | {:.1}, {:.1} ({:.1} % answered) |\n",
        took.as_secs_f64(),
        before.broker,
        with.broker,
        before.worker,
        with.worker,
        calls.ms(0.5),
        calls.ms(0.99),
        calls.answered(),
    )
}

/// Where and when it ran, for the table's heading. `load` is that of the last minute before, `took` the whole run's time.
pub fn machine(load: &str, took: Duration) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown CPU".to_owned(), |(_, value)| value.trim().to_owned())
    };
    format!(
        "One run of {:.0} s, {} CPUs ({}), Linux {}, load of the minute before it {load}. Attackers, honest clients, both daemons and \
         the database share the machine.\n",
        took.as_secs_f64(),
        thread::available_parallelism().map_or(1, usize::from),
        field("model name"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// What `proc_loadavg(5)` says of the last minute.
pub fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split_whitespace().next().unwrap_or("unknown").to_owned()
}
