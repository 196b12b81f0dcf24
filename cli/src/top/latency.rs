//! Percentiles out of a histogram's buckets, as Prometheus computes them (`histogram_quantile`).

/// How many calls took at most so long, by the bucket's upper bound in seconds; ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

/// Most bounds; ours has 16.
const BOUNDS: usize = 128;

/// Milliseconds below which half, 95 and 99 of a hundred calls stayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Buckets {
    /// Takes a bucket as it is labelled.
    pub(super) fn add(&mut self, bound: &str, count: f64) {
        if let Ok(bound) = bound.parse::<f64>()
            && !bound.is_nan()
            && count.is_finite()
            && self.0.len() < BOUNDS
        {
            let place = self.0.partition_point(|(other, _)| *other < bound);
            self.0.insert(place, (bound, count));
        }
    }

    /// What came since.
    pub(super) fn since(&self, before: Option<&Buckets>) -> Buckets {
        let then = |bound: f64| {
            let found = before.and_then(|before| before.0.iter().find(|(other, _)| *other >= bound));
            found.map_or(0.0, |(_, count)| *count)
        };
        let total = self.0.last().map_or(0.0, |(_, count)| *count);
        // A broker that was started again counts from 0.
        let is_anew = total < then(f64::INFINITY);
        let rest = |(bound, count): &(f64, f64)| {
            let then = if is_anew { 0.0 } else { then(*bound) };
            (*bound, (count - then).max(0.0))
        };
        Buckets(self.0.iter().map(rest).collect())
    }

    /// Both together.
    pub(super) fn and(&mut self, other: &Buckets) {
        for (bound, count) in &other.0 {
            match self.0.iter_mut().find(|(own, _)| own.total_cmp(bound).is_eq()) {
                Some((_, own)) => *own += count,
                None => self.add(&bound.to_string(), *count),
            }
        }
    }

    /// None where nobody called.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        Some(Percentiles {
            p50: self.quantile(0.5)?,
            p95: self.quantile(0.95)?,
            p99: self.quantile(0.99)?,
        })
    }

    /// Milliseconds. Within a bucket calls are taken to be spread evenly; beyond the last bound nothing is known.
    fn quantile(&self, share: f64) -> Option<f64> {
        let (_, total) = self.0.last()?;
        if *total <= 0.0 {
            return None;
        }
        let rank = total * share;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank && *count > below {
                let seconds = if bound.is_finite() {
                    lower + (bound - lower) * (rank - below) / (count - below)
                } else {
                    lower
                };
                return Some(seconds * 1_000.0);
            }
            if bound.is_finite() {
                lower = *bound;
            }
            below = *count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(&str, f64)]) -> Buckets {
        let mut buckets = Buckets::default();
        for (bound, count) in of {
            buckets.add(bound, *count);
        }
        buckets
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < 1e-9
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let found = buckets(&[("+Inf", 100.0), ("0.001", 40.0), ("0.002", 80.0), ("0.01", 99.0)]);
        let Percentiles { p50, p95, p99 } = found.percentiles().unwrap();
        assert!(near(p50, 1.25), "{p50}");
        assert!(near(p95, 2.0 + 8.0 * 15.0 / 19.0), "{p95}");
        assert!(near(p99, 10.0), "{p99}");
        let slow = buckets(&[("0.5", 0.0), ("30.0", 0.0), ("+Inf", 5.0)]);
        assert!(near(slow.percentiles().unwrap().p50, 30_000.0));
    }

    #[test]
    fn only_what_came_since_counts_also_over_a_restart() {
        let before = buckets(&[("0.001", 1000.0), ("0.01", 1000.0), ("+Inf", 1000.0)]);
        let now = buckets(&[("0.001", 1000.0), ("0.01", 1010.0), ("+Inf", 1010.0)]);
        let found = now.since(Some(&before)).percentiles().unwrap();
        assert!(found.p50 > 1.0 && found.p50 < 10.0, "{found:?}");
        assert_eq!(now.since(Some(&now)).percentiles(), None);
        let anew = buckets(&[("0.001", 3.0), ("0.01", 3.0), ("+Inf", 3.0)]);
        assert!(anew.since(Some(&before)).percentiles().is_some());
        assert_eq!(Buckets::default().percentiles(), None);
    }

    #[test]
    fn what_no_histogram_says_is_left_out() {
        let odd = buckets(&[
            ("", 1.0),
            ("NaN", 1.0),
            ("x", 1.0),
            ("0.1", f64::NAN),
            ("0.1", f64::INFINITY),
        ]);
        assert_eq!(odd, Buckets::default());
        let mut many = Buckets::default();
        for bound in 0..1_000 {
            many.add(&bound.to_string(), 1.0);
        }
        assert_eq!(many.0.len(), BOUNDS);
    }
}
