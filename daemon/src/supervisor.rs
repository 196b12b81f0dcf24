//! Whoever started the daemon: hears that it serves and that it stops, and takes it along when it ends. systemd by
//! sd_notify(3), `dbal run` and `dbal dev` by two pipes, anybody by signals.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::time::Duration;

use dbal_sandbox::inherited;
use sd_notify::NotifyState;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Descriptors of a supervisor, taken while that is still allowed.
#[derive(Debug)]
pub struct Supervisor {
    ready: Option<File>,
    lifeline: Option<File>,
}

impl Supervisor {
    /// Takes the descriptors that the command line names.
    pub fn inherit(ready: Option<RawFd>, lifeline: Option<RawFd>) -> io::Result<Self> {
        Ok(Self {
            ready: ready.map(inherited::writer).transpose()?,
            lifeline: lifeline.map(inherited::reader).transpose()?,
        })
    }

    /// Listens for orders to stop. Within the runtime.
    pub fn orders(&mut self) -> io::Result<Orders> {
        Ok(Orders {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            lifeline: self.lifeline.take().map(pipe::Receiver::from_file).transpose()?,
        })
    }

    /// Says once that the daemon serves, and where.
    pub fn ready(&mut self, address: &serde_json::Value) {
        if let Some(mut ready) = self.ready.take()
            && let Err(error) = writeln!(ready, "{address}")
        {
            tracing::warn!(%error, "nobody reads --ready-fd");
        }
        notify(NotifyState::Ready);
    }
}

/// Everything that can order the daemon to stop.
#[derive(Debug)]
pub struct Orders {
    terminate: Signal,
    interrupt: Signal,
    lifeline: Option<pipe::Receiver>,
}

impl Orders {
    /// Returns on SIGTERM, SIGINT, or the end of the supervisor, and tells systemd that the daemon stops.
    pub async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = end_of(self.lifeline) => tracing::warn!("whoever started this process is gone"),
        }
        tracing::info!("draining");
        notify(NotifyState::Stopping);
    }
}

/// Tells the service manager, twice per period that it asks for, that the runtime still turns.
pub async fn watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let half = period.checked_div(2).unwrap_or(period);
    let mut beat = tokio::time::interval(half.max(Duration::from_millis(1)));
    loop {
        beat.tick().await;
        notify(NotifyState::Watchdog);
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

/// Never, where there is no lifeline. Nothing is ever written to one, so reading it ends only with the other side.
async fn end_of(lifeline: Option<pipe::Receiver>) {
    match lifeline {
        Some(mut lifeline) => while lifeline.read_u8().await.is_ok() {},
        None => std::future::pending().await,
    }
}
