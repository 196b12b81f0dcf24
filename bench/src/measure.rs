//! What is measured, and what is kept of a run: percentiles and throughput.

use std::fmt;
use std::time::Duration;

use crate::usage::{Part, Used};

/// The calls that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// One row by its key.
    Read,
    /// One new row.
    Create,
    /// One changed row.
    Update,
    /// One removed row.
    Delete,
    /// Twenty of a hundred rows, sorted, counted.
    List,
    /// A hundred new rows.
    CreateMany,
}

/// Rows of one `createMany`.
pub const MANY: usize = 100;

impl Call {
    /// In the order of the table.
    pub const ALL: [Call; 6] = [
        Call::Read,
        Call::Create,
        Call::Update,
        Call::Delete,
        Call::List,
        Call::CreateMany,
    ];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Create => "create",
            Call::Update => "update",
            Call::Delete => "delete",
            Call::List => "list",
            Call::CreateMany => "createMany",
        }
    }
}

/// One side of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Half of the calls took at most this, in microseconds.
    pub p50_us: f64,
    /// Ninety-nine of a hundred.
    pub p99_us: f64,
    /// Calls per second, all clients together.
    pub per_second: f64,
    /// Calls that were measured.
    pub calls: usize,
    /// What they used of the machine, all together.
    pub used: Used,
}

impl Measured {
    /// From every latency of every client and the time from first to last.
    pub fn of(mut latencies: Vec<Duration>, span: Duration, used: Used) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
            latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
        };
        Self {
            p50_us: at(0.50),
            p99_us: at(0.99),
            per_second: latencies.len() as f64 / span.as_secs_f64(),
            calls: latencies.len(),
            used,
        }
    }

    /// CPU time of a part for one call, in microseconds.
    pub fn cpu_us(&self, part: Part) -> f64 {
        self.used.of(part).cpu_us as f64 / self.calls.max(1) as f64
    }

    /// How often a part waited for one call.
    pub fn waits(&self, part: Part) -> f64 {
        self.used.of(part).waits as f64 / self.calls.max(1) as f64
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "p50 {:.0} µs, p99 {:.0} µs, {:.0}/s; CPU µs (waits):",
            self.p50_us, self.p99_us, self.per_second
        )?;
        for part in Part::ALL {
            let (name, cpu_us, waits) = (part.name(), self.cpu_us(part), self.waits(part));
            write!(out, " {name} {cpu_us:.1} ({waits:.2})")?;
        }
        Ok(())
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Which call.
    pub call: Call,
    /// How many clients at once.
    pub clients: usize,
    /// Over wss, through both processes.
    pub through: Measured,
    /// Prepared statements, one connection per client, in this process.
    pub direct: Measured,
}

impl Cell {
    /// Throughput, as a part of direct.
    pub fn ratio(&self) -> f64 {
        self.through.per_second / self.direct.per_second
    }

    /// How much longer half of the calls take at most than direct ones, in microseconds.
    pub fn added_us(&self) -> f64 {
        self.through.p50_us - self.direct.p50_us
    }

    /// The one of several rounds with the median ratio; none of none.
    pub fn middle(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        rounds.get(rounds.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let latencies = (1..=100).rev().map(Duration::from_micros).collect();
        let measured = Measured::of(latencies, Duration::from_secs(2), Used::default());
        assert_eq!((measured.p50_us.round(), measured.p99_us.round()), (51.0, 100.0));
        assert_eq!(measured.per_second, 50.0);
    }

    #[test]
    fn of_rounds_the_one_with_the_median_ratio_is_kept() {
        let measured = |per_second: u64| {
            let latencies = (0..per_second).map(|_| Duration::from_micros(1)).collect();
            Measured::of(latencies, Duration::from_secs(1), Used::default())
        };
        let cell = |through, direct| Cell {
            call: Call::Read,
            clients: 1,
            through: measured(through),
            direct: measured(direct),
        };
        let middle = Cell::middle(vec![cell(9, 10), cell(80, 100), cell(1, 10)]).unwrap();
        assert_eq!((middle.ratio(), middle.through.calls), (0.8, 80));
        assert!(Cell::middle(Vec::new()).is_none());
    }
}
