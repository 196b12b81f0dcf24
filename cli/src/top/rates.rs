//! What two looks at a broker say of the time between them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::latency::{Buckets, Percentiles};
use super::reading::{Reading, Tally};

/// Calls per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) all: f64,
    pub(super) ok: f64,
    /// Not proven, not permitted, too often.
    pub(super) denied: f64,
    /// The caller's mistake: malformed, invalid, no such row, a conflict.
    pub(super) faulty: f64,
    /// The daemon's or the database's.
    pub(super) failed: f64,
    /// By code, those that are not ok, the most frequent first.
    pub(super) codes: Vec<(String, f64)>,
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) rates: Rates,
    pub(super) latency: Option<Percentiles>,
}

/// The time between two looks.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    pub(super) seconds: f64,
    pub(super) total: Rates,
    pub(super) latency: Option<Percentiles>,
    pub(super) methods: Vec<Row>,
    pub(super) entities: Vec<Row>,
    /// How much each counter grew per second, by name.
    grown: BTreeMap<String, f64>,
}

/// What a table is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Order {
    /// Most calls first.
    Calls,
    /// Slowest first.
    P99,
    /// Most refused first.
    Denied,
    /// Most failed first.
    Failed,
    /// By name.
    Name,
}

impl Order {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Order::Calls => Order::P99,
            Order::P99 => Order::Denied,
            Order::Denied => Order::Failed,
            Order::Failed => Order::Name,
            Order::Name => Order::Calls,
        }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Calls => "calls",
            Order::P99 => "p99",
            Order::Denied => "denied",
            Order::Failed => "failed",
            Order::Name => "name",
        }
    }

    /// Puts rows in this order.
    pub(super) fn sort(self, rows: &mut [Row]) {
        let weight = |row: &Row| match self {
            Order::Calls => row.rates.all,
            Order::P99 => row.latency.map_or(0.0, |latency| latency.p99),
            Order::Denied => row.rates.denied,
            Order::Failed => row.rates.failed,
            Order::Name => 0.0,
        };
        rows.sort_by(|one, other| {
            // A broker may tell what makes no number of a rate, and an order that is none may end the program.
            let by_weight = weight(other).total_cmp(&weight(one));
            by_weight.then_with(|| one.what.cmp(&other.what))
        });
    }
}

impl Interval {
    /// None where no time has passed.
    pub(super) fn between(before: &Reading, now: &Reading) -> Option<Self> {
        let seconds = now.at.checked_duration_since(before.at)?.as_secs_f64();
        if seconds < Duration::from_millis(1).as_secs_f64() {
            return None;
        }
        let mut all = Buckets::default();
        let mut total = Tally::new();
        let mut methods = Vec::new();
        for (method, tally) in &now.methods {
            let tally = since(tally, before.methods.get(method));
            for (code, calls) in &tally {
                *total.entry(code.clone()).or_default() += calls;
            }
            let latency = now.durations.get(method).map(|buckets| {
                let buckets = buckets.since(before.durations.get(method));
                all.and(&buckets);
                buckets
            });
            methods.push(Row {
                what: method.clone(),
                rates: Rates::of(&tally, seconds),
                latency: latency.and_then(|buckets| buckets.percentiles()),
            });
        }
        let entities = now.entities.iter().map(|(key, tally)| {
            let (entity, operation) = key;
            Row {
                what: format!("{entity} {operation}"),
                rates: Rates::of(&since(tally, before.entities.get(key)), seconds),
                latency: None,
            }
        });
        let grown = now.figures.iter().map(|(name, value)| {
            let grown = growth(*value, before.figures.get(name).copied());
            (name.clone(), grown / seconds)
        });
        Some(Self {
            seconds,
            total: Rates::of(&total, seconds),
            latency: all.percentiles(),
            methods,
            entities: entities.collect(),
            grown: grown.collect(),
        })
    }

    /// How much a counter grew per second.
    pub(super) fn growth(&self, name: &str) -> f64 {
        self.grown.get(name).copied().unwrap_or(0.0)
    }
}

impl Rates {
    fn of(tally: &Tally, seconds: f64) -> Self {
        let mut rates = Self::default();
        for (code, calls) in tally {
            let rate = calls / seconds;
            rates.all += rate;
            match code.as_str() {
                "ok" => rates.ok += rate,
                "401" | "403" | "429" | "4031" => rates.denied += rate,
                "400" | "404" | "409" | "413" | "422" => rates.faulty += rate,
                _ => rates.failed += rate,
            }
            if code != "ok" && rate > 0.0 {
                rates.codes.push((code.clone(), rate));
            }
        }
        rates.codes.sort_by(|one, other| other.1.total_cmp(&one.1));
        rates
    }
}

fn since(now: &Tally, before: Option<&Tally>) -> Tally {
    let then = |code: &str| before.and_then(|before| before.get(code)).copied();
    let grown = now
        .iter()
        .map(|(code, calls)| (code.clone(), growth(*calls, then(code))));
    grown.collect()
}

/// A counter that is smaller than before was started again.
fn growth(now: f64, before: Option<f64>) -> f64 {
    match before {
        _ if !now.is_finite() => 0.0,
        Some(before) if before <= now => now - before,
        Some(_) | None => now,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn reading(at: Instant, ok: u32, denied: u32) -> Reading {
        let metrics = format!(
            "dbal_requests_total{{method=\"list\",status=\"success\",code=\"ok\"}} {ok}\n\
             dbal_requests_total{{method=\"list\",status=\"error\",code=\"403\"}} {denied}\n\
             dbal_requests_total{{method=\"read\",status=\"error\",code=\"503\"}} 4\n\
             dbal_request_duration_seconds_bucket{{le=\"0.001\",method=\"list\"}} {ok}\n\
             dbal_request_duration_seconds_bucket{{le=\"+Inf\",method=\"list\"}} {ok}\n\
             dbal_rate_limited_total {denied}\n# EOF\n"
        );
        let calls = json!([{"entity": "Note", "operation": "list", "code": "403", "calls": denied}]);
        Reading::of(at, json!({}), &metrics, &calls.to_string()).unwrap()
    }

    fn later(start: Instant, seconds: u64) -> Instant {
        start.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < 1e-6
    }

    #[test]
    fn what_grew_between_two_looks_is_told_per_second() {
        let start = Instant::now();
        let then = later(start, 2);
        let interval = Interval::between(&reading(start, 100, 10), &reading(then, 300, 14)).unwrap();
        assert!(near(interval.total.all, 102.0), "{interval:?}");
        assert!(near(interval.total.ok, 100.0) && near(interval.total.denied, 2.0));
        assert!(near(interval.total.failed, 0.0));
        assert_eq!(interval.total.codes.len(), 1);
        assert!(near(interval.growth("dbal_rate_limited_total"), 2.0));
        assert!(near(interval.growth("no such figure"), 0.0));
        assert!(near(interval.entities[0].rates.denied, 2.0));
        assert!(interval.latency.is_some_and(|latency| latency.p99 <= 1.0));
        assert!(Interval::between(&reading(start, 1, 1), &reading(start, 2, 2)).is_none());
    }

    #[test]
    fn a_broker_that_was_started_again_counts_from_nothing() {
        let start = Instant::now();
        let then = later(start, 1);
        let interval = Interval::between(&reading(start, 1000, 0), &reading(then, 5, 0)).unwrap();
        assert!(near(interval.total.ok, 5.0), "{interval:?}");
    }

    #[test]
    fn rows_stand_in_the_order_that_is_asked_for() {
        let row = |what: &str, all: f64, denied: f64| Row {
            what: what.to_owned(),
            rates: Rates {
                all,
                denied,
                ..Rates::default()
            },
            latency: None,
        };
        let mut rows = vec![row("a", 1.0, 9.0), row("c", 5.0, 0.0), row("b", f64::NAN, 0.0)];
        let names = |rows: &[Row]| rows.iter().map(|row| row.what.clone()).collect::<String>();
        Order::Denied.sort(&mut rows);
        assert_eq!(names(&rows), "abc");
        Order::Name.sort(&mut rows);
        assert_eq!(names(&rows), "abc");
        let mut order = Order::Calls;
        for _ in 0..5 {
            order = order.next();
        }
        assert_eq!(order, Order::Calls);
    }
}
