//! Keeps one daemon running: starts it again when it dies, at once the first time, then with growing pauses.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use crate::error::ToolError;
use crate::output;
use crate::supervise::daemon::{Daemon, Started};

/// What the supervisor wants of a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Read your files again.
    Reload,
    /// Drain within this time, then be killed.
    End(Duration),
}

/// Longest pause before another start.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pause after the second death in a row; doubled with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// A daemon that ran this long did not die of how it was started.
const SETTLED: Duration = Duration::from_secs(10);

/// One daemon and its process.
#[derive(Debug)]
pub(crate) struct Keeper {
    daemon: Daemon,
    started: Started,
    since: Instant,
    deaths: u32,
}

impl Keeper {
    /// Starts the daemon and waits until it serves; returns what it said then.
    pub(crate) async fn start(daemon: Daemon, within: Duration) -> Result<(Self, String), ToolError> {
        let (mut started, mut ready) = daemon.start()?;
        let name = daemon.name;
        let line = tokio::select! {
            line = timeout(within, first_line(&mut ready)) => match line {
                Ok(Some(line)) => line,
                // It closed the pipe without a word: it is about to end, or broken.
                Ok(None) => return Err(ended_early(name, started.process).await),
                Err(_) => return Err(ToolError::NotReady { name, seconds: within.as_secs() }),
            },
            status = started.process.wait() => return Err(ToolError::EndedEarly { name, status: describe(status) }),
        };
        let keeper = Self {
            daemon,
            started,
            since: Instant::now(),
            deaths: 0,
        };
        Ok((keeper, line))
    }

    /// Returns when the daemon has ended because an order said so.
    pub(crate) async fn keep(&mut self, orders: &mut Receiver<Order>) {
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Reload) => send(&self.started.process, Signal::SIGHUP),
                    Some(Order::End(within)) => {
                        tokio::select! {
                            () = self.end(within) => return,
                            () = an_end(orders) => {}
                        }
                        return self.end(Duration::ZERO).await;
                    }
                    None => return self.end(Duration::ZERO).await,
                },
                status = self.started.process.wait() => {
                    output::say(format_args!("dbal: {} ended ({}); starting it again", self.daemon.name, describe(status)));
                    if self.start_again(orders).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Tries until the daemon is started, or somebody wants an end.
    async fn start_again(&mut self, orders: &mut Receiver<Order>) -> Result<(), Ended> {
        if self.since.elapsed() >= SETTLED {
            self.deaths = 0;
        }
        loop {
            let pause = pause_after(self.deaths);
            self.deaths = self.deaths.saturating_add(1);
            tokio::select! {
                () = sleep(pause) => {}
                () = an_end(orders) => return Err(Ended),
            }
            match self.daemon.start() {
                Ok((started, mut ready)) => {
                    // Nobody waits for this line, but a pipe that nobody reads would be an error to the daemon.
                    tokio::spawn(async move { first_line(&mut ready).await });
                    self.started = started;
                    self.since = Instant::now();
                    return Ok(());
                }
                Err(error) => output::say(format_args!("dbal: {error}")),
            }
        }
    }

    /// Drains the daemon; kills it if that takes longer.
    pub(crate) async fn end(&mut self, within: Duration) {
        let process = &mut self.started.process;
        send(process, Signal::SIGTERM);
        if timeout(within, process.wait()).await.is_err() {
            if within > Duration::ZERO {
                output::say(format_args!(
                    "dbal: {} did not drain within {within:?}; killing it",
                    self.daemon.name
                ));
            }
            let _ = process.kill().await;
        }
    }
}

/// The daemon is not wanted any more.
struct Ended;

async fn an_end(orders: &mut Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Reload => {}
            Order::End(_) => return,
        }
    }
    // Nobody can give orders any more; the one that was given last stands.
    std::future::pending::<()>().await;
}

fn pause_after(deaths: u32) -> Duration {
    match deaths.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => SHORTEST_PAUSE
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(LONGEST_PAUSE),
    }
}

/// The line by which a daemon says that it serves; none if it closes the pipe before.
async fn first_line(ready: &mut pipe::Receiver) -> Option<String> {
    let mut line = String::new();
    // An address or a path; more is not ours.
    let read = BufReader::new(ready).take(4096).read_line(&mut line).await;
    read.is_ok().then_some(line).filter(|line| line.ends_with('\n'))
}

async fn ended_early(name: &'static str, mut process: Child) -> ToolError {
    match timeout(Duration::from_secs(2), process.wait()).await {
        Ok(status) => ToolError::EndedEarly {
            name,
            status: describe(status),
        },
        Err(_) => ToolError::NotReady { name, seconds: 2 },
    }
}

fn describe(status: std::io::Result<std::process::ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn send(process: &Child, signal: Signal) {
    // No id: it has been waited for, and its number may be another's by now.
    if let Some(id) = process.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_pauses_grow_to_a_bound() {
        assert_eq!(pause_after(0), Duration::ZERO);
        assert_eq!(pause_after(1), Duration::from_millis(100));
        assert_eq!(pause_after(2), Duration::from_millis(200));
        assert_eq!(pause_after(8), Duration::from_secs(10));
        assert_eq!(pause_after(u32::MAX), Duration::from_secs(10));
    }
}
