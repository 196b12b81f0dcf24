//! `dbal top`: a running broker, live. Each file does one step: ask, take apart, compare with before, lay out, draw.

mod reading;
mod exposition;
mod latency;
mod rates;
mod page;
mod report;
mod screen;
mod drawing;

use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::{sleep, spawn};
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin;
use crate::error::ToolError;
use crate::output::{self, Output};
use crate::supervise::{Asked, Signals, block_on};
use crate::visible::one_line;
use drawing::Drawing;
use page::View;
use rates::{Interval, Order};
use reading::Reading;
use screen::Screen;

/// Watch a running broker: calls, latencies, pool, limits, denials, sandbox, audit
///
/// Asks the administrative port of broker.yaml (`admin`), or 127.0.0.1:9464, every few seconds. Needs no right but to connect there.
/// Rates are per second since the look before. "denied" counts 401, 403 and 429; "faulty" the caller's mistakes (400, 404, 409, 413,
/// 422); "failed" ours (5xx). Percentiles are computed from the histogram's buckets, as Prometheus does.
///
/// Keys: q ends, p pauses, s sorts by the next column, h explains.
///
/// Without a terminal, or with --once, it looks twice and prints one page. Exit codes: 0 it was watched, 2 the command line is wrong, 3 no broker answers there.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// broker.yaml or its folder; else ./broker.yaml or /etc/dbal/broker.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The administrative port itself, such as 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    admin: Option<SocketAddr>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// What the tables are ordered by.
    #[arg(long, value_name = "COLUMN", default_value = "calls")]
    sort: Order,
    /// Look twice, print one page, and end.
    #[arg(long)]
    once: bool,
    /// The same as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where a configuration is sought when nothing is named.
const USUAL: [&str; 2] = ["broker.yaml", "/etc/dbal/broker.yaml"];
/// How wide a page is that goes into a file.
const WIDTH: usize = 100;
const KEYS: &str = "q quit   p pause   s sort   h help";
const HELP: &str =
    "denied: 401 403 429   faulty: 400 404 409 413 422   failed: 5xx   rates are per second   h back";

/// What of broker.yaml concerns us.
#[derive(Deserialize)]
struct Configured {
    #[serde(default)]
    admin: Option<SocketAddr>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        config,
        admin,
        interval,
        sort,
        once,
        json,
    } = options;
    let admin = match admin {
        Some(admin) => admin,
        None => configured(config.as_deref())?,
    };
    let interval = Duration::from_secs(interval);
    let can_be_drawn_on =
        std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if once || json || !can_be_drawn_on {
        look_once(admin, interval, sort, json)
    } else {
        block_on(watch(admin, interval, sort))
    }
}

/// Where the broker's configuration says that it can be asked.
fn configured(named: Option<&Path>) -> Result<SocketAddr, ToolError> {
    let file = match named {
        Some(folder) if folder.is_dir() => Some(folder.join("broker.yaml")),
        Some(file) => Some(file.to_owned()),
        None => USUAL.map(PathBuf::from).into_iter().find(|file| file.exists()),
    };
    let Some(file) = file else {
        return Ok(admin::BY_SOCKET_UNIT);
    };
    let text = match crate::files::read(&file) {
        Ok(text) => text,
        // Whoever may not read the configuration may ask all the same, where the port is as our units open it.
        Err(_) if named.is_none() => return Ok(admin::BY_SOCKET_UNIT),
        Err(error) => return Err(error),
    };
    let Configured { admin } = dbal_settings::parse(&file, &text)?;
    Ok(admin.unwrap_or(admin::BY_SOCKET_UNIT))
}

fn look_once(admin: SocketAddr, every: Duration, order: Order, json: bool) -> Result<(), ToolError> {
    let before = Reading::take(admin)?;
    sleep(every);
    let now = Reading::take(admin)?;
    let interval = Interval::between(&before, &now)
        .ok_or_else(|| ToolError::Failed("no time has passed between two looks".to_owned()))?;
    let admin = admin.to_string();
    if json {
        return output::line(format_args!("{}", report::json(&admin, &now, &interval)));
    }
    let view = View {
        admin,
        reading: Some(&now),
        interval: Some(&interval),
        silence: None,
        order,
        footer: String::new(),
    };
    let mut output = Output::open();
    for line in page::lines(&view, usize::MAX) {
        output.line(line.text(WIDTH).trim_end())?;
    }
    output.flush()
}

/// What happens while we watch.
enum Happened {
    Key(u8),
    Looked(Result<Box<Reading>, ToolError>),
}

/// What is on the screen.
struct Watching {
    admin: SocketAddr,
    order: Order,
    last: Option<Reading>,
    interval: Option<Interval>,
    silence: Option<String>,
    is_paused: bool,
    is_explained: bool,
}

async fn watch(admin: SocketAddr, every: Duration, order: Order) -> Result<(), ToolError> {
    let lost = |source| ToolError::Failed(format!("the terminal can't be used: {source}"));
    let (happens, mut happened) = mpsc::channel(16);
    let mut signals = Signals::watch(Asked::End)?;
    let mut resized = signal(SignalKind::window_change()).map_err(lost)?;
    let mut watching = Watching {
        admin,
        order,
        last: None,
        interval: None,
        silence: None,
        is_paused: false,
        is_explained: false,
    };
    let drawing = Drawing::on(Screen::take().map_err(lost)?);
    // Both end with the process: one waits for a key, the other for an answer.
    let keys = happens.clone();
    spawn(move || send_keys(&keys));
    spawn(move || send_readings(&happens, admin, every));
    loop {
        let (_, height) = screen::size();
        drawing
            .show(page::lines(&watching.view(), height))
            .map_err(lost)?;
        tokio::select! {
            happened = happened.recv() => match happened {
                Some(Happened::Key(b'q' | b'Q' | 3 | 4)) | None => break,
                Some(Happened::Key(key)) => watching.press(key),
                Some(Happened::Looked(looked)) => watching.take_in(looked),
            },
            _ = resized.recv() => {}
            _ = signals.next() => break,
        }
    }
    drawing.end();
    Ok(())
}

impl Watching {
    fn view(&self) -> View<'_> {
        View {
            admin: self.admin.to_string(),
            reading: self.last.as_ref(),
            interval: self.interval.as_ref(),
            silence: self.silence.as_deref(),
            order: self.order,
            footer: match (self.is_explained, self.is_paused) {
                (true, _) => HELP.to_owned(),
                (false, true) => "PAUSED   p go on   q quit".to_owned(),
                (false, false) => format!("by {}   {KEYS}", self.order.name()),
            },
        }
    }

    fn press(&mut self, key: u8) {
        match key {
            b'p' | b' ' => self.is_paused = !self.is_paused,
            b's' => self.order = self.order.next(),
            b'h' | b'?' => self.is_explained = !self.is_explained,
            _ => {}
        }
    }

    fn take_in(&mut self, looked: Result<Box<Reading>, ToolError>) {
        if self.is_paused {
            return;
        }
        match looked {
            Ok(now) => {
                self.interval = self.last.as_ref().and_then(|last| Interval::between(last, &now));
                self.last = Some(*now);
                self.silence = None;
            }
            Err(error) => self.silence = Some(one_line(&error.to_string())),
        }
    }
}

fn send_keys(keys: &mpsc::Sender<Happened>) {
    let mut stdin = std::io::stdin().lock();
    let mut key = [0];
    while stdin.read_exact(&mut key).is_ok() {
        let [key] = key;
        if keys.blocking_send(Happened::Key(key)).is_err() {
            return;
        }
    }
}

fn send_readings(readings: &mpsc::Sender<Happened>, admin: SocketAddr, every: Duration) {
    loop {
        let looked = Reading::take(admin).map(Box::new);
        if readings.blocking_send(Happened::Looked(looked)).is_err() {
            return;
        }
        sleep(every);
    }
}

/// For the fuzz targets: the page of what a broker tells in two looks.
#[cfg(fuzzing)]
pub(crate) fn fuzzed(health: &serde_json::Value, looks: [(&str, &str); 2]) -> Vec<crate::fuzzed::Shown> {
    use crate::fuzzed::Shown;

    let start = std::time::Instant::now();
    let readings: Result<Vec<Reading>, String> = looks
        .iter()
        .zip([0, 2])
        .map(|((metrics, calls), seconds)| {
            let at = start.checked_add(Duration::from_secs(seconds)).unwrap_or(start);
            Reading::of(at, health.clone(), metrics, calls)
        })
        .collect();
    let Ok([before, now]) = readings.as_deref() else {
        return Vec::new();
    };
    let interval = Interval::between(before, now);
    let mut shown = Vec::new();
    for order in <Order as clap::ValueEnum>::value_variants() {
        let view = View {
            admin: "127.0.0.1:9464".to_owned(),
            reading: Some(now),
            interval: interval.as_ref(),
            silence: None,
            order: *order,
            footer: String::new(),
        };
        for (width, height) in [(80, 24), (usize::MAX, usize::MAX)] {
            for line in page::lines(&view, height) {
                shown.push(Shown::Line(line.text(width), false));
                shown.push(Shown::Line(line.coloured(width), true));
            }
        }
    }
    shown.extend(interval.map(|interval| Shown::Json(report::json("", now, &interval).to_string())));
    shown
}
