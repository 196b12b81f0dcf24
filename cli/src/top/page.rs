//! The page as lines of painted words, for a width and a height: the same in a terminal and in a file.

use crate::admin::{is, layers, number, text};
use crate::visible::one_line;

use super::latency::Percentiles;
use super::rates::{Interval, Order, Row};
use super::reading::Reading;

/// Narrowest and lowest page; a smaller terminal sees a part of it.
const LEAST: (usize, usize) = (40, 8);
/// Longest name of a row, in characters.
const NAME: usize = 17;

/// How a word is shown in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Title,
    Good,
    Doubtful,
    Bad,
    Faint,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line(Vec<(Paint, String)>);

/// What is shown.
pub(super) struct View<'a> {
    /// Where the broker is.
    pub(super) admin: String,
    /// What it told last; none before it told anything.
    pub(super) reading: Option<&'a Reading>,
    /// The time before that.
    pub(super) interval: Option<&'a Interval>,
    /// Why it tells nothing at the moment.
    pub(super) silence: Option<&'a str>,
    pub(super) order: Order,
    /// What stands in the last line.
    pub(super) footer: String,
}

impl Line {
    fn of(text: impl Into<String>) -> Self {
        Self::default().and(Paint::Plain, text)
    }

    /// Nothing that the broker said gets past here as it came.
    fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, one_line(&text.into())));
        self
    }

    /// The same, cut to a width in characters.
    pub(super) fn text(&self, width: usize) -> String {
        self.painted(width, |_, word| word.to_owned())
    }

    /// The same with ANSI colours.
    pub(super) fn coloured(&self, width: usize) -> String {
        self.painted(width, |paint, word| match paint.code() {
            Some(code) => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
            None => word.to_owned(),
        })
    }

    fn painted(&self, width: usize, paint: impl Fn(Paint, &str) -> String) -> String {
        let mut left = width;
        let mut out = String::new();
        for (how, words) in &self.0 {
            let cut: String = words.chars().take(left).collect();
            left = left.saturating_sub(cut.chars().count());
            out.push_str(&paint(*how, &cut));
        }
        out
    }
}

impl Paint {
    fn code(self) -> Option<&'static str> {
        match self {
            Paint::Plain => None,
            Paint::Title => Some("1"),
            Paint::Good => Some("32"),
            Paint::Doubtful => Some("33"),
            Paint::Bad => Some("1;31"),
            Paint::Faint => Some("2"),
        }
    }
}

/// All lines, at most `height`.
pub(super) fn lines(view: &View<'_>, height: usize) -> Vec<Line> {
    let height = height.max(LEAST.1);
    let mut lines = vec![title(view)];
    if let Some(reading) = view.reading {
        lines.push(calls(view.interval));
        lines.push(latency(reading, view.interval));
        lines.push(clients(reading, view.interval));
        lines.push(database(reading));
        lines.push(worker(reading));
        lines.extend(cache(reading, view.interval));
        lines.push(sandbox(reading));
        let room = height.saturating_sub(lines.len()).saturating_sub(1);
        if let Some(interval) = view.interval {
            lines.extend(tables(interval, view.order, room));
        }
    }
    lines.truncate(height.saturating_sub(1));
    if !view.footer.is_empty() {
        lines.resize(height.saturating_sub(1), Line::default());
        lines.push(Line::default().and(Paint::Faint, view.footer.as_str()));
    }
    lines
}

fn title(view: &View<'_>) -> Line {
    let line = Line::default().and(Paint::Title, format!("dbal {} ", view.admin));
    if let Some(why) = view.silence {
        return line.and(Paint::Bad, format!(" {why}"));
    }
    let Some(reading) = view.reading else {
        return line.and(Paint::Faint, " asking …");
    };
    let health = &reading.health;
    let status = text(health, "/status");
    let paint = if status == "healthy" {
        Paint::Good
    } else {
        Paint::Bad
    };
    line.and(paint, format!(" {status}")).and(
        Paint::Plain,
        format!(
            "  version {}  up {}",
            text(health, "/version"),
            lasting(number(health, "/uptime"))
        ),
    )
}

fn calls(interval: Option<&Interval>) -> Line {
    let Some(interval) = interval else {
        return Line::of("calls    rates follow with the second look");
    };
    let total = &interval.total;
    let limited = interval.growth("dbal_rate_limited_total");
    let overloaded = total.codes.iter().filter(|(code, _)| code == "503");
    let overloaded = overloaded.map(|(_, rate)| rate).sum();
    Line::of(format!("calls    {}/s  ok {}", rate(total.all), rate(total.ok)))
        .and(
            paint(total.denied, Paint::Doubtful),
            format!("  denied {}", rate(total.denied)),
        )
        .and(
            paint(limited, Paint::Doubtful),
            format!("  limited {}", rate(limited)),
        )
        .and(Paint::Plain, format!("  faulty {}", rate(total.faulty)))
        .and(
            paint(total.failed, Paint::Bad),
            format!("  failed {}", rate(total.failed)),
        )
        .and(
            paint(overloaded, Paint::Bad),
            format!("  503 {}", rate(overloaded)),
        )
}

fn latency(reading: &Reading, interval: Option<&Interval>) -> Line {
    let took = match interval.and_then(|interval| interval.latency) {
        Some(Percentiles { p50, p95, p99 }) => {
            format!("p50 {}  p95 {}  p99 {} ms", ms(p50), ms(p95), ms(p99))
        }
        None => "nobody called".to_owned(),
    };
    let in_flight = reading.figure("dbal_calls_in_flight");
    Line::of(format!("latency  {took}  in flight {}", whole(in_flight)))
}

fn clients(reading: &Reading, interval: Option<&Interval>) -> Line {
    let grown = |name: &str| interval.map_or(0.0, |interval| interval.growth(name));
    let away = grown("dbal_turned_away_connections_total");
    let handshakes = grown("dbal_failed_handshakes_total");
    Line::of(format!(
        "clients  {} of {}  new {}/s",
        whole(reading.figure("dbal_client_connections")),
        whole(reading.figure("dbal_client_connections_limit")),
        rate(grown("dbal_accepted_connections_total"))
    ))
    .and(paint(away, Paint::Bad), format!("  turned away {}", rate(away)))
    .and(
        paint(handshakes, Paint::Doubtful),
        format!("  bad handshakes {}", rate(handshakes)),
    )
    .and(
        Paint::Plain,
        format!("  sessions {}", whole(reading.figure("dbal_sessions"))),
    )
}

fn database(reading: &Reading) -> Line {
    let health = &reading.health;
    let line = Line::of(format!("database {} ", text(health, "/worker/adapter")));
    let line = if is(health, "/database/connected") {
        let latency = health
            .pointer("/database/latency_ms")
            .and_then(serde_json::Value::as_f64);
        line.and(Paint::Good, "answers")
            .and(Paint::Plain, format!(" in {} ms", ms(latency.unwrap_or(0.0))))
    } else {
        line.and(Paint::Bad, "DOES NOT ANSWER")
    };
    let queue = reading.figure("dbal_worker_queue");
    line.and(
        Paint::Plain,
        format!(
            "  pool {} of {} in use",
            whole(reading.figure("dbal_active_connections")),
            whole(reading.figure("dbal_pool_connections"))
        ),
    )
    .and(
        paint(queue, Paint::Doubtful),
        format!("  waiting {}", whole(queue)),
    )
}

fn worker(reading: &Reading) -> Line {
    let health = &reading.health;
    let line = Line::of("worker   ");
    let line = if is(health, "/worker/connected") {
        line.and(Paint::Good, "connected")
    } else {
        line.and(Paint::Bad, "GONE")
    };
    let agreed = if is(health, "/policies_agree") {
        (Paint::Plain, "agreed on")
    } else {
        (Paint::Bad, "DIFFERS between broker and worker")
    };
    let (lag, lost) = (
        reading.figure("dbal_audit_lag_records"),
        reading.figure("dbal_dropped_reports_total"),
    );
    line.and(
        Paint::Plain,
        format!("  restarts {}  audit", number(health, "/worker/restarts")),
    )
    .and(
        paint((lag - 10_000.0).max(0.0), Paint::Bad),
        format!(" {} not on disk", whole(lag)),
    )
    .and(paint(lost, Paint::Bad), format!(", {} lost", whole(lost)))
    .and(Paint::Plain, "  policy ")
    .and(agreed.0, agreed.1)
}

/// Only where answers are kept.
fn cache(reading: &Reading, interval: Option<&Interval>) -> Option<Line> {
    let bytes = reading.figure("dbal_cache_bytes");
    if bytes <= 0.0 && reading.figure("dbal_cache_on") <= 0.0 {
        return None;
    }
    let grown = |name: &str| interval.map_or(0.0, |interval| interval.growth(name));
    let (hits, misses) = (grown("dbal_cache_hits_total"), grown("dbal_cache_misses_total"));
    let asked = hits + misses;
    let ratio = if asked > 0.0 {
        format!("{:.0} %", hits / asked * 100.0)
    } else {
        "-".to_owned()
    };
    Some(Line::of(format!(
        "cache    {:.1} MiB  hits {}/s  misses {}/s  ratio {ratio}",
        bytes / 1_048_576.0,
        rate(hits),
        rate(misses)
    )))
}

fn sandbox(reading: &Reading) -> Line {
    let mut line = Line::of("sandbox ");
    for daemon in ["broker", "worker"] {
        let layers = layers(&reading.health, daemon);
        let in_force = layers.iter().filter(|(_, state)| *state == "in force").count();
        let missing: Vec<&str> = layers
            .iter()
            .filter(|(_, state)| *state != "in force" && *state != "off")
            .map(|(name, _)| *name)
            .collect();
        line = line.and(
            if in_force == 0 { Paint::Bad } else { Paint::Plain },
            format!(" {daemon} {in_force} of {} layers ", layers.len()),
        );
        if !missing.is_empty() {
            line = line.and(Paint::Bad, format!("MISSING {} ", missing.join(" ")));
        }
    }
    line
}

/// Methods and entities share the room: neither takes more than it needs.
fn tables(interval: &Interval, order: Order, room: usize) -> Vec<Line> {
    let sorted = |rows: &[Row]| {
        let mut rows: Vec<Row> = rows.iter().filter(|row| row.rates.all > 0.0).cloned().collect();
        order.sort(&mut rows);
        rows
    };
    let (methods, entities) = (sorted(&interval.methods), sorted(&interval.entities));
    // An empty line and a head before each.
    let room = room.saturating_sub(4);
    let half = room.div_ceil(2);
    let of_methods = methods.len().min(half.max(room.saturating_sub(entities.len())));
    let of_entities = entities.len().min(room.saturating_sub(of_methods));
    let mut lines = Vec::new();
    lines.push(Line::default());
    lines.push(Line::default().and(
        Paint::Title,
        format!(
            "{:<NAME$}{:>9}{:>9}{:>8}{:>8}{:>8}{:>7}{:>7}{:>7}",
            "METHOD", "calls/s", "ok", "denied", "faulty", "failed", "p50 ms", "p95", "p99"
        ),
    ));
    lines.extend(methods.iter().take(of_methods).map(method));
    lines.extend(more(methods.len(), of_methods));
    if !entities.is_empty() {
        lines.push(Line::default());
        lines.push(Line::default().and(
            Paint::Title,
            format!(
                "{:<NAME$}{:>9}{:>9}{:>8}{:>8}{:>8}  refused by code",
                "ENTITY", "calls/s", "ok", "denied", "faulty", "failed"
            ),
        ));
        lines.extend(entities.iter().take(of_entities).map(entity));
        lines.extend(more(entities.len(), of_entities));
    }
    lines
}

fn more(all: usize, shown: usize) -> Option<Line> {
    let more = all.saturating_sub(shown);
    (more > 0).then(|| Line::default().and(Paint::Faint, format!("… and {more} more")))
}

fn method(row: &Row) -> Line {
    let line = common(row);
    match row.latency {
        Some(Percentiles { p50, p95, p99 }) => line.and(
            Paint::Plain,
            format!("{:>7}{:>7}{:>7}", ms(p50), ms(p95), ms(p99)),
        ),
        None => line,
    }
}

fn entity(row: &Row) -> Line {
    let codes = row.rates.codes.iter();
    let codes: Vec<String> = codes
        .map(|(code, calls)| format!("{code}: {}", rate(*calls)))
        .collect();
    common(row).and(Paint::Plain, format!("  {}", codes.join("  ")))
}

fn common(row: &Row) -> Line {
    let Row {
        what,
        rates,
        latency: _,
    } = row;
    let name: String = if what.chars().count() > NAME.saturating_sub(1) {
        what.chars()
            .take(NAME.saturating_sub(2))
            .chain("… ".chars())
            .collect()
    } else {
        what.clone()
    };
    Line::of(format!(
        "{name:<NAME$}{:>9}{:>9}",
        rate(rates.all),
        rate(rates.ok)
    ))
    .and(
        paint(rates.denied, Paint::Doubtful),
        format!("{:>8}", rate(rates.denied)),
    )
    .and(Paint::Plain, format!("{:>8}", rate(rates.faulty)))
    .and(
        paint(rates.failed, Paint::Bad),
        format!("{:>8}", rate(rates.failed)),
    )
}

/// A colour for what should be 0 and is not.
fn paint(figure: f64, otherwise: Paint) -> Paint {
    if figure > 0.0 { otherwise } else { Paint::Plain }
}

/// A rate with as many digits as tell something.
fn rate(value: f64) -> String {
    if !value.is_finite() {
        "?".to_owned()
    } else if value == 0.0 {
        "0".to_owned()
    } else if value < 10.0 {
        format!("{value:.1}")
    } else {
        short(value)
    }
}

/// Milliseconds.
fn ms(value: f64) -> String {
    if !value.is_finite() {
        "?".to_owned()
    } else if value < 10.0 {
        format!("{value:.2}")
    } else {
        short(value)
    }
}

fn whole(value: f64) -> String {
    if value.is_finite() {
        short(value)
    } else {
        "?".to_owned()
    }
}

fn short(value: f64) -> String {
    if value.abs() < 100_000.0 {
        format!("{value:.0}")
    } else if value.abs() < 1e8 {
        format!("{:.0}k", value / 1e3)
    } else {
        format!("{value:.0e}")
    }
}

fn lasting(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days}d {hours}h")
    } else if hours > 0 {
        format!("{hours}h {minutes}m")
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::*;

    fn health() -> Value {
        json!({
            "status": "healthy", "version": "0.1.0", "uptime": 7_500, "policies_agree": true,
            "database": {"connected": true, "latency_ms": 0.3},
            "worker": {"connected": true, "adapter": "sqlite", "restarts": 1},
            "sandbox": {
                "broker": [{"layer": "seccomp", "state": "in force"}],
                "worker": [{"layer": "seccomp", "state": "in force"}, {"layer": "landlock", "state": "missing", "why": "old kernel"}],
            },
        })
    }

    fn reading(at: Instant, health: Value, times: u32) -> Reading {
        let entities: Vec<Value> = (1..=12_u32)
            .map(|number| {
                json!({"entity": format!("Entity{number}"), "operation": "list", "code": "403",
                       "calls": times.saturating_mul(number)})
            })
            .collect();
        let methods = [
            "list", "read", "create", "count", "update", "delete", "upsert", "batch",
        ];
        let calls = times.saturating_mul(10);
        let methods = methods
            .map(|method| {
                format!("dbal_requests_total{{method=\"{method}\",status=\"success\",code=\"ok\"}} {calls}\n")
            })
            .concat();
        let metrics =
            format!("{methods}dbal_rate_limited_total {times}\ndbal_client_connections 15\n# EOF\n");
        Reading::of(at, health, &metrics, &json!(entities).to_string()).unwrap()
    }

    fn later(start: Instant) -> Instant {
        start.checked_add(Duration::from_secs(1)).unwrap()
    }

    fn shown(health: &Value, (width, height): (usize, usize), footer: &str) -> Vec<String> {
        let start = Instant::now();
        let before = reading(start, health.clone(), 0);
        let now = reading(later(start), health.clone(), 20);
        let interval = Interval::between(&before, &now).unwrap();
        let view = View {
            admin: "127.0.0.1:9464".to_owned(),
            reading: Some(&now),
            interval: Some(&interval),
            silence: None,
            order: Order::Calls,
            footer: footer.to_owned(),
        };
        let lines = lines(&view, height);
        lines.iter().map(|line| line.text(width)).collect()
    }

    #[test]
    fn a_page_fits_the_terminal_and_says_what_it_leaves_out() {
        for size in [(80, 24), (100, 50), (40, 8), (1, 1), (0, 0), (300, 100)] {
            let lines = shown(&health(), size, "q quit");
            assert!(lines.len() <= size.1.max(LEAST.1), "{size:?}: {}", lines.len());
            for line in &lines {
                assert!(line.chars().count() <= size.0, "{size:?}: {line}");
            }
        }
        let page = shown(&health(), (80, 24), "q quit").join("\n");
        for words in [
            "dbal 127.0.0.1:9464  healthy  version 0.1.0  up 2h 5m",
            "calls    1600/s  ok 1600",
            "limited 20",
            "sqlite answers in 0.30 ms",
            "worker 1 of 2 layers MISSING landlock",
            "clients  15 of 0",
            "Entity12 list",
            "403: 240",
            "… and ",
        ] {
            assert!(page.contains(words), "{words}:\n{page}");
        }
        assert!(page.ends_with("q quit"), "{page}");
        assert_eq!(
            page,
            shown(&health(), (200, 24), "q quit").join("\n"),
            "nothing is cut off"
        );
        let whole = shown(&health(), (80, 1_000), "").join("\n");
        assert!(!whole.contains("… and "), "a file has room for all:\n{whole}");
    }

    #[test]
    fn nothing_that_a_broker_says_moves_the_cursor() {
        let mut hostile = health();
        for path in [
            "/status",
            "/version",
            "/worker/adapter",
            "/sandbox/broker/0/layer",
            "/sandbox/broker/0/state",
        ] {
            *hostile.pointer_mut(path).unwrap() = json!("\u{1b}[2J\u{9b}31m\r\n\u{202e}x");
        }
        let start = Instant::now();
        let calls =
            json!([{"entity": "\u{1b}]0;title\u{7}", "operation": "\u{8}", "code": "\u{1b}c", "calls": 5}]);
        let metrics = "dbal_requests_total{method=\"\u{1b}[H\",code=\"\u{1b}[31m\"} 7\ndbal_sessions NaN\n\
                       dbal_worker_queue +Inf\n# EOF\n";
        let empty = Reading::of(start, hostile.clone(), "# EOF\n", "[]").unwrap();
        let now = later(start);
        let now = Reading::of(now, hostile, metrics, &calls.to_string()).unwrap();
        let interval = Interval::between(&empty, &now).unwrap();
        let view = View {
            admin: "127.0.0.1:9464".to_owned(),
            reading: Some(&now),
            interval: Some(&interval),
            silence: Some("\u{1b}[5m"),
            order: Order::Name,
            footer: String::new(),
        };
        for line in lines(&view, 50) {
            let text = line.text(500);
            assert!(!text.chars().any(char::is_control), "{text:?}");
            let coloured = line.coloured(500);
            // Ours alone: a colour, and back.
            for sequence in coloured.split('\u{1b}').skip(1) {
                let (code, _) = sequence.split_once('m').expect("a colour");
                assert!(
                    ["[0", "[1", "[2", "[32", "[33", "[1;31"].contains(&code),
                    "{coloured:?}"
                );
            }
        }
    }
}
