//! Whoever started the worker: hears that it serves, and takes it along when it ends. systemd, or `dbal run` by two pipes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::args::Args;

/// Descriptors of a supervisor, opened while that is still allowed.
#[derive(Debug)]
pub struct Supervisor {
    ready: Option<File>,
    lifeline: Option<File>,
}

/// Ends when the supervisor does.
#[derive(Debug)]
pub struct Lifeline(Option<pipe::Receiver>);

impl Supervisor {
    /// Takes the descriptors that the command line names.
    pub fn inherit(args: &Args) -> io::Result<Self> {
        let ready = args
            .ready_fd
            .map(|number| inherit(number, OpenOptions::new().write(true)));
        let lifeline = args
            .lifeline_fd
            .map(|number| inherit(number, OpenOptions::new().read(true)));
        Ok(Self {
            ready: ready.transpose()?,
            lifeline: lifeline.transpose()?,
        })
    }

    /// Says that the worker serves. Within the runtime.
    pub fn ready(self, socket: Option<&Path>) -> io::Result<Lifeline> {
        let Self { ready, lifeline } = self;
        if let Some(mut ready) = ready {
            let path = socket.map(|path| path.display().to_string());
            writeln!(ready, "{}", serde_json::json!({ "socket": path }))?;
        }
        notify(&[sd_notify::NotifyState::Ready]);
        Ok(Lifeline(lifeline.map(pipe::Receiver::from_file).transpose()?))
    }
}

impl Lifeline {
    /// Returns when the supervisor is gone; never, where there is none.
    pub async fn end(self) {
        let Some(mut pipe) = self.0 else {
            return std::future::pending().await;
        };
        let mut byte = [0];
        // Nothing is ever written to it; whatever comes after that is no supervisor of ours.
        let _ = pipe.read(&mut byte).await;
    }
}

/// Tells systemd, where it listens (sd_notify(3)).
pub fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

fn inherit(number: RawFd, options: &OpenOptions) -> io::Result<File> {
    // Opened again by name because owning a bare number needs unsafe code; a pipe is the same pipe.
    let file = options.open(format!("/proc/self/fd/{number}"))?;
    // Standard streams stay: the next file to be opened would take their number, and messages would go into it.
    if number > 2 {
        nix::unistd::close(number)?;
    }
    Ok(file)
}
